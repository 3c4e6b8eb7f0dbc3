"""What changed, to every open page, as server-sent events.

Pages are told by revision: one task reads what changed since it last looked and hands the same
bytes to all. A page that doesn't keep up is told to read everything anew; nothing piles up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import msgspec
from starlette.concurrency import run_in_threadpool

from rainwatchd.post.messages import Spectrum
from rainwatchd.post.records.queries import Json, Queries
from rainwatchd.post.records.store import Store

PAUSE_S = 0.05
"""Between two looks at the store, however fast it changes."""

DEVICES_PAUSE_S = 1.0
"""Devices change each minute, ten thousand of them all the time."""

KEEPALIVE_S = 15.0
LOOK_S = 30.0
"""Between two requests for a spectrum; a device answers each for a minute."""

MAX_PAGES = 100
"""Open connections of all kinds here."""

_MANY = 500
"""Changes beyond which a page had better read its list anew."""

_QUEUE = 100
_SPECTRUM_QUEUE = 20


class Hub:
    """Tells pages what changed; `wake`, `report` and `show` may be called from any thread."""

    def __init__(self, store: Store, queries: Queries) -> None:
        self._store = store
        self._queries = queries
        self._pages: set[_Page] = set()
        self._lookers: dict[str, set[_Page]] = {}
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = False

    def wake(self) -> None:
        """Say, from any thread, that something was stored."""
        self._call(self._changed.set)

    def report(self, trouble: str | None) -> None:
        """Say, from any thread, what is wrong with the broker, or that nothing is any more."""
        self._call(self._tell, sse("broker", {"broker": trouble}))

    def show(self, device_id: str, spectrum: Spectrum) -> None:
        """Hand on, from any thread, a column of a spectrogram; only if somebody looks."""
        if device_id in self._lookers:
            self._call(self._show, device_id, spectrum)

    async def run(self) -> None:
        """Tell pages until the task is cancelled."""
        self._loop = asyncio.get_running_loop()
        events_rev = devices_rev = self._store.rev
        devices_due_s = 0.0
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                events_rev = await self._tell_events(events_rev)
                if self._loop.time() >= devices_due_s:
                    devices_rev = await self._tell_devices(devices_rev)
                    devices_due_s = self._loop.time() + DEVICES_PAUSE_S
                elif devices_rev < self._store.rev:
                    self._loop.call_at(devices_due_s, self._changed.set)
                await asyncio.sleep(PAUSE_S)
        finally:
            self._loop = None

    def end(self) -> None:
        """Let every stream end, so that the server can."""
        self._ended = True
        for page in self._pages:
            page.put(b"")

    async def stream(self, hello: Json, last_rev: int | None) -> AsyncIterator[bytes]:
        """Yield server-sent events for one page; `last_rev` is where it was cut off."""
        with self._page(_QUEUE) as page:
            yield sse("hello", hello)
            if last_rev is not None:
                events, rev = await run_in_threadpool(
                    self._queries.events_after, last_rev, _MANY + 1
                )
                if len(events) > _MANY or last_rev > self._store.rev:
                    yield sse("reset", {})
                elif events:
                    yield sse("events", events, rev)
            async for chunk in page.chunks():
                yield chunk

    async def spectrum(self, device_id: str, ask: Callable[[], None]) -> AsyncIterator[bytes]:
        """Yield the device's spectrum as server-sent events, and `ask` for it all the while."""
        with self._page(_SPECTRUM_QUEUE) as page:
            lookers = self._lookers.setdefault(device_id, set())
            lookers.add(page)
            asking = asyncio.create_task(_keep_asking(ask))
            try:
                async for chunk in page.chunks():
                    yield chunk
            finally:
                asking.cancel()
                lookers.discard(page)
                if not lookers:
                    self._lookers.pop(device_id, None)

    @property
    def crowded(self) -> bool:
        """Whether no more pages can be served."""
        return len(self._pages) >= MAX_PAGES

    async def _tell_events(self, rev: int) -> int:
        if not self._pages:
            return self._store.rev
        newest = self._store.rev
        events, last_rev = await run_in_threadpool(self._queries.events_after, rev, _MANY + 1)
        if len(events) > _MANY:
            self._tell(sse("reset", {}))
            return newest
        if events:
            self._tell(sse("events", events, last_rev))
        return last_rev

    async def _tell_devices(self, rev: int) -> int:
        if not self._pages:
            return self._store.rev
        devices, last_rev = await run_in_threadpool(self._queries.devices_after, rev, _MANY)
        if devices:
            self._tell(sse("devices", devices))
            self._changed.set()
        return last_rev

    def _tell(self, chunk: bytes) -> None:
        for page in self._pages:
            if not page.spectrum:
                page.put(chunk)

    def _show(self, device_id: str, spectrum: Spectrum) -> None:
        shown = msgspec.structs.asdict(spectrum)
        del shown["device_id"]
        for page in self._lookers.get(device_id, ()):
            page.put(sse("spectrum", shown))

    @contextmanager
    def _page(self, size: int) -> Iterator[_Page]:
        page = _Page(size, spectrum=size == _SPECTRUM_QUEUE)
        if self._ended:
            page.put(b"")
        self._pages.add(page)
        try:
            yield page
        finally:
            self._pages.discard(page)

    def _call(self, function: Callable[..., object], *values: object) -> None:
        loop = self._loop
        if loop is not None:
            try:
                loop.call_soon_threadsafe(function, *values)
            except RuntimeError:
                # The loop was closed between the two lines: nobody is there to be told.
                return


class _Page:
    """One connection and what it has yet to be sent."""

    def __init__(self, size: int, *, spectrum: bool) -> None:
        self.spectrum = spectrum
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(size)

    def put(self, chunk: bytes) -> None:
        """Queue a chunk; empty ends the stream. A page that is too slow loses all and is told."""
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            if not self.spectrum:
                self._queue.put_nowait(sse("reset", {}))
        self._queue.put_nowait(chunk)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield what is queued, and a comment where nothing is for a while."""
        while True:
            try:
                chunk = await asyncio.wait_for(self._queue.get(), KEEPALIVE_S)
            except TimeoutError:
                chunk = b":\n\n"
            if not chunk:
                return
            yield chunk


def sse(event: str, data: object, rev: int | None = None) -> bytes:
    """Write one server-sent event; JSON never holds a line break."""
    number = b"" if rev is None else b"id: %d\n" % rev
    return b"event: %s\n%sdata: %s\n\n" % (event.encode(), number, msgspec.json.encode(data))


async def _keep_asking(ask: Callable[[], None]) -> None:
    while True:
        ask()
        await asyncio.sleep(LOOK_S)
