"""Who asks, and whether they may: roles, forged requests, and guessed passwords."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request

from rainwatchd.alerts.broker.credentials import is_loopback
from rainwatchd.post.options import ListenOptions
from rainwatchd.post.web.accounts import COOKIE, Accounts, Role

MAX_BODY_BYTES = 8192
TRIES = 5
TRIES_WITHIN_S = 60.0
_REMEMBERED = 1000


class Refused(Exception):  # noqa: N818  (a refusal is an answer, not a mistake of the program)
    """The request isn't granted; `status` says how, `said` why."""

    def __init__(self, status: int, said: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(said)
        self.status = status
        self.said = said
        self.headers = headers or {}


@dataclass(frozen=True)
class Visitor:
    """Who asks; `name` is None where nobody has to say."""

    name: str | None
    role: Role | None


class Access:
    """Decides by the options, the accounts and the request alone."""

    def __init__(self, options: ListenOptions, accounts: Accounts) -> None:
        self._options = options
        self._accounts = accounts

    @property
    def passwords(self) -> bool:
        """Whether there is anything to log in to."""
        return self._accounts.any

    def visitor(self, request: Request) -> Visitor:
        """Return who asks."""
        if not self.passwords:
            # Without passwords only this machine is let in; `server` sees to that at the start.
            return Visitor(None, "ranger" if self._options.loopback else None)
        user = self._accounts.who(request.cookies.get(COOKIE))
        if user is not None:
            return Visitor(user.name, user.role)
        return Visitor(None, "viewer" if self._options.guests else None)

    def need(self, request: Request, role: Role) -> Visitor:
        """Return who asks; raise `Refused` if they may not do what needs `role`."""
        visitor = self.visitor(request)
        if visitor.role in {"ranger", role}:
            return visitor
        if visitor.name is None:
            raise Refused(401, "log in first")
        raise Refused(403, "only a ranger may do that")

    def check_host(self, request: Request) -> None:
        """Refuse, where nobody logs in, names that only a foreign page would call this machine.

        A page elsewhere may have its own name resolve to 127.0.0.1 and so speak to us as itself.
        """
        if not self.passwords and not is_loopback(request.url.hostname or ""):
            raise Refused(421, "without passwords the post answers to localhost only")

    async def body(self, request: Request) -> dict[str, Any]:
        """Return a POST's JSON object; raise `Refused` where another site may have sent it."""
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
            raise Refused(403, "sent by another site")
        if request.headers.get("sec-fetch-site") not in {None, "same-origin", "none"}:
            raise Refused(403, "sent by another site")
        # A form of another site can't send this type without asking first.
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise Refused(415, "Content-Type: application/json is wanted")
        content = b""
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise Refused(413, f"more than {MAX_BODY_BYTES} bytes")
        try:
            return msgspec.json.decode(content, type=dict[str, Any])
        except (ValueError, RecursionError) as error:
            raise Refused(400, "a JSON object is wanted") from error


class Attempts:
    """Counts failed logins by who tries; beyond `TRIES` in a minute they have to wait."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, *keys: str) -> None:
        """Raise `Refused` if any of `keys` has failed too often."""
        now_s = self._monotonic()
        for key in keys:
            failures = self._failures.get(key, deque())
            while failures and failures[0] < now_s - TRIES_WITHIN_S:
                failures.popleft()
            if len(failures) >= TRIES:
                wait_s = int(failures[0] + TRIES_WITHIN_S - now_s) + 1
                raise Refused(
                    429, f"too many wrong passwords; wait {wait_s} s", {"Retry-After": f"{wait_s}"}
                )

    def failed(self, *keys: str) -> None:
        """Count a failure for each of `keys`."""
        for key in keys:
            self._failures.setdefault(key, deque(maxlen=TRIES)).append(self._monotonic())
            self._failures.move_to_end(key)
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, *keys: str) -> None:
        """Forget the failures of `keys`."""
        for key in keys:
            self._failures.pop(key, None)
