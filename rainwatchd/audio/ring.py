"""The buffer between a source that never waits and an analysis that may fall behind."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rainwatchd.audio.samples import Floats

_ITERATION_SAMPLES = 65536
"""Read at once when iterating: 1 to 4 s, small beside a ring and large beside a call's cost."""

_MARKED_GAPS = 64
"""Gaps held at once; a source that stutters more often has its newest gaps joined into one."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive samples."""

    start: int
    """Index of the first sample, from the start of the stream."""
    samples: Floats
    """Shape ``(n,)``."""

    @property
    def end(self) -> int:
        """One past the last sample."""
        return self.start + self.samples.size


@dataclass(frozen=True)
class Gap:
    """Samples that existed in time and were lost."""

    start: int
    """Index of the first lost sample."""
    length: int

    @property
    def end(self) -> int:
        """Index of the first sample after the gap."""
        return self.start + self.length


class RingBuffer:
    """Preallocated mono float32 ring for one producer thread and one consumer thread.

    Every sample has an absolute index from the start of the stream. The producer never waits:
    when the consumer falls a whole ring behind, the oldest samples are overwritten, and the
    consumer gets a `Gap` in their place.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.overruns = 0
        """How often the consumer was overtaken."""
        self.lost_samples = 0
        """Samples lost to overruns and to the gaps that the producer reported."""
        self._samples: Floats = np.zeros(capacity, np.float32)
        # Each index has one writer. The producer raises `_claimed` before it touches the samples
        # and `_written` after, so the consumer can tell whether its copy was overwritten.
        self._claimed = 0
        self._written = 0
        self._position = 0
        self._gaps: deque[Gap] = deque()

    @property
    def written(self) -> int:
        """Index of the next sample to be written: samples and gaps so far."""
        return self._written

    @property
    def free(self) -> int:
        """Samples that can be written without overtaking the consumer."""
        return self.capacity - (self._written - self._position)

    def write(self, samples: Floats) -> None:
        """Append float32 samples, shape ``(n,)``; overwrite the oldest when there is no room."""
        self._claimed = end = self._written + samples.size
        kept = samples[-self.capacity :]
        at = (end - kept.size) % self.capacity
        first = min(kept.size, self.capacity - at)
        self._samples[at : at + first] = kept[:first]
        self._samples[: kept.size - first] = kept[first:]
        self._written = end

    def skip(self, length: int) -> None:
        """Record that the source lost `length` samples here; they are kept as silence."""
        start = self._written
        if len(self._gaps) == _MARKED_GAPS:
            start = self._gaps[-1].start
            self._gaps[-1] = Gap(start, self._written + length - start)
        else:
            self._gaps.append(Gap(start, length))
        self._claimed = end = self._written + length
        silent = min(length, self.capacity)
        at = (end - silent) % self.capacity
        first = min(silent, self.capacity - at)
        self._samples[at : at + first] = 0.0
        self._samples[: silent - first] = 0.0
        self._written = end

    def read(self, max_samples: int) -> Chunk | Gap | None:
        """Take up to `max_samples` unread samples or the gap in their place; None when up to date.

        After an overrun the consumer resumes half a ring behind the producer, not at the oldest
        sample: there it would be overtaken again at once, and no window would ever be whole.
        """
        while True:
            start, written = self._position, self._written
            while self._gaps and self._gaps[0].end <= start:
                self._gaps.popleft()
            marked = self._gaps[0] if self._gaps else None
            if marked is not None and marked.start <= start:
                return self._lose(start, min(marked.end, written))
            oldest = self._claimed - self.capacity
            if start < oldest:
                resume = max(oldest, min(written, self._claimed - self.capacity // 2))
                self.overruns += 1
                return self._lose(start, resume)
            stop = min(written, start + max_samples)
            if marked is not None:
                stop = min(stop, marked.start)
            if stop <= start:
                return None
            samples = self._copy(start, stop)
            if self._claimed - self.capacity <= start:
                self._position = stop
                return Chunk(start, samples)

    def __iter__(self) -> Iterator[Chunk | Gap]:
        """Read until up to date."""
        while (item := self.read(_ITERATION_SAMPLES)) is not None:
            yield item

    def copy(self, start: int, stop: int) -> Chunk:
        """Return what is still held of ``[start, stop)``, read or not; gaps are silence."""
        while True:
            first = max(start, self._claimed - self.capacity, 0)
            samples = self._copy(first, max(first, min(stop, self._written)))
            if self._claimed - self.capacity <= first:
                return Chunk(first, samples)

    def _copy(self, start: int, stop: int) -> Floats:
        at, count = start % self.capacity, stop - start
        first = min(count, self.capacity - at)
        return np.concatenate((self._samples[at : at + first], self._samples[: count - first]))

    def _lose(self, start: int, resume: int) -> Gap:
        self._position = resume
        self.lost_samples += resume - start
        return Gap(start, resume - start)
