"""The post's pages and answers over HTTP; ``README.md`` beside this file lists them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from rainwatchd import __version__
from rainwatchd.post.messages import Label, Verdict, text
from rainwatchd.post.options import PostConfig
from rainwatchd.post.records import exports
from rainwatchd.post.records.clips import ClipFolder
from rainwatchd.post.records.queries import (
    MAX_DEVICES_PAGE,
    Filter,
    Json,
    Queries,
    QueryError,
    page_size,
)
from rainwatchd.post.records.registry import Registry
from rainwatchd.post.records.store import Store
from rainwatchd.post.records.verdicts import Verdicts
from rainwatchd.post.subscriber import Subscriber
from rainwatchd.post.web.access import Access, Attempts, Refused, Visitor
from rainwatchd.post.web.accounts import COOKIE, COOKIE_AGE_S, MAX_PASSWORD, Accounts
from rainwatchd.post.web.answers import (
    Guard,
    converted,
    download,
    event_stream,
    json_answer,
    map_file,
    on_bad_query,
    on_not_found,
    on_refused,
    on_trouble,
)
from rainwatchd.post.web.live import Hub

PAGE_FOLDER = Path(__file__).parents[1] / "page"


class _Judgement(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"label": "class"}
):
    verdict: Verdict
    label: Label | None = None


class _Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    password: str


class Server:
    """The routes, over one store."""

    def __init__(
        self,
        config: PostConfig,
        store: Store,
        *,
        registry: Registry,
        verdicts: Verdicts,
        queries: Queries,
        clips: ClipFolder,
        accounts: Accounts,
        hub: Hub,
        subscriber: Subscriber,
    ) -> None:
        self._config = config
        self._store = store
        self._registry = registry
        self._verdicts = verdicts
        self._queries = queries
        self._clips = clips
        self._accounts = accounts
        self._hub = hub
        self._subscriber = subscriber
        self._access = Access(config.listen, accounts)
        self._attempts = Attempts()
        self._one_login = asyncio.Lock()
        self.app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/about", self._about),
                Route("/login", self._login, methods=["POST"]),
                Route("/logout", self._logout, methods=["POST"]),
                Route("/events", self._events),
                Route("/events/{event_id}", self._event),
                Route("/events/{event_id}/verdict", self._judge, methods=["POST"]),
                Route("/clips/{event_id}", self._clip),
                Route("/devices", self._devices),
                Route("/devices/{device_id}", self._device),
                Route("/devices/{device_id}/spectrum", self._spectrum),
                Route("/live", self._live),
                Route("/export.csv", self._export),
                Route("/export.zip", self._export),
                Route("/map/{part}", self._map),
                Mount("/page", StaticFiles(directory=PAGE_FOLDER, check_dir=False)),
            ],
            middleware=[
                Middleware(Guard, self._access),
                Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5),
            ],
            exception_handlers={
                Refused: on_refused,
                QueryError: on_bad_query,
                404: on_not_found,
                sqlite3.Error: on_trouble,
            },
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        telling = asyncio.create_task(self._hub.run())
        try:
            yield
        finally:
            telling.cancel()

    def _index(self, _request: Request) -> Response:
        return FileResponse(PAGE_FOLDER / "index.html", headers={"Cache-Control": "no-cache"})

    def _about(self, request: Request) -> Response:
        return json_answer(self._hello(self._access.visitor(request)))

    def _hello(self, visitor: Visitor) -> Json:
        config = self._config
        bounds = config.map.picture_bounds
        return {
            "version": __version__,
            "post": config.identity,
            "now": text(self._registry.now_ms()),
            "name": visitor.name,
            "role": visitor.role,
            "passwords": self._access.passwords,
            "silent_after_s": config.silent_after_s,
            "audible_m": config.map.audible_m,
            "classes": self._queries.classes() if visitor.role else [],
            "broker": self._subscriber.trouble if visitor.role else None,
            "map": {
                "geojson": config.map.geojson_file is not None,
                "picture": None if bounds is None else msgspec.structs.asdict(bounds),
            },
        }

    async def _login(self, request: Request) -> Response:
        asked = converted(await self._access.body(request), _Login)
        who = request.client.host if request.client else ""
        # One at a time: each takes 16 MiB and a fifth of a second of a core.
        async with self._one_login:
            self._attempts.check(who)
            user = None
            if len(asked.password) <= MAX_PASSWORD:
                user = await run_in_threadpool(self._accounts.verify, asked.name, asked.password)
            if user is None:
                self._attempts.failed(who)
                raise Refused(401, "wrong name or password")
            self._attempts.succeeded(who)
        answer = json_answer(self._hello(Visitor(user.name, user.role)))
        answer.set_cookie(
            COOKIE,
            self._accounts.cookie(user),
            max_age=COOKIE_AGE_S,
            httponly=True,
            samesite="strict",
            secure=self._config.listen.tls,
        )
        return answer

    async def _logout(self, request: Request) -> Response:
        await self._access.body(request)
        request.cookies.pop(COOKIE, None)
        answer = json_answer(await run_in_threadpool(self._hello, self._access.visitor(request)))
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    def _events(self, request: Request) -> Response:
        self._access.need(request, "viewer")
        words = request.query_params
        events, further = self._queries.events(
            Filter.read(words), words.get("before"), page_size(words)
        )
        return json_answer({"events": events, "next": further})

    def _event(self, request: Request) -> Response:
        self._access.need(request, "viewer")
        return json_answer(self._found_event(request.path_params["event_id"]))

    async def _judge(self, request: Request) -> Response:
        visitor = self._access.need(request, "ranger")
        said = converted(await self._access.body(request), _Judgement)
        event_id = request.path_params["event_id"]

        def judge() -> Json:
            with self._store.writing() as db:
                if not self._verdicts.judge(
                    db, event_id, said.verdict, said.label, visitor.name or self._config.identity
                ):
                    raise Refused(404, "no such event")
            return self._found_event(event_id)

        event = await run_in_threadpool(judge)
        self._subscriber.wake()
        self._hub.wake()
        return json_answer(event)

    def _clip(self, request: Request) -> Response:
        self._access.need(request, "viewer")
        try:
            path = self._clips.path(request.path_params["event_id"])
        except ValueError as error:
            raise Refused(404, "no such event") from error
        if not path.is_file():
            raise Refused(404, "no sound of this event is here")
        return FileResponse(
            path,
            media_type="audio/ogg",
            headers={"Cache-Control": "private, max-age=86400"},
        )

    def _devices(self, request: Request) -> Response:
        self._access.need(request, "viewer")
        words = request.query_params
        if "limit" not in words:
            return json_answer({"devices": self._queries.devices()})
        size = page_size(words, MAX_DEVICES_PAGE)
        devices, further = self._queries.devices_from(words.get("after", ""), size)
        return json_answer({"devices": devices, "next": further})

    def _device(self, request: Request) -> Response:
        self._access.need(request, "viewer")
        device = self._queries.device(request.path_params["device_id"])
        if device is None:
            raise Refused(404, "no such device")
        return json_answer(device)

    async def _live(self, request: Request) -> Response:
        visitor = self._access.need(request, "viewer")
        self._make_way()
        last = request.headers.get("last-event-id", "")
        rev = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None
        hello = await run_in_threadpool(self._hello, visitor)
        return event_stream(self._hub.stream(hello, rev))

    async def _spectrum(self, request: Request) -> Response:
        self._access.need(request, "ranger")
        self._make_way()
        device_id = request.path_params["device_id"]
        if await run_in_threadpool(self._queries.device, device_id) is None:
            raise Refused(404, "no such device")
        ask = partial(self._subscriber.look, device_id)
        return event_stream(self._hub.spectrum(device_id, ask))

    def _export(self, request: Request) -> Response:
        self._access.need(request, "viewer")
        found = exports.events(self._queries, Filter.read(request.query_params))
        if request.url.path.endswith(".csv"):
            return download(exports.csv_chunks(found), "text/csv; charset=utf-8", "events.csv")
        archive = exports.zip_chunks(found, self._clips)
        return download(archive, "application/zip", "labelled-clips.zip")

    def _map(self, request: Request) -> Response:
        self._access.need(request, "viewer")
        options = self._config.map
        part = request.path_params["part"]
        return map_file(
            {"geojson": options.geojson_file, "picture": options.picture_file}.get(part)
        )

    def _make_way(self) -> None:
        if self._hub.crowded:
            raise Refused(503, "too many pages are open", {"Retry-After": "60"})

    def _found_event(self, event_id: str) -> Json:
        event = self._queries.event(event_id)
        if event is None:
            raise Refused(404, "no such event")
        return event
