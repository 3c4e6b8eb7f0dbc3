"""Ogg: where one stream ends and another, chained to it, begins."""

from __future__ import annotations

from dataclasses import replace

from rainwatchd.audio.files.granules import corrected, page_before
from rainwatchd.audio.files.part import Part, read_at

_BLOCK_BYTES = 1 << 20
_PAGE_BYTES = 65307
"""The longest page."""

_READ_AHEAD_BYTES = 4 * _PAGE_BYTES
"""How much libsndfile may have read of what comes behind the stream it decodes."""

_FIRST_PAGE = 2
"""The flag of a stream's first page (RFC 3533)."""


def ogg_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the stream that begins at `at`, if that is Ogg."""
    if read_at(descriptor, at, 5) != b"OggS\0":
        return None
    odd = _unended(descriptor, at, size)
    part = _corrected_part(descriptor, at, size) or Part(at, size)
    return replace(part, chained=_chained, revised=_revised, odd=odd)


def _corrected_part(descriptor: int, at: int, stop: int) -> Part | None:
    """Return the stream from `at` to `stop` with another end; None if its own is right."""
    correction = corrected(descriptor, at, stop)
    if correction is None:
        return None
    instead = correction.at, correction.page
    return Part(at, stop, instead=instead, promised=correction.promised, counted=False)


def _revised(descriptor: int, at: int, following: int) -> Part | None:
    """Correct a stream's end once it is known where the next begins: both may have one number."""
    part = _corrected_part(descriptor, at, following)
    return None if part is None else replace(part, following=following)


def _unended(descriptor: int, at: int, size: int) -> str | None:
    """Say so if the last page that is whole ends no stream."""
    page = page_before(descriptor, at, size)
    if page is not None and page.last:
        return None
    return "the mark of its end is missing: it was cut short there, or never closed"


def _chained(descriptor: int, start: int, reached: int, size: int) -> int | None:
    """Return where the stream begins that is chained to the one begun at `start`.

    Decoding has reached `reached`. Streams that are multiplexed begin together, before the first
    page of sound, so a first page behind another kind of page is the chained one's.
    """
    at = max(start, reached - _READ_AHEAD_BYTES)
    sound = at > start
    while at < size:
        block = read_at(descriptor, at, _BLOCK_BYTES)
        page = block.find(b"OggS\0")
        while 0 <= page <= len(block) - 6:
            first = bool(block[page + 5] & _FIRST_PAGE)
            if first and sound:
                return at + page
            sound = sound or not first
            page = block.find(b"OggS\0", page + 5)
        at += max(1, len(block) - 5) if len(block) > 5 else len(block) + 1
    return None
