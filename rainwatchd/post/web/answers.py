"""The forms of an answer, and what stands on every one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rainwatchd.post.web.access import Access, Refused

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer: nothing from outside, and nothing of a message is ever taken for a page."""


_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".json": "application/geo+json",
    ".geojson": "application/geo+json",
}


class Guard:
    """Puts `HEADERS` on every answer, and turns away what calls this machine by a foreign name."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                message["headers"] += [
                    (name.lower().encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.lower().encode() not in names
                ]
                if b"cache-control" not in names:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        try:
            self._access.check_host(Request(scope))
        except Refused as refusal:
            await refusal_answer(refusal.status, refusal.said)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def json_answer(document: object) -> Response:
    """An answer in JSON."""
    return Response(msgspec.json.encode(document), media_type="application/json")


def refusal_answer(status: int, said: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal, said in one line."""
    body = msgspec.json.encode({"error": said})
    return Response(body, status, headers=headers, media_type="application/json")


def event_stream(chunks: AsyncIterator[bytes]) -> Response:
    """Server-sent events."""
    return StreamingResponse(chunks, media_type="text/event-stream")


def download(chunks: Iterator[bytes], media_type: str, name: str) -> Response:
    """A file to keep."""
    disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(chunks, media_type=media_type, headers=disposition)


def map_file(name: str | None) -> Response:
    """Answer with a file that the configuration names."""
    if name is None or not Path(name).is_file():
        raise Refused(404, "the map has no such file")
    media_type = _TYPES.get(Path(name).suffix.lower(), "application/octet-stream")
    return FileResponse(name, media_type=media_type, headers={"Cache-Control": "no-cache"})


def converted(body: dict[str, Any], wanted: type[Any]) -> Any:
    """A request's body as `wanted`; raise `Refused` where it isn't."""
    try:
        return msgspec.convert(body, wanted)
    except msgspec.ValidationError as error:
        raise Refused(400, str(error)) from error


async def on_refused(_request: Request, refusal: Exception) -> Response:
    """Answer a `Refused`."""
    assert isinstance(refusal, Refused)
    return refusal_answer(refusal.status, refusal.said, refusal.headers)


async def on_bad_query(_request: Request, error: Exception) -> Response:
    """Answer a `QueryError`."""
    return refusal_answer(400, str(error))


async def on_trouble(_request: Request, error: Exception) -> Response:
    """Answer where the store can't be read or written: a full disk, mostly."""
    return refusal_answer(503, f"the post's store: {error}", {"Retry-After": "10"})


async def on_not_found(_request: Request, _error: Exception) -> Response:
    """Answer what has no route."""
    return refusal_answer(404, "there is nothing here")
