"""What ``--check`` tries, part after part, and what each trial showed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from rainwatchd.errors import RainwatchError

Config = TypeVar("Config")


@dataclass(frozen=True)
class Finding:
    """What one trial showed."""

    part: str
    passed: bool
    said: str
    """The fact, and after a failure how to mend it."""
    width: int
    """Letters that the names of the parts get."""

    def __str__(self) -> str:
        """Write the line that is printed."""
        return f"{'ok  ' if self.passed else 'FAIL'}  {self.part:<{self.width}}  {self.said}"


def tried(
    config: Config, about: str, trials: Mapping[str, Callable[[Config], str]], width: int
) -> Iterator[Finding]:
    """Say what the configuration is `about`, then try part after part.

    None keeps the others from being tried.
    """
    yield Finding("config", True, about, width)
    for part, trial in trials.items():
        try:
            yield Finding(part, True, trial(config), width)
        except RainwatchError as error:
            yield Finding(part, False, str(error), width)
