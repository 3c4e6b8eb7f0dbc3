"""A socket in the state directory that tells whoever connects what the service hears now.

A second program can't listen too: a sound card has one reader.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Literal

import msgspec

log = logging.getLogger(__name__)

MOST_LOOKERS = 8
"""More than this are turned away."""


class Glimpse(msgspec.Struct, frozen=True, kw_only=True):
    """One line of JSON: how the device is, and the newest window where it hears anything."""

    device_id: str
    model: str
    state: Literal["online", "degraded", "offline"]
    reasons: list[str]
    level_dbfs: float | None
    real_time_factor: float | None
    scores: dict[str, float]


def socket_path(state_directory: Path) -> Path:
    """Where the service listens."""
    return state_directory / "live.sock"


class LivePort:
    """The service's end; used by the thread that listens, which it never keeps waiting."""

    def __init__(self, state_directory: Path) -> None:
        self._path = socket_path(state_directory)
        self._lookers: list[socket.socket] = []
        self._server: socket.socket | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody looks; lets in who has come meanwhile."""
        if self._server is not None:
            with contextlib.suppress(OSError):
                while True:
                    looker, _ = self._server.accept()
                    if len(self._lookers) < MOST_LOOKERS:
                        looker.setblocking(False)
                        self._lookers.append(looker)
                    else:
                        looker.close()
        return bool(self._lookers)

    def open(self) -> None:
        """Listen; where that can't be, nobody can look, and that is all."""
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._path.unlink(missing_ok=True)
            _by_short_name(self._path, server.bind)
            server.listen(MOST_LOOKERS)
            server.setblocking(False)
        except OSError as error:
            server.close()
            log.warning("live: %s: %s; rainwatchd live will not work", self._path, error)
            return
        self._server = server

    def tell(self, glimpse: Glimpse) -> None:
        """Send it to everyone; who reads too slowly is left."""
        line = msgspec.json.encode(glimpse) + b"\n"
        for looker in list(self._lookers):
            try:
                sent = looker.send(line)
            except OSError:
                sent = 0
            if sent < len(line):
                looker.close()
                self._lookers.remove(looker)

    def close(self) -> None:
        """Let go of everyone, and of the socket."""
        for one in (*self._lookers, *([self._server] if self._server else [])):
            one.close()
        self._lookers.clear()
        if self._server is not None:
            self._server = None
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def connected(state_directory: Path) -> socket.socket:
    """Connect to the service; raise ``OSError`` where none runs or this user may not."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        _by_short_name(socket_path(state_directory), link.connect)
    except OSError:
        link.close()
        raise
    return link


def _by_short_name(path: Path, use: object) -> None:
    """Use a socket by way of its folder's descriptor: the kernel takes no more than 107 bytes."""
    assert callable(use)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)
