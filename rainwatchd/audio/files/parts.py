"""A recording's parts: its sound as far as its bytes go, and what was appended to it."""

from __future__ import annotations

from collections.abc import Callable

from rainwatchd.audio.files.flac import flac_part
from rainwatchd.audio.files.iff import aiff_part, au_part, caf_part
from rainwatchd.audio.files.mpeg import behind_id3, mpeg_part
from rainwatchd.audio.files.ogg import ogg_part
from rainwatchd.audio.files.part import Part, read_at
from rainwatchd.audio.files.rare import avr_part, nist_part, svx_part, voc_part, wve_part
from rainwatchd.audio.files.wave import wave_part

_READERS: tuple[Callable[[int, int, int], Part | None], ...] = (
    wave_part,
    flac_part,
    ogg_part,
    aiff_part,
    au_part,
    caf_part,
    voc_part,
    nist_part,
    avr_part,
    svx_part,
    wve_part,
    mpeg_part,
)


def first_part(descriptor: int, size: int) -> Part:
    """Return the part that a file of `size` bytes begins with; what is unknown is one part."""
    return _part_at(descriptor, 0, size) or Part(0, size, chained=_nothing)


def next_part(descriptor: int, part: Part, reached: int, size: int) -> Part | None:
    """Return the part that follows `part`, whose decoding has stopped at the byte `reached`."""
    if part.then is not None:
        return part.then
    at = part.following
    if at is None and part.chained is not None:
        at = part.chained(descriptor, part.start, reached, size)
    return None if at is None or at >= size else _part_at(descriptor, at, size)


def unheard_bytes(descriptor: int, part: Part, reached: int, size: int) -> int:
    """Count the bytes behind the last part that may be sound: neither tags nor padding."""
    if part.chained is None:
        return part.unreadable
    end = _before_tags(descriptor, size)
    return max(0, end - reached) if any(read_at(descriptor, reached, 1 << 16)) else 0


def _nothing(_descriptor: int, _start: int, _reached: int, _size: int) -> None:
    """Find nothing that is chained to what is unknown."""


def _before_tags(descriptor: int, size: int) -> int:
    """Return where the tags begin that MP3 and even FLAC have at their end: ID3v1, APE."""
    if read_at(descriptor, max(0, size - 128), 3) == b"TAG":
        size -= 128
    foot = read_at(descriptor, max(0, size - 32), 32)
    if foot.startswith(b"APETAGEX"):
        has_head = foot[23] >> 7
        size -= int.from_bytes(foot[12:16], "little") + 32 * has_head
    return size


def _part_at(descriptor: int, at: int, size: int) -> Part | None:
    for place in dict.fromkeys((at, behind_id3(descriptor, at))):
        for reader in _READERS:
            if (part := reader(descriptor, place, size)) is not None:
                return part
    return None
