"""What the last page of an Ogg tells of the stream's length, held against the sound in it.

libsndfile decodes no more than the last page's granule position says (RFC 3533, 6). That page and
the stream's head are decoded by themselves: the position has to be behind that of the page before
by as much as comes out, less what the encoder filled its last packet with: less than that packet.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import NamedTuple

import soundfile

from rainwatchd.audio.files.part import read_at

_MARK = b"OggS\0"
_BLOCK_BYTES = 1 << 17
"""Twice the longest page."""

_MOST_HEAD_BYTES = 1 << 22
"""The pages before the first of sound; they may hold a picture."""

_MOST_GRANULES = 2**60
"""More is no count."""

_OPUS_RATE_HZ = 48_000
"""Opus counts at this rate, whatever the sound's is (RFC 7845, 4)."""

_LAST_PAGE = 4
"""The flag of a stream's last page."""

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class Correction(NamedTuple):
    """A last page that doesn't end the sound before its end, and where it stands."""

    at: int
    page: bytes
    promised: float
    """The length that was told over the one that is told now; 1 where none was told."""


class Page(NamedTuple):
    """A page and where it stands."""

    at: int
    content: bytes

    @property
    def last(self) -> bool:
        """Whether its stream ends with it."""
        return bool(self.content[5] & _LAST_PAGE)

    @property
    def granule(self) -> int:
        """How many samples the stream has at the page's end; -1 where no packet ends in it."""
        return int.from_bytes(self.content[6:14], "little", signed=True)

    @property
    def serial(self) -> bytes:
        """Which stream it is of."""
        return self.content[14:18]

    @property
    def without_last_packet(self) -> Page | None:
        """The page with one packet less; None if there is no more than one in it."""
        first = 27
        end = first + self.content[26]
        start = end - 1
        while start > first and self.content[start - 1] == 255:
            start -= 1
        if start <= first:
            return None
        kept = end + sum(self.content[first:start])
        count = bytes([start - first])
        content = self.content[:26] + count + self.content[first:start] + self.content[end:kept]
        return Page(self.at, content)

    def telling(self, granule: int, number: int | None = None) -> bytes:
        """Return the page with another position and, if given, another place in the stream."""
        head = self.content[:6] + struct.pack("<q", granule) + self.content[14:22]
        if number is not None:
            # An end that comes with the first sound would have to be exact.
            flags = self.content[5] & ~_LAST_PAGE
            head = head[:5] + bytes([flags]) + head[6:18] + struct.pack("<I", number)
        crc = _crc(head + bytes(4) + self.content[26:])
        return head + crc + self.content[26:]


def corrected(descriptor: int, at: int, size: int) -> Correction | None:
    """Correct the end of the stream that begins at `at`; None where it needs none."""
    head = _head(descriptor, at, size)
    if not head or len({page.serial for page in head}) != 1:
        return None
    last = page_before(descriptor, at, size, head[0].serial)
    if last is None:
        return None
    head = [page for page in head if page.at < last.at]
    before = page_before(descriptor, at, last.at, head[0].serial) if head else None
    if before is None:
        return None
    opus = head[0].content.find(b"OpusHead")
    try:
        held, rate_hz = _held(head, last)
        shorter = last.without_last_packet
        spare = held if shorter is None else held - _held(head, shorter)[0]
    except soundfile.SoundFileError:
        return None
    counted_hz = rate_hz if opus < 0 else _OPUS_RATE_HZ
    end = max(0, before.granule) + round(held / rate_hz * counted_hz)
    if opus >= 0:
        # Decoded by itself, the last page loses what is skipped at the start.
        end += int.from_bytes(head[0].content[opus + 10 : opus + 12], "little")
    if last.granule >= end - spare / rate_hz * counted_hz or end > _MOST_GRANULES:
        return None
    # Vorbis gives no sound of the first packet: further than it goes, it ends where the pages do.
    told = end + counted_hz if opus < 0 else end
    promised = last.granule / told if last.granule > 0 else 1.0
    return Correction(last.at, last.telling(told), promised)


def _held(head: list[Page], last: Page) -> tuple[int, int]:
    """Return how many samples the last page gives by itself, and their rate."""
    # No page can hold more than that many.
    page = last.telling(1 << 30, number=len(head))
    content = b"".join(page.content for page in head) + page
    held = 0
    with soundfile.SoundFile(io.BytesIO(content)) as file:
        while block := len(file.read(1 << 16, dtype="float32")):
            held += block
        return held, int(file.samplerate)


def _head(descriptor: int, at: int, size: int) -> list[Page]:
    """Return the pages before the first of sound, and a last page of no count; none if too many."""
    pages: list[Page] = []
    end = min(size, at + _MOST_HEAD_BYTES)
    while at < end:
        page = _page(at, read_at(descriptor, at, min(_BLOCK_BYTES // 2, size - at)))
        if page is None:
            return pages
        if page.granule not in {0, -1}:
            return pages
        pages.append(page)
        at += len(page.content)
    return pages if at >= size else []


def page_before(descriptor: int, start: int, stop: int, serial: bytes | None = None) -> Page | None:
    """Return the last whole page, of one stream or of any, that ends at or before `stop`."""
    block_stop = stop
    while block_stop > start:
        block_at = max(start, block_stop - _BLOCK_BYTES)
        block = read_at(descriptor, block_at, min(stop, block_stop + _BLOCK_BYTES) - block_at)
        mark = block.rfind(_MARK)
        while mark >= 0:
            page = _page(block_at + mark, block[mark:])
            if page is not None and serial in {None, page.serial}:
                return page
            mark = block.rfind(_MARK, 0, mark)
        block_stop = block_at
    return None


def _page(at: int, content: bytes) -> Page | None:
    """Return the page that `content` begins with, if it is whole and its checksum right."""
    if not content.startswith(_MARK) or len(content) < 27:
        return None
    body = 27 + content[26]
    length = body + sum(content[27:body])
    page = Page(at, content[:length])
    if len(page.content) < length or page.telling(page.granule) != page.content:
        return None
    return page


def _crc(content: bytes) -> bytes:
    """Return Ogg's checksum: zlib's polynomial with the bits the other way, begun at 0."""
    mirrored = zlib.crc32(content.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "big").translate(_REVERSED)
