"""How far a replay is: a bar on a terminal, and what was done when it is interrupted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rainwatchd.errors import AudioError
from rainwatchd.replay.replay import Heard, Item
from rainwatchd.replay.report import clock

if TYPE_CHECKING:
    from tqdm import tqdm

_FORMAT = "{percentage:3.0f} % |{bar:24}| {desc}, {remaining} left"

_INTERVAL_S = 0.2

_WIDTH = 100
"""Of a terminal that doesn't know its own."""


class Progress:
    """Counts by the sound heard in all processes; recordings weigh as much as their bytes.

    How long a recording is would have to be read from each; its size costs nothing.
    """

    def __init__(self, out: TextIO, recordings: Sequence[Path | AudioError]) -> None:
        self._recordings = len(recordings)
        self._bar: tqdm[None] | None = None
        self._sizes: list[int] = []
        self._running: dict[int, tuple[float, float]] = {}
        self._ended = 0
        self._ended_size = 0
        self._heard_s = 0.0
        if out.isatty():
            # Not before it is seen: it takes as long to import as a minute of sound to hear.
            from tqdm import tqdm  # noqa: PLC0415

            self._sizes = [_size(recording) for recording in recordings]
            sized = os.get_terminal_size(out.fileno()).columns > 0
            self._bar = tqdm(
                total=sum(self._sizes),
                file=out,
                leave=False,
                mininterval=_INTERVAL_S,
                ncols=None if sized else _WIDTH,
                dynamic_ncols=sized,
                bar_format=_FORMAT,
            )

    @property
    def summary(self) -> str:
        """What was done, in words."""
        return (
            f"{self._ended} of {self._recordings} recordings heard to their end, "
            f"{clock(self._total_s)} of sound in all"
        )

    def follow(self, number: int, heard_s: float, part: float) -> None:
        """Take note of how far the recording of that number is."""
        self._running[number] = (heard_s, part)
        self._draw()

    def take(self, item: Item) -> None:
        """Take note of the end of a recording; they end in their order."""
        if isinstance(item, Heard):
            self._running.pop(self._ended, None)
            self._heard_s += item.duration_s
            if self._bar is not None:
                self._ended_size += self._sizes[self._ended]
            self._ended += 1
            self._draw()

    def clear(self) -> None:
        """Take the bar away, so that something else can be printed."""
        if self._bar is not None:
            self._bar.clear()

    def finish(self) -> None:
        """Take the bar away for good."""
        if self._bar is not None:
            self._bar.close()

    @property
    def _total_s(self) -> float:
        return self._heard_s + sum(heard_s for heard_s, _ in self._running.values())

    def _draw(self) -> None:
        bar = self._bar
        if bar is None:
            return
        running = sum(self._sizes[number] * part for number, (_, part) in self._running.items())
        heard_s = self._total_s
        speed = heard_s / max(bar.format_dict["elapsed"], 1e-3)
        bar.set_description_str(
            f"{self._ended}/{self._recordings} files, {clock(heard_s)} heard, "
            f"{speed:.0f} times real time",
            refresh=False,
        )
        bar.update(self._ended_size + running - bar.n)


def _size(recording: Path | AudioError) -> int:
    try:
        return 0 if isinstance(recording, AudioError) else recording.stat().st_size
    except OSError:
        return 0
