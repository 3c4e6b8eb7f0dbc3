"""Sample index to UTC, and whether the clock can be trusted."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

_TIME_ERROR = 5
"""adjtimex(2): "The system clock is not synchronized to a reliable server"."""

_TIMEX_BYTES = 512
"""More than any kernel's ``struct timex``; all zero asks for the state and changes nothing."""

STEP_S = 0.5
"""A wall clock that moves against the monotonic one by more than this was set, not slewed:
NTP slews at most 0.5 ms per second, and the anchor is renewed more often than each 1000 s."""


class Clock(Protocol):
    """What the events need to know of time."""

    @property
    def synced(self) -> bool:
        """Whether UTC comes from a disciplined clock."""

    def utc(self, sample: int) -> datetime | None:
        """UTC at the start of `sample`, counted at the model's rate; None where it is unknown."""


@dataclass(frozen=True)
class FixedClock:
    """The clock of a replay: sample 0 was at `start`, if that is known; nobody vouches for it."""

    start: datetime | None
    rate_hz: int
    synced: bool = False

    def utc(self, sample: int) -> datetime | None:
        """UTC at the start of `sample`; None where nothing tells when the recording began."""
        return None if self.start is None else self.start + timedelta(seconds=sample / self.rate_hz)


def kernel_synced() -> bool:
    """Ask the kernel whether something (NTP, PPS, PTP) disciplines its clock.

    False also where the kernel doesn't answer, as under systemd's ``ProtectClock=yes``.
    """
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state not in {-1, _TIME_ERROR}


class StreamClock:
    """Ties the live stream's samples to UTC by an anchor (sample, monotonic seconds, UTC).

    The anchor counts in monotonic seconds and asks for UTC late, so a wall clock that is set
    while an event lasts moves the whole event and stretches nothing.
    """

    def __init__(
        self,
        rate_hz: int,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        synced: Callable[[], bool] = kernel_synced,
    ) -> None:
        self.rate_hz = rate_hz
        self._monotonic = monotonic
        self._wall = wall
        self._kernel_synced = synced
        self._sample = 0
        self._at_s = monotonic()
        self._wall_minus_monotonic_s = wall() - self._at_s
        self.synced = synced()

    def observe(self, sample: int) -> float:
        """Renew the anchor: `sample` is the one that the microphone delivers now.

        Call it every few seconds: a sound card's crystal drifts by seconds a day, a gap's length
        is an estimate, and the wall clock may be set. Returns by how many seconds the wall clock
        was set since the last call, 0.0 where it only drifted.
        """
        now_s = self._monotonic()
        offset_s = self._wall() - now_s
        moved_s = offset_s - self._wall_minus_monotonic_s
        self._sample, self._at_s, self._wall_minus_monotonic_s = sample, now_s, offset_s
        self.synced = self._kernel_synced()
        return moved_s if abs(moved_s) > STEP_S else 0.0

    def utc(self, sample: int) -> datetime:
        """UTC at the start of `sample`, as well as the clock knows it by now."""
        return self._utc(self._monotonic_at(sample))

    def now(self) -> datetime:
        """UTC of this moment."""
        return self._utc(self._monotonic())

    def age_s(self, sample: int) -> float:
        """How long ago `sample` was heard."""
        return self._monotonic() - self._monotonic_at(sample)

    def _monotonic_at(self, sample: int) -> float:
        return self._at_s + (sample - self._sample) / self.rate_hz

    def _utc(self, monotonic_s: float) -> datetime:
        return datetime.fromtimestamp(monotonic_s + self._wall_minus_monotonic_s, UTC)
