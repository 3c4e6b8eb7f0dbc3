"""How long a recording is, as far as a look at its first bytes tells: to plan by, not to trust."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import soundfile

from rainwatchd.audio.files.part import read_at

_HEAD_BYTES = 4096

_TAIL_BYTES = 1 << 16
"""No Ogg page is longer."""

_BYTES_PER_S = {
    ".mp3": 16_000.0,
    ".opus": 8_000.0,
    ".ogg": 12_000.0,
    ".oga": 12_000.0,
    ".flac": 50_000.0,
}
_PCM_BYTES_PER_S = 96_000.0
"""16 bit at 48 kHz."""

_BY_LIBSNDFILE = frozenset([".aif", ".aiff", ".aifc", ".au", ".caf", ".w64"])
"""Whose headers count frames, and which are rare."""

_OPUS_RATE_HZ = 48_000


def length_s(path: str | Path, size: int) -> float:
    """Return about how many seconds there are; 0 where there is surely nothing."""
    if size == 0:
        return 0.0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            head = read_at(descriptor, 0, _HEAD_BYTES)
            told_s = _told_s(head, descriptor, size)
        finally:
            os.close(descriptor)
        if told_s is None and Path(path).suffix.lower() in _BY_LIBSNDFILE:
            told_s = float(soundfile.info(str(path)).duration)
    except (OSError, soundfile.SoundFileError, struct.error, ZeroDivisionError):
        told_s = None
    return guess_s(Path(path).suffix, size) if told_s is None else told_s


def guess_s(suffix: str, size: int) -> float:
    """Return about how many seconds so many bytes are, by what is usual."""
    return size / _BYTES_PER_S.get(suffix.lower(), _PCM_BYTES_PER_S)


def _told_s(head: bytes, descriptor: int, size: int) -> float | None:
    if head[8:12] == b"WAVE":
        return _wave_s(head, size)
    if head.startswith(b"fLaC"):
        return _flac_s(head)
    if head.startswith(b"OggS"):
        return _ogg_s(head, read_at(descriptor, max(0, size - _TAIL_BYTES), _TAIL_BYTES))
    return None


def _wave_s(head: bytes, size: int) -> float | None:
    """Read RIFF and RF64; a recorder that lost its power claims next to nothing, or too much."""
    order = ">" if head.startswith(b"RIFX") else "<"
    at, bytes_per_s = 12, 0
    while at + 8 <= len(head):
        name, claimed = struct.unpack_from(f"{order}4sI", head, at)
        if name == b"fmt ":
            (bytes_per_s,) = struct.unpack_from(f"{order}I", head, at + 16)
        elif name == b"data":
            held = max(0, size - at - 8)
            return (claimed if held / 2 < claimed < held else held) / bytes_per_s
        at += 8 + claimed + claimed % 2
    return size / bytes_per_s


def _flac_s(head: bytes) -> float | None:
    """Read STREAMINFO (RFC 9639, 8.2): rate in 20 bits, then 8 others, then frames in 36."""
    packed = int.from_bytes(head[18:26], "big")
    frames = packed & (1 << 36) - 1
    return frames / (packed >> 44) if frames else None


def _ogg_s(head: bytes, tail: bytes) -> float | None:
    """Read the last page's granule position (RFC 3533, 6), which counts samples."""
    last = tail.rfind(b"OggS")
    (granule,) = struct.unpack_from("<q", tail, last + 6)
    vorbis = head.find(b"\x01vorbis")
    rate_hz = _OPUS_RATE_HZ
    if vorbis >= 0:
        (rate_hz,) = struct.unpack_from("<I", head, vorbis + 12)
    return float(granule / rate_hz) if granule > 0 else None
