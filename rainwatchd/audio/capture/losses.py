"""Sound that the driver dropped: how much it was, and how often it happens."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

MANY = 3
"""Losses a minute from which the sound can't be relied on."""

MINUTE_S = 60.0

_LONG_S = 1.0
"""Lateness beyond this is a loss: sound servers deliver in bursts of up to half of it."""


class Lateness:
    """Tells how much sound is missing from how much later the rest comes than it should.

    PortAudio says that something was dropped, never how much. The steadiest clock at hand is the
    stream itself: the least time between a sample's turn and its arrival within the last minutes
    is what arrival costs; whatever comes on top was lost. Older figures don't count, for a sound
    card's crystal drifts by seconds a day.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._arrived = 0
        self._least_s = self._earlier_least_s = math.inf
        self._turn_s = 0.0

    def arrive(self, samples: int, now_s: float, *, dropped: bool) -> int:
        """Take note of a block; return how many samples are missing before it, if some are."""
        self._arrived += samples
        missing = 0
        if dropped:
            late_s = self._late_s(now_s) - min(self._least_s, self._earlier_least_s)
            long = math.isfinite(late_s) and late_s > _LONG_S
            missing = round(late_s * self._rate_hz) if long else samples
            self._arrived += missing
        if now_s - self._turn_s > MINUTE_S:
            self._turn_s, self._earlier_least_s, self._least_s = now_s, self._least_s, math.inf
        self._least_s = min(self._least_s, self._late_s(now_s))
        return missing

    def _late_s(self, now_s: float) -> float:
        return now_s - self._arrived / self._rate_hz


class Losses:
    """Counts losses, and says so when they are many. `trouble` changes at most once a minute."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self.trouble: str | None = None
        self._monotonic = monotonic
        self._seen = 0
        self._times_s: deque[float] = deque(maxlen=1000)
        self._told = 0
        self._told_s = -math.inf

    def reopened(self) -> None:
        """Take note that the stream's own count begins at 0 again."""
        self._seen = 0

    def look(self, overflows: int) -> None:
        """Take the stream's count of losses since it was opened."""
        now_s, new = self._monotonic(), overflows - self._seen
        self._seen = overflows
        self.total += new
        self._times_s.extend([now_s] * new)
        while self._times_s and now_s - self._times_s[0] > MINUTE_S:
            self._times_s.popleft()
        count = len(self._times_s)
        begins = not self._told and count >= MANY
        if not begins and (not self._told or now_s - self._told_s < MINUTE_S):
            return
        self._told_s = now_s
        if count < MANY:
            self._told, self.trouble = 0, None
        elif abs(count - self._told) > self._told / 3:
            self._told, self.trouble = count, f"drops sound, {count} times a minute"
