"""What a YAML file holds: its values, and the place and the wording of each of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document to a value."""


@dataclass
class Document:
    """The values of a YAML file and where each of them stands."""

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)
    """Single values in their own letters: ``no`` where `values` has False."""
    mistakes: list[str] = field(default_factory=list)
    """What is wrong with the text itself, one line each with its place."""

    def place(self, path: Path) -> str:
        """Name the place of `path`, or of the nearest key around or in it, as ``file:line``."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        # A section that only the command line has made.
        inside = (place for key, place in self.places.items() if path and key[: len(path)] == path)
        return next(inside, self.source)

    def line(self, mistake: str) -> int:
        """Return the line that a mistake names, by which they are sorted; others come last."""
        number = mistake.removeprefix(f"{self.source}:").partition(":")[0]
        return int(number) if number.isdecimal() else sys.maxsize

    def put(self, path: Sequence[str], value: object, place: str, written: str) -> None:
        """Set one value from elsewhere, such as the command line; `place` names it in errors."""
        section = self.values
        for depth, key in enumerate(path[:-1], start=1):
            inner = section.get(key)
            if inner is None:
                inner = section[key] = {}
            if not isinstance(inner, dict):
                self.mistakes.append(f"{place}: {'.'.join(path[:depth])} holds no keys")
                return
            section = inner
        section[path[-1]] = value
        self.places[tuple(path)] = place
        self.written[tuple(path)] = written


def dotted(path: Path) -> str:
    """Write a path as people type it: ``mqtt.port``."""
    return ".".join(shortened(str(key)) for key in path)


def shortened(text: str) -> str:
    """Bring `text` into a line of bounded length."""
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= 80 else f"{text[:77]}..."
