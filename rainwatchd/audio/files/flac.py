"""FLAC: how many samples there are by its last frame, and where another stream is chained to it.

Numbers of frames and codes are those of RFC 9639.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rainwatchd.audio.files.part import Part, read_at

_MAGICS = (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22")
"""The mark of a stream and its first block of metadata, STREAMINFO."""

_HEAD_BYTES = 42
"""The mark and STREAMINFO."""

_MOST_SAMPLES = (1 << 36) - 1

_TAIL_BYTES = 1 << 18
"""Searched for the last frames."""

_LONGEST_TAIL_BYTES = 1 << 22
"""Searched where frames are long: eight channels of 24 bits."""

_BLOCK_BYTES = 1 << 20

_READ_AHEAD_BYTES = 1 << 16
"""How much libsndfile may have read of what comes behind the stream it decodes."""


@dataclass(frozen=True)
class _Frame:
    at: int
    number: int
    """Of its first sample, or of the frame where all frames are equally long."""
    samples: int
    variable: bool


def flac_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the stream that begins at `at`, its length corrected by its last frame.

    None if there is no FLAC.
    """
    head = read_at(descriptor, at, _HEAD_BYTES)
    if not head.startswith(_MAGICS):
        return None
    promised = int.from_bytes(head[18:26], "big") & _MOST_SAMPLES
    stop = size
    held = _held_samples(descriptor, at, stop, head)
    if held is not None and held != promised:
        chained = _next(descriptor, at + _HEAD_BYTES, size)
        if chained is not None:
            stop = chained
            held = _held_samples(descriptor, at, stop, head)
    if not held or held == promised:
        return Part(at, stop, chained=_chained)
    sizes = int.from_bytes(head[18:26], "big") >> 36 << 36 | held
    header = head[:18] + sizes.to_bytes(8, "big") + head[26:]
    share = promised / held if promised else 1.0
    return Part(at + _HEAD_BYTES, stop, header, share, chained=_chained)


def _chained(descriptor: int, start: int, reached: int, size: int) -> int | None:
    """Return where the stream begins that is chained to the one begun at `start`.

    Decoding has reached `reached`.
    """
    return _next(descriptor, max(start + 1, reached - _READ_AHEAD_BYTES), size)


def _next(descriptor: int, at: int, size: int) -> int | None:
    """Return where the next stream's mark is, from `at` on."""
    overlap = len(_MAGICS[0]) - 1
    while at < size:
        block = read_at(descriptor, at, _BLOCK_BYTES)
        found = [place for magic in _MAGICS if (place := block.find(magic)) >= 0]
        if found:
            return at + min(found)
        at += max(len(block) - overlap, 1)
    return None


def _held_samples(descriptor: int, at: int, stop: int, head: bytes) -> int | None:
    """Count the samples up to the end of the last whole frame; None where no frame is found."""
    longest = int.from_bytes(head[10:12], "big")
    promised = int.from_bytes(head[18:26], "big") & _MOST_SAMPLES
    tail_bytes = _TAIL_BYTES
    while True:
        tail_at = max(at + _HEAD_BYTES, stop - tail_bytes)
        tail = read_at(descriptor, tail_at, stop - tail_at)
        frames = list(_frames(tail))
        last = _last_of_a_row(frames, from_start=tail_at == at + _HEAD_BYTES)
        if last is not None or tail_at == at + _HEAD_BYTES or tail_bytes >= _LONGEST_TAIL_BYTES:
            break
        tail_bytes *= 4
    if last is None:
        return None
    start = last.number if last.variable else last.number * longest
    end = start + last.samples
    # Tags behind the last frame are no harm, if it ends where it should.
    return end if end == promised or _is_whole(tail[last.at :]) else start


def _last_of_a_row(frames: list[_Frame], from_start: bool) -> _Frame | None:
    """Return the last frame whose number follows from another's: chance makes heads, no rows."""
    expected: set[int] = {0} if from_start else set()
    last = None
    for frame in frames:
        if frame.number in expected:
            last = frame
        expected.add(frame.number + (frame.samples if frame.variable else 1))
    return last


def _frames(data: bytes) -> Iterator[_Frame]:
    """Yield what look like heads of frames: a mark, sane codes, and the right check sum."""
    at = data.find(b"\xff")
    while 0 <= at < len(data) - 5:
        if data[at + 1] in (0xF8, 0xF9):
            frame = _frame(data, at)
            if frame is not None:
                yield frame
        at = data.find(b"\xff", at + 1)


def _frame(data: bytes, at: int) -> _Frame | None:
    size_code, rate_code = data[at + 2] >> 4, data[at + 2] & 15
    if size_code == 0 or rate_code == 15 or data[at + 3] >> 4 > 10 or data[at + 3] & 1:
        return None
    number, end = _coded_number(data, at + 4)
    size_bytes = {6: 1, 7: 2}.get(size_code, 0)
    rate_bytes = {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    check = end + size_bytes + rate_bytes
    if number is None or check >= len(data) or _crc8(data[at:check]) != data[check]:
        return None
    if size_bytes:
        samples = int.from_bytes(data[end : end + size_bytes], "big") + 1
    elif size_code == 1:
        samples = 192
    else:
        samples = 576 << size_code - 2 if size_code < 6 else 256 << size_code - 8
    return _Frame(at, number, samples, data[at + 1] == 0xF9)


def _coded_number(data: bytes, at: int) -> tuple[int | None, int]:
    """Read a number of up to 36 bits, coded like a letter in UTF-8; also return where it ends."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    more = 8 - (first ^ 0xFF).bit_length() - 1
    if not 1 <= more <= 6 or at + 1 + more > len(data):
        return None, at
    number = first & (0x3F >> more)
    for letter in data[at + 1 : at + 1 + more]:
        if letter >> 6 != 2:
            return None, at
        number = number << 6 | letter & 0x3F
    return number, at + 1 + more


def _is_whole(frame: bytes) -> bool:
    """Whether the last frame ends where the stream does, by its check sum (CRC-16, 0x8005)."""
    check = 0
    for letter in frame[:-2]:
        check = (check << 8 ^ _CRC16[check >> 8 ^ letter]) & 0xFFFF
    return check == int.from_bytes(frame[-2:], "big")


def _crc8(data: bytes) -> int:
    check = 0
    for letter in data:
        check = _CRC8[check ^ letter]
    return check


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    top, mask = 1 << bits - 1, (1 << bits) - 1
    entries = []
    for entry in range(256):
        value = entry << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        entries.append(value)
    return tuple(entries)


_CRC8 = _table(0x07, 8)
_CRC16 = _table(0x8005, 16)
