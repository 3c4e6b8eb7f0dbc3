"""A replay's table for people: detections, what each recording is as a whole, and the sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from rainwatchd.decision.decision import least_windows
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec
from rainwatchd.replay.replay import Found, Heard, Item
from rainwatchd.replay.report import clock


@dataclass(frozen=True)
class Shortest:
    """The least that an alert takes."""

    windows: int
    window_s: float
    step_s: float

    @classmethod
    def of(cls, spec: ModelSpec, rules: Mapping[str, DecisionRule], step_s: float) -> Shortest:
        """Return what the class that takes the fewest windows takes."""
        windows = min(least_windows(rule, step_s) for rule in rules.values())
        return cls(windows, spec.window_s, step_s)

    def __str__(self) -> str:
        """Say it in words, in seconds of sound."""
        sound_s = self.window_s + (self.windows - 1) * self.step_s
        return (
            f"at least {sound_s:g} s: {self.windows} windows of {self.window_s:g} s, "
            f"{self.step_s:g} s apart, above the threshold"
        )


class Table:
    """Detections when they have ended, then each file's highest scores, then the sums."""

    def __init__(
        self, out: TextIO, labels: Sequence[str], alerts: Sequence[str], shortest: Shortest
    ) -> None:
        """`labels` name the scores; `alerts` are those that raise alerts."""
        self._out = out
        self._labels = labels
        self._shortest = shortest
        self._label_width = max(map(len, labels))
        self._events = dict.fromkeys(alerts, 0)
        self._heard: list[tuple[tuple[float, ...], str, str]] = []
        self._heard_s = 0.0
        self._dead = self._short = 0

    def take(self, item: Item) -> None:
        """Print a row at the end of an event; remember what was heard of a recording."""
        if isinstance(item, Heard):
            self._remember(item)
        elif isinstance(item, Found) and item.end_s is not None:
            self._row(item, item.end_s)

    def finish(self) -> None:
        """Print the highest scores and the sums."""
        if self._heard:
            self._print("" if any(self._events.values()) else "no detections\n")
            self._scores()
            self._print("")
        if self._short:
            self._print(
                f"* too short for an alert, {_files(self._short)}: an alert takes {self._shortest}"
            )
        self._print(self._sums())

    def _remember(self, heard: Heard) -> None:
        self._heard_s += heard.duration_s
        if heard.peaks is None:
            self._dead += 1
            return
        judged = heard.judged or ""
        if heard.windows < self._shortest.windows:
            self._short += 1
            judged += "*"
        self._heard.append((heard.peaks, judged, heard.file))

    def _scores(self) -> None:
        widths = [max(len(label), 5) for label in self._labels]
        whole = max(len("as a whole"), self._label_width + 1)
        names = "  ".join(
            f"{name:>{width}}" for name, width in zip(self._labels, widths, strict=True)
        )
        self._print("highest score of each class, and what each file is")
        self._print(f"{names}  {'as a whole':{whole}}  file")
        for peaks, judged, file in self._heard:
            cells = (f"{peak:>{width}.2f}" for peak, width in zip(peaks, widths, strict=True))
            self._print(f"{'  '.join(cells)}  {judged:{whole}}  {file}")

    def _sums(self) -> str:
        found = ", ".join(f"{count} {label}" for label, count in self._events.items() if count)
        dead = f"; {self._dead} dead: not heard at all" if self._dead else ""
        files = _files(len(self._heard) + self._dead)
        return f"{files}, {_span(self._heard_s)} heard: {found or 'no alerts'}{dead}"

    def _row(self, found: Found, end_s: float) -> None:
        if not any(self._events.values()):
            label = "class".ljust(self._label_width)
            spans = f"{'start':>10}  {'end':>10}  {'length':>8}"
            self._print(f"{spans}  {label}  score  level  {'UTC':20}  file")
        detection = found.detection
        self._events[detection.label] += 1
        # Whole seconds: the estimate is no finer.
        utc = "-" if detection.start is None else f"{detection.start[:19]}Z"
        start, end = clock(found.start_s), clock(end_s)
        self._print(
            f"{start:>10}  {end:>10}  {end_s - found.start_s:>6.1f} s  "
            f"{detection.label:{self._label_width}}  {detection.peak_score:>5.2f}  "
            f"{detection.level_dbfs:>5.0f}  {utc:20}  {found.file}"
        )

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def _span(seconds: float) -> str:
    if seconds < 120.0:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200.0 else f"{seconds / 3600:.1f} h"
