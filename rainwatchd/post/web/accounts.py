"""Who may log in: a file of names, roles and scrypt hashes, and the cookie that proves it later."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Literal, NamedTuple, cast

from itsdangerous import BadData, URLSafeTimedSerializer

from rainwatchd.errors import ConfigError

Role = Literal["viewer", "ranger"]

COOKIE = "rainwatch-post"
COOKIE_AGE_S = 30 * 24 * 3600

MIN_PASSWORD = 8
MAX_PASSWORD = 256

# OWASP's choice of scrypt for little memory: 16 MiB, five rounds, so that a small board has it.
_N, _R, _P = 2**14, 8, 5
_SCHEME = f"scrypt-{_N}-{_R}-{_P}"

NAME = re.compile(r"[^\s:/\\\x00-\x1f\x7f]{1,64}")


class User(NamedTuple):
    """One line of the file."""

    name: str
    role: Role
    salt: bytes
    digest: bytes


_NOBODY = User("", "viewer", b"0" * 16, b"")
"""Asked for a name that isn't there: the answer takes as long as for one that is."""


class Accounts:
    """The files ``users`` and ``cookie.key`` in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "users"
        self._key_path = directory / "cookie.key"
        self._users: dict[str, User] = {}
        self._stamp: tuple[int, int] | None = None
        self._serializer: URLSafeTimedSerializer | None = None

    @property
    def any(self) -> bool:
        """Whether anybody has a password."""
        return bool(self._current())

    @property
    def names(self) -> list[str]:
        """Who has a password, and as what: ``ana (ranger)``."""
        return [f"{user.name} ({user.role})" for user in self._current().values()]

    def verify(self, name: str, password: str) -> User | None:
        """Return who logs in, None where name or password is wrong; takes a fifth of a second."""
        user = self._current().get(name, _NOBODY)
        matches = hmac.compare_digest(_digest(password, user.salt), user.digest)
        return user if matches else None

    def cookie(self, user: User) -> str:
        """Return what proves for `COOKIE_AGE_S` that `user` has logged in."""
        token = self._signer().dumps([user.name, _fingerprint(user)])
        return token if isinstance(token, str) else token.decode()

    def who(self, cookie: str | None) -> User | None:
        """Return whose cookie it is, None for one that is forged, old or withdrawn."""
        if not cookie:
            return None
        try:
            name, fingerprint = self._signer().loads(cookie, max_age=COOKIE_AGE_S)
        except (BadData, ValueError, TypeError):
            return None
        user = self._current().get(name)
        # A new password ends what the old one began.
        return user if user is not None and fingerprint == _fingerprint(user) else None

    def put(self, name: str, role: Role, password: str) -> None:
        """Add a user or change one; raise `ConfigError` where it can't be."""
        if not NAME.fullmatch(name):
            raise ConfigError(f"{name!r}: a name has 1 to 64 characters, no spaces, ':' or '/'")
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise ConfigError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
        salt = secrets.token_bytes(16)
        self._write({**self._current(), name: User(name, role, salt, _digest(password, salt))})

    def remove(self, name: str) -> None:
        """Remove a user; raise `ConfigError` if there is none."""
        users = dict(self._current())
        if users.pop(name, None) is None:
            raise ConfigError(f"{self._path}: nobody is called {name!r}")
        self._write(users)

    def _current(self) -> dict[str, User]:
        """Read the file anew whenever it has changed."""
        try:
            stat = self._path.stat()
            stamp = stat.st_mtime_ns, stat.st_ino
            if stamp != self._stamp:
                self._users = _parse(self._path.read_text(encoding="utf-8"), self._path)
                self._stamp = stamp
        except FileNotFoundError:
            self._users, self._stamp = {}, None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._path}: {error}") from error
        return self._users

    def _write(self, users: dict[str, User]) -> None:
        lines = [
            ":".join((user.name, user.role, _SCHEME, _text(user.salt), _text(user.digest)))
            for user in users.values()
        ]
        _write_secret(self._path, "".join(f"{line}\n" for line in lines).encode())
        self._stamp = None

    def _signer(self) -> URLSafeTimedSerializer:
        if self._serializer is None:
            try:
                if not self._key_path.exists():
                    _write_secret(self._key_path, secrets.token_bytes(32))
                self._serializer = URLSafeTimedSerializer(self._key_path.read_bytes(), COOKIE)
            except OSError as error:
                raise ConfigError(f"{self._key_path}: {error.strerror}") from error
        return self._serializer


def _parse(text: str, path: Path) -> dict[str, User]:
    users = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(":")
        if len(fields) != 5 or fields[1] not in {"viewer", "ranger"} or fields[2] != _SCHEME:
            raise ConfigError(
                f"{path}:{number}: not a line of rainwatch-post --add-user; remove it"
            )
        name, role, _, salt, digest = fields
        try:
            users[name] = User(
                name, cast(Role, role), base64.b64decode(salt), base64.b64decode(digest)
            )
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
    return users


def _write_secret(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    owner = path.stat() if path.exists() else path.parent.stat()
    if os.geteuid() == 0:
        # Whoever runs --add-user may be root, the service isn't.
        os.chown(part, owner.st_uid, owner.st_gid)
    part.replace(path)


def _digest(password: str, salt: bytes) -> bytes:
    secret = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(secret, salt=salt, n=_N, r=_R, p=_P, maxmem=64 << 20)


def _fingerprint(user: User) -> str:
    return hashlib.sha256(user.salt + user.digest).hexdigest()[:16]


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
