"""A stretch of a file that libsndfile reads as a file of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


_LAST_PLACE = (1 << 63) - 1
"""No file is longer; what a header of 64 bits claims may be."""


@dataclass(frozen=True)
class Part:
    """The bytes from `start` to `stop`, behind a header of our own if the file's is wrong."""

    start: int
    stop: int
    header: bytes = b""
    """Stands before `start`, instead of what the file has there."""
    promised: float = 1.0
    """Length by the file's header over that of the sound there is, if the header says any.

    Above 1 where sound is missing, below where the header does not know of all.
    """
    counted: bool = True
    """Whether the header counts frames; else libsndfile only guesses how many there are."""
    told_samples: int | None = None
    """What the file's header promises where libsndfile doesn't count by it."""
    following: int | None = None
    """Where another part may begin; None: where `chained` finds one."""
    chained: Callable[[int, int, int, int], int | None] | None = None
    """Finds it: of a descriptor, this part's start, where decoding has stopped, the file's size."""
    then: Part | None = None
    """The part that follows, where it is known already."""
    revised: Callable[[int, int, int], Part | None] | None = None
    """Returns this part with another end, if what follows it shows that its own was wrong.

    Takes a descriptor, this part's start, and where what follows begins.
    """
    odd: str | None = None
    """What is odd about it."""
    unreadable: int = 0
    """Bytes of sound that libsndfile cannot be brought to read."""
    instead: tuple[int, bytes] | None = None
    """Bytes that are read instead of the file's, and where in the file they stand."""

    def whole(self, size: int) -> bool:
        """Whether this is a file of `size` bytes as it is."""
        changed = self.header or self.instead
        return self.start == 0 and self.stop == size and not changed


class PartFile(io.RawIOBase):
    """A part as a file; its position is its own, so that `descriptor` can serve several."""

    def __init__(self, descriptor: int, part: Part) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._part = part
        self._position = 0
        self._size = len(part.header) + part.stop - part.start

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, counted from the start of the header."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move as files do."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer`, less of it only at the end; return the number of bytes."""
        view = memoryview(buffer).cast("B")
        header = self._part.header[self._position : self._position + len(view)]
        view[: len(header)] = header
        at = self._part.start + self._position + len(header) - len(self._part.header)
        count, stop = len(header), len(header) + self._part.stop - at
        while count < min(len(view), stop):
            more = os.preadv(self._descriptor, [view[count:stop]], at)
            if not more:
                break
            if self._part.instead is not None:
                _put(*self._part.instead, view[count : count + more], at)
            count += more
            at += more
        self._position += count
        return count


def _put(place: int, content: bytes, view: memoryview, at: int) -> None:
    """Put what of `content` belongs there into the bytes that were read from `at`."""
    first, last = max(place, at), min(place + len(content), at + len(view))
    if first < last:
        view[first - at : last - at] = content[first - place : last - place]


def read_at(descriptor: int, at: int, size: int) -> bytes:
    """Return `size` bytes of a file, fewer only at its end, whatever its position."""
    pieces = []
    while size > 0 and at <= _LAST_PLACE and (piece := os.pread(descriptor, size, at)):
        pieces.append(piece)
        at += len(piece)
        size -= len(piece)
    return b"".join(pieces)
