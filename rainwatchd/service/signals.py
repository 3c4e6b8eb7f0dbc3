"""What the process is asked for from outside."""

from __future__ import annotations

import signal
from types import FrameType


class Signals:
    """What the process was asked for since the last look."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False

    def install(self) -> None:
        """Take over SIGTERM and SIGINT (stop) and SIGHUP (reload)."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop = True
