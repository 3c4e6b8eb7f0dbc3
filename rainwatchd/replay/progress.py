"""How far a replay is: a bar on a terminal, and what was done when it is interrupted."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rainwatchd.errors import AudioError
from rainwatchd.replay.listening import Piece
from rainwatchd.replay.replay import Heard, Item
from rainwatchd.replay.report import clock

if TYPE_CHECKING:
    from tqdm import tqdm

_FORMAT = "{percentage:3.0f} % |{bar:24}| {desc}, {remaining} left"

_INTERVAL_S = 0.2

_LINE_S = 60.0

_WIDTH, _HEIGHT = 100, 24
"""Of a terminal that doesn't know its own."""


Watch = Callable[[int, float, float], None]
"""Told of the recording of that number, counted from 0: seconds heard, and which part that is."""


class Sums:
    """Adds up how far the pieces of recordings are that are heard side by side."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._pieces: dict[int, dict[int, tuple[float, float]]] = {}

    def follow(self, number: int, piece: Piece | None, heard_s: float, part: float) -> None:
        """Take how far a piece of the recording of that number is; None is the whole of it."""
        if piece is not None:
            of = self._pieces.setdefault(number, {})
            of[piece.index] = (heard_s, part)
            heard_s, part = (sum(values) for values in zip(*of.values(), strict=True))
        self._watch(number, heard_s, part)


class Progress:
    """Counts by the sound heard in all processes; recordings weigh as much as their bytes.

    How long a recording is would have to be read from each; its size costs nothing.
    """

    def __init__(self, out: TextIO, sizes: Sequence[float], *, of_sound: bool = False) -> None:
        """`sizes` are the recordings' in bytes, or `of_sound`, in seconds.

        What is so long that its lengths were read says a line a minute, too, on no terminal.
        """
        self._out = out
        self._of_sound = of_sound
        self._bar: tqdm[None] | None = None
        self._sizes = sizes
        self._size = sum(sizes)
        self._running: dict[int, tuple[float, float]] = {}
        self._over: set[int] = set()
        self._ended = 0
        self._ended_size = 0.0
        self._failed = 0
        self._heard_s = 0.0
        self._began_s = self._said_s = time.monotonic()
        if out.isatty():
            # Not before it is seen: it takes as long to import as a minute of sound to hear.
            from tqdm import tqdm  # noqa: PLC0415

            sized = os.get_terminal_size(out.fileno()).columns > 0
            self._bar = tqdm(
                total=self._size,
                file=out,
                leave=False,
                mininterval=_INTERVAL_S,
                ncols=None if sized else _WIDTH,
                nrows=None if sized else _HEIGHT,
                dynamic_ncols=sized,
                bar_format=_FORMAT,
            )

    @property
    def summary(self) -> str:
        """What was done, in words."""
        return (
            f"{self._ended} of {len(self._sizes)} recordings heard to their end, "
            f"{clock(self._total_s)} of sound in all"
        )

    def follow(self, number: int, heard_s: float, part: float) -> None:
        """Take note of how far the recording of that number is."""
        # A worker's last word of a recording may come behind its result.
        if number not in self._over:
            self._running[number] = (heard_s, part)
            self._draw()

    def end(self, number: int, heard_s: float, *, failed: bool = False) -> None:
        """Take note of the end of the recording of that number."""
        self._running.pop(number, None)
        self._over.add(number)
        self._heard_s += heard_s
        self._ended_size += self._sizes[number]
        self._ended += 1
        self._failed += failed
        self._draw()
        if self._bar is not None:
            # Also where all is heard before the first interval is over.
            self._bar.refresh()

    def take(self, item: Item) -> None:
        """Take note of the end of a recording, where they end in their order."""
        if isinstance(item, Heard):
            self.end(self._ended, item.duration_s, failed=item.failure is not None)

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
        if bar is not None:
            bar.set_description_str(self._text(), refresh=False)
            bar.update(self._done_size - bar.n)
        elif self._of_sound and time.monotonic() - self._said_s >= _LINE_S:
            self._said_s = time.monotonic()
            spent_s = self._said_s - self._began_s
            left_s = spent_s * (self._size / max(self._done_size, 1.0) - 1.0)
            print(f"{self._text()}, {clock(left_s)} left", file=self._out, flush=True)

    @property
    def _done_size(self) -> float:
        running = self._running.items()
        return self._ended_size + sum(self._sizes[number] * part for number, (_, part) in running)

    def _text(self) -> str:
        heard_s = self._total_s
        speed = heard_s / max(time.monotonic() - self._began_s, 1e-3)
        whole = f" of {clock(self._size)}" if self._of_sound else ""
        failed = f", {self._failed} failed" if self._failed else ""
        return (
            f"{self._ended}/{len(self._sizes)} files, {clock(heard_s)}{whole} heard, "
            f"{speed:.0f} times real time{failed}"
        )


def sizes_of(recordings: Sequence[Path | AudioError]) -> list[int]:
    """Return the recordings' sizes in bytes; what is none weighs nothing."""
    return [_size(recording) for recording in recordings]


def _size(recording: Path | AudioError) -> int:
    try:
        return 0 if isinstance(recording, AudioError) else recording.stat().st_size
    except OSError:
        return 0
