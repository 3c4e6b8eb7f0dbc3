"""Exact zeros: what a recorder writes that has lost its power or its microphone."""

from __future__ import annotations

import numpy as np

from rainwatchd.audio.samples import Floats


class Zeros:
    """Finds stretches of nothing but zeros, longer than a second, in a stream of samples."""

    def __init__(self, rate_hz: int) -> None:
        self.first: tuple[int, int] | None = None
        """Where the first stretch begins and ends."""
        self.stretches = 0
        self.samples = 0
        """In all stretches."""
        self._rate_hz = rate_hz
        self._position = 0
        self._began = 0

    def push(self, samples: Floats) -> None:
        """Take the next samples, shape ``(n,)``."""
        if samples.size <= self._rate_hz and samples.size and samples[0] and samples[-1]:
            self._end(self._position)
            self._position += samples.size
            self._began = self._position
            return
        sounding = np.flatnonzero(samples)
        if sounding.size:
            self._end(self._position + int(sounding[0]))
            for at in np.flatnonzero(np.diff(sounding) > self._rate_hz):
                self._began = self._position + int(sounding[at]) + 1
                self._end(self._position + int(sounding[at + 1]))
            self._began = self._position + int(sounding[-1]) + 1
        self._position += samples.size

    def skip(self, length: int) -> None:
        """Take note that `length` samples were not recorded."""
        self._end(self._position)
        self._position += length
        self._began = self._position

    def finish(self) -> str | None:
        """Say where there was nothing but zeros; None if nowhere. The stream is over."""
        self._end(self._position)
        self._began = self._position
        if self.first is None:
            return None
        start_s, end_s = (place / self._rate_hz for place in self.first)
        first = f"nothing but zeros from {start_s:.3f} s to {end_s:.3f} s"
        if self.stretches == 1:
            return first
        total_s = self.samples / self._rate_hz
        return f"{first}, and in {self.stretches} stretches {total_s:.1f} s in all"

    def _end(self, at: int) -> None:
        if at - self._began > self._rate_hz:
            self.first = self.first or (self._began, at)
            self.stretches += 1
            self.samples += at - self._began
