"""When a recording began: by its GUANO metadata, an AudioMoth's comment, or its name."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from rainwatchd.audio.files.wave import notes

_YEARS = range(1990, 2100)
"""Digits that make a time outside these years are no time."""

_HEX_YEARS = range(2017, 2038)
"""When AudioMoths may have named files by their seconds since 1970; a date in digits is not one."""

_GUANO_TIME = re.compile(r"^\s*Timestamp\s*:\s*(\S.*?)\s*$", re.MULTILINE)

_COMMENT = re.compile(
    r"(\d\d):(\d\d):(\d\d)(?:\.(\d+))? (\d\d)/(\d\d)/(\d{4})"
    r"(?: \(UTC(?:([+-])(\d{1,2})(?::(\d\d))?)?\))?"
)
"""``Recorded at 06:00:00 12/05/2024 (UTC+10) by AudioMoth ...``; first firmwares knew UTC alone."""

_NAME = re.compile(
    r"(?<!\d)(\d{4})([-_]?)(\d\d)\2(\d\d)[T_ $-]{1,2}"
    r"(\d\d)([-_:.]?)(\d\d)\6(\d\d)(?!\d)(?:[.,](\d{1,6})(?!\d))?"
    r"(?:_?(?:(Z)(?![A-Za-z])|([+-])(\d\d)[:_-]?(\d\d)(?!\d)))?",
    re.IGNORECASE,
)
"""Date and time as AudioMoth, Song Meter, Frontier Labs and ISO 8601 write them, perhaps with
words before and behind, and with the offset from UTC."""

_AUDIOMOTH_NAME = re.compile(r"(?:[0-9A-F]{16}_)?\d{8}_\d{6}T?(?:_SYNC)?", re.IGNORECASE)
"""AudioMoth names files in UTC unless it was told otherwise, and says so in its comment then."""

_HEX_NAME = re.compile(r"[0-9A-F]{8}", re.IGNORECASE)


@dataclass(frozen=True)
class Start:
    """When the first sample was recorded."""

    utc: datetime
    assumed: bool = False
    """Whether nothing told the offset from UTC, and none was given."""


def start_of(path: Path, utc_offset: timedelta | None = None) -> Start | None:
    """Return the start of the recording in a file, as `recorded_at` finds it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return recorded_at(path, notes(descriptor, os.fstat(descriptor).st_size), utc_offset)
    finally:
        os.close(descriptor)


def recorded_at(
    path: Path, told: Mapping[bytes, bytes], utc_offset: timedelta | None = None
) -> Start | None:
    """Return the start of a recording; None where nothing tells it.

    Args:
        path: The file's name, for want of anything better.
        told: Bodies of its chunks ``guan`` (GUANO metadata) and ``ICMT`` (AudioMoth's comment).
        utc_offset: Of times that tell none; None takes them for UTC.
    """
    readers: tuple[Callable[[], Start | None], ...] = (
        lambda: _by_guano(told.get(b"guan", b""), utc_offset),
        lambda: _by_comment(told.get(b"ICMT", b"")),
        lambda: _by_name(path.stem, utc_offset),
    )
    for reader in readers:
        try:
            start = reader()
        except (ValueError, OverflowError):  # digits that are no date
            continue
        if start is not None and start.utc.year in _YEARS:
            return start
    return None


def utc_offset(text: str) -> timedelta:
    """Read an offset from UTC as a command line has it."""
    found = re.fullmatch(r"([+-]?)(\d\d?)(?::?([0-5]\d))?", text)
    if text in {"Z", "UTC"}:
        return timedelta(0)
    if found is None or int(found[2]) > 14:
        raise argparse.ArgumentTypeError(f"{text!r} is no offset from UTC such as +10:00 or -04:00")
    return _offset(found[1], found[2], found[3])


def _by_guano(metadata: bytes, utc_offset: timedelta | None) -> Start | None:
    """Read what the GUANO specification calls ``Timestamp``: ISO 8601, its offset optional."""
    found = _GUANO_TIME.search(metadata.decode("utf-8", "replace"))
    return None if found is None else _start(datetime.fromisoformat(found[1]), utc_offset)


def _by_comment(comment: bytes) -> Start | None:
    text = comment.decode("utf-8", "replace")
    found = _COMMENT.search(text)
    if found is None or "Moth" not in text:
        return None
    hour, minute, second, fraction, day, month, year, sign, hours, minutes = found.groups()
    local = _local((year, month, day, hour, minute, second), fraction)
    return _start(local, _offset(sign, hours, minutes))


def _by_name(name: str, utc_offset: timedelta | None) -> Start | None:
    if _HEX_NAME.fullmatch(name):
        start = datetime.fromtimestamp(int(name, 16), UTC)
        return Start(start) if start.year in _HEX_YEARS else None
    found = _NAME.search(name)
    if found is None:
        return None
    year, _, month, day, hour, _, minute, second, fraction, zulu, sign, hours, minutes = (
        found.groups()
    )
    local = _local((year, month, day, hour, minute, second), fraction)
    told = timedelta(0) if zulu else None
    if sign and int(hours) <= 14 and int(minutes) % 15 == 0 and int(minutes) < 60:
        told = _offset(sign, hours, minutes)
    if told is None and utc_offset is None and _AUDIOMOTH_NAME.fullmatch(name):
        told = timedelta(0)
    return _start(local, told if told is not None else utc_offset)


def _local(numbers: tuple[str, ...], fraction: str | None) -> datetime:
    year, month, day, hour, minute, second = map(int, numbers)
    whole = datetime(year, month, day, hour, minute, second)
    return whole + timedelta(seconds=float(f"0.{fraction or 0}"))


def _start(local: datetime, utc_offset: timedelta | None) -> Start:
    if local.tzinfo is None:
        local = local.replace(tzinfo=timezone(utc_offset or timedelta(0)))
        return Start(local.astimezone(UTC), assumed=utc_offset is None)
    return Start(local.astimezone(UTC))


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timedelta:
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    return -offset if sign == "-" else offset
