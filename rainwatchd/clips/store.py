"""The folder of evidence: files that appear whole, within a quota, the oldest going first."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z_[A-Za-z0-9-]+_[0-9a-f]{12}\.(flac|png)")
"""What `clip_name` makes. Nothing else in the folder is counted or removed."""

_CLOCK_WAS_SET_S = 1577836800.0
"""2020-01-01. A file from before was written while the clock was not set: its age is unknown."""


def clip_name(start: str, label: str, event_id: str) -> str:
    """Name an event's recording by its start in UTC, so that names sort by time."""
    stamp = start.replace("-", "").replace(":", "")
    return f"{stamp}_{re.sub(r'[^A-Za-z0-9]', '-', label)}_{event_id[-12:]}.flac"


class Quota(NamedTuple):
    """What the folder may hold."""

    max_bytes: int
    max_age_s: float
    min_free_bytes: int
    """Space on the file system that is left to others."""


class _File(NamedTuple):
    name: str
    size_bytes: int
    written_s: float


class ClipStore:
    """Keeps files in `directory` within a quota. Methods raise ``OSError`` as the disk does."""

    def __init__(
        self,
        directory: Path,
        quota: Quota,
        wall: Callable[[], float] = time.time,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._directory = directory
        self._quota = quota
        self._wall = wall
        self._free_bytes = free_bytes

    def prepare(self) -> None:
        """Make the folder; remove what a killed run had not finished."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for part in self._directory.glob(".*.part"):
            part.unlink(missing_ok=True)

    def make_room(self, needed_bytes: int) -> bool:
        """Remove old files until `needed_bytes` fit; False if they do not fit even then.

        For what is larger than the whole quota none is removed.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        if needed_bytes > self._quota.max_bytes:
            return False
        files = self._files()
        total_bytes = sum(file.size_bytes for file in files)
        for file in files:
            if self._fits(total_bytes + needed_bytes, needed_bytes) and not self._expired(file):
                break
            (self._directory / file.name).unlink(missing_ok=True)
            total_bytes -= file.size_bytes
        return self._fits(total_bytes + needed_bytes, needed_bytes)

    def add(self, name: str, data: bytes) -> None:
        """Write a file that is there whole or not at all, even after a power cut."""
        part = self._directory / f".{name}.part"
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._directory / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def _files(self) -> list[_File]:
        files = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    stat = entry.stat(follow_symlinks=False)
                    files.append(_File(entry.name, stat.st_size, stat.st_mtime))
        return sorted(files)

    def _fits(self, total_bytes: int, needed_bytes: int) -> bool:
        left_bytes = self._free_bytes(self._directory) - needed_bytes
        return total_bytes <= self._quota.max_bytes and left_bytes >= self._quota.min_free_bytes

    def _expired(self, file: _File) -> bool:
        age_s = self._wall() - file.written_s
        return file.written_s > _CLOCK_WAS_SET_S and age_s > self._quota.max_age_s
