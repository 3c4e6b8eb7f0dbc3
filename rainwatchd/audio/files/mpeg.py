"""MP3: whether its length is told or only guessed, and how all of it is read.

libsndfile reads as many frames as Xing's header tells, and guesses by the first frame where there
is none; it takes VBRI's for sound. Behind a header that tells more than there can be it reads them
all.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rainwatchd.audio.files.part import Part, read_at

_SEARCH_BYTES = 1 << 16
"""How far from where a stream should begin it is sought."""

_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = (44100, 48000, 32000)

_HEADERS = (b"Xing", b"Info", b"VBRI")

_MOST_FRAMES = 0x7FFFFFFF

_SPARE_FRAMES = 2
"""VBRI's own, and one that an encoder fills up."""


@dataclass(frozen=True)
class _Frame:
    """The head of a frame of layer III (ISO 11172-3, 13818-3)."""

    head: bytes
    length: int
    side_bytes: int
    """Between the head and the sound, where Xing's header is."""
    samples: int

    @property
    def endless(self) -> bytes:
        """A frame with a header of Xing that tells more frames than there can be."""
        place = 4 + self.side_bytes
        start = self.head + bytes(self.side_bytes) + b"Xing" + struct.pack(">II", 1, _MOST_FRAMES)
        return start + bytes(self.length - place - 12)


def mpeg_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the MP3 stream that begins at `at`, behind an ID3 tag perhaps; None if none does."""
    begin = behind_id3(descriptor, at)
    frame = _first_frame(descriptor, begin)
    if frame is None:
        return None
    start = read_at(descriptor, begin, frame.length)
    told = start.find(b"Xing", 4, 4 + frame.side_bytes + 4), start.find(b"Info", 4, 40)
    if max(told) >= 0:
        flags, _, length = struct.unpack(">III", start[max(told) + 4 : max(told) + 16])
        if flags & 1:
            stop = _stop(descriptor, begin, length if flags & 2 else 0, size)
            return Part(at, stop, chained=_chained)
    stop, told_samples = size, None
    if start[36:40] == b"VBRI":
        length, frames = struct.unpack(">II", start[46:54])
        stop = _stop(descriptor, begin, length, size)
        told_samples = max(0, frames - _SPARE_FRAMES) * frame.samples or None
        begin += frame.length
    return Part(
        begin, stop, frame.endless, counted=False, chained=_chained, told_samples=told_samples
    )


def _stop(descriptor: int, begin: int, length: int, size: int) -> int:
    """Return the end of a stream of which a header says so many bytes.

    It is right unless the sound goes on there without another header.
    """
    stop = begin + length
    if not 0 < length < size - begin:
        return size
    behind = _chained(descriptor, begin, stop, size)
    if behind is None:
        return stop
    start = read_at(descriptor, behind_id3(descriptor, behind), 64)
    return stop if behind == stop and any(name in start for name in _HEADERS) else size


def _chained(descriptor: int, _start: int, reached: int, size: int) -> int | None:
    """Return where MP3 goes on near `reached`, where decoding has stopped."""
    block = read_at(descriptor, reached, min(_SEARCH_BYTES, max(0, size - reached)))
    at = 0
    while at < len(block) - 4:
        if block.startswith(b"ID3", at) or _frame(block[at : at + 4]) is not None:
            begin = behind_id3(descriptor, reached + at)
            if _first_frame(descriptor, begin) is not None:
                return reached + at
        at += 1
    return None


def behind_id3(descriptor: int, at: int) -> int:
    """Return where the ID3v2 tag at `at` ends; `at` where there is none."""
    head = read_at(descriptor, at, 10)
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return at
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return at + 10 + length + (10 if head[5] & 0x10 else 0)


def _first_frame(descriptor: int, at: int) -> _Frame | None:
    """Return the frame at `at`; None where there is none, or no second one behind it."""
    frame = _frame(read_at(descriptor, at, 4))
    if frame is None or _frame(read_at(descriptor, at + frame.length, 4)) is None:
        return None
    return frame


def _frame(head: bytes) -> _Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version = head[1] >> 3 & 3
    code, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or code in (0, 15) or rate == 3:
        return None
    first = version == 3
    rate_hz = _RATES_HZ[rate] // {3: 1, 2: 2, 0: 4}[version]
    bytes_per_s = (_KBITS_1 if first else _KBITS_2)[code] * 125
    length = (1152 if first else 576) * bytes_per_s // rate_hz + (head[2] >> 1 & 1)
    mono = head[3] >> 6 == 3
    side_bytes = (17 if mono else 32) if first else (9 if mono else 17)
    if length < 4 + side_bytes + 12:
        return None
    return _Frame(head, length, side_bytes, 1152 if first else 576)
