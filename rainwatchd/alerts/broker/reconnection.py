"""When a lost broker is tried again, and what a row of losses means."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

FIRST_BACKOFF_S = 1.0
"""Wait before the first new try; doubled each time up to ``mqtt.backoff_max_s``."""

URGENT_FLOOR_S = 5.0
"""From one try to the next, at least, while an alert waits: it ends any longer wait."""

QUICK_S = 30.0
"""A session that is lost sooner after the broker's welcome than this was hardly the network's."""

CONTESTED = 3
"""Quick losses in a row that make another device of the same name likely."""


class Reconnection:
    """Told how each session goes; for the thread that connects, `urge` excepted."""

    def __init__(self, max_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.quick_losses = 0
        """Sessions in a row that were lost soon after the broker's welcome, without a reason."""
        self._max_s = max_s
        self._monotonic = monotonic
        self._backoff_s = FIRST_BACKOFF_S
        self._began_s = self._next_s = monotonic()
        self._welcomed_s: float | None = None
        self._urgent = threading.Event()

    @property
    def contested(self) -> bool:
        """Whether another device seems to have this one's name."""
        return self.quick_losses >= CONTESTED

    @property
    def left_s(self) -> float:
        """How long to wait until the next try."""
        next_s = self._next_s
        if self._urgent.is_set():
            next_s = min(next_s, self._began_s + URGENT_FLOOR_S)
        return max(0.0, next_s - self._monotonic())

    def urge(self) -> None:
        """Say, from any thread, that an alert waits."""
        self._urgent.set()

    def begin(self) -> None:
        """Take note that a try begins."""
        self._began_s, self._welcomed_s = self._monotonic(), None

    def welcomed(self) -> None:
        """Take note that the broker has taken the device in."""
        self._welcomed_s = self._monotonic()
        self._urgent.clear()

    def settled(self) -> bool:
        """Whether a session after a row of quick losses has just been found to hold."""
        if not self.quick_losses or self._welcomed_s is None:
            return False
        if self._monotonic() - self._welcomed_s < QUICK_S:
            return False
        self.quick_losses = 0
        return True

    def ended(self, *, explained: bool) -> None:
        """Take note that the session, or the try, is over, and whether its reason is known."""
        now_s = self._monotonic()
        if self._welcomed_s is not None:
            quick = now_s - self._welcomed_s < QUICK_S and not explained
            self.quick_losses = self.quick_losses + 1 if quick else 0
        # A session that held for longer than the wait is no part of a row of failures.
        if now_s - self._began_s > max(self._backoff_s, 2.0):
            self._backoff_s = FIRST_BACKOFF_S
        self._next_s = now_s + self._backoff_s * random.uniform(0.5, 1.0)
        self._backoff_s = min(2 * self._backoff_s, self._max_s)
