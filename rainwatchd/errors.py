"""Errors that are meant for people: one line that says what, where and how to mend it."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str | None], None]
"""Told what is wrong, or None once nothing is."""


class RainwatchError(Exception):
    """Anything that the program can explain; shown as one line, never as a traceback."""


class ConfigError(RainwatchError):
    """The configuration cannot be used; exit status 78. Brings all that is wrong with it."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes
        """One line each."""


class ModelError(RainwatchError):
    """The model file cannot be honoured; names the field."""


class AudioError(RainwatchError):
    """A recording or a microphone cannot be read; names it."""
