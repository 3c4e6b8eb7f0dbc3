"""Files made of chunks that tell their own size: an identifier, a size, a body."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rainwatchd.audio.files.part import read_at

_UNKNOWN_BYTES = ((0x7FFFF000, 0x80001000), (0xFFFFF000, 0x100000000), (1 << 62, 1 << 64))
"""From and to: lengths that programs write which stream to a pipe and cannot know better."""

MOST_CHUNKS = 1000
"""More are no header; a file of nothing but tiny chunks would take hours."""

_PADDING_BYTES = 1 << 20
"""So many zeros behind the sound, at most, only fill the card's last block."""

_SPARE_BYTES = 64
"""Too few to be worth a word."""


@dataclass(frozen=True)
class Layout:
    """How a format writes its chunks."""

    id_bytes: int
    size_bytes: int
    byte_order: Literal["little", "big"]
    multiple: int
    """Chunks begin at multiples of this, counted from the first."""
    size_includes_header: bool = False

    @property
    def header_bytes(self) -> int:
        """Before a chunk's body."""
        return self.id_bytes + self.size_bytes


@dataclass(frozen=True)
class Chunk:
    """One chunk; its size is what it claims."""

    name: bytes
    body: int
    """Where the body begins in the file."""
    size: int
    end: int
    """Where the next chunk begins."""


def walk(descriptor: int, at: int, size: int, layout: Layout) -> Iterator[Chunk]:
    """Yield the chunks from `at` on, as far as they are chunks; one may claim to end behind `size`.

    `size` is the file's.
    """
    for _ in range(MOST_CHUNKS):
        head = read_at(descriptor, at, layout.header_bytes)
        name, number = head[: layout.id_bytes], head[layout.id_bytes :]
        if len(head) < layout.header_bytes or not is_name(name[:4]):
            return
        length = int.from_bytes(number, layout.byte_order)
        if layout.size_includes_header:
            length -= layout.header_bytes
        if length < 0:
            return
        body = at + layout.header_bytes
        at = body + length + -length % layout.multiple
        yield Chunk(name, body, length, at)
        if at >= size:
            return


def tells_length(size: int) -> bool:
    """Whether a header that says so many bytes knows how many there are."""
    return size > 0 and not any(start <= size < stop for start, stop in _UNKNOWN_BYTES)


def promised(claimed: int, held: int) -> float:
    """Return the length that a header claims over that of the sound there is; 1 if it claims none.

    Both are in bytes.
    """
    return claimed / held if held > 0 and tells_length(claimed) else 1.0


def sound_bytes(
    descriptor: int, chunk: Chunk, size: int, layout: Layout, known: frozenset[bytes]
) -> int:
    """Return how many bytes of sound there are in `chunk`, whatever it claims.

    They reach to the end of the file if the chunk claims to, or if what is behind its claimed end
    is neither chunks nor padding.
    """
    held = size - chunk.body
    if chunk.size >= held:
        return held
    return chunk.size if _is_rest(descriptor, chunk, size, layout, known) else held


def _is_rest(
    descriptor: int, chunk: Chunk, size: int, layout: Layout, known: frozenset[bytes]
) -> bool:
    at = min(chunk.end, size)
    if size - at <= _SPARE_BYTES:
        return True
    behind = list(walk(descriptor, at, size, layout))
    if behind and (behind[0].name[:4] in known or abs(behind[-1].end - size) <= 1):
        return True
    return size - at <= _PADDING_BYTES and not any(read_at(descriptor, at, size - at))


def is_name(name: bytes) -> bool:
    """Whether it can be a chunk's name: printable letters."""
    return all(32 <= letter < 127 for letter in name)
