"""What a replay prints: JSON lines, a table, a CSV of all scores, complaints."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import Protocol, TextIO

import msgspec

from rainwatchd.replay.replay import Found, Heard, Item, Scored


class Sink(Protocol):
    """Takes what comes of a replay."""

    def take(self, item: Item) -> None:
        """Take the next item."""

    def finish(self) -> None:
        """Do what is left to do behind the last item."""


class JsonLines:
    """One JSON object a line for each phase of a detection."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def take(self, item: Item) -> None:
        """Print a detection as MQTT would carry it, with its place in the file."""
        if not isinstance(item, Found):
            return
        line = msgspec.to_builtins(item.detection) | {
            "start_s": round(item.start_s, 3),
            "end_s": None if item.end_s is None else round(item.end_s, 3),
            "file": item.file,
        }
        text = msgspec.json.encode(line).decode()
        if not _can_show(self._out, text):
            text = json.dumps(line)
        print(text, file=self._out, flush=True)

    def finish(self) -> None:
        """Print nothing: every line is a detection."""


class Table:
    """Detections when they have ended, then each file's highest score of every label."""

    def __init__(self, out: TextIO, labels: Sequence[str]) -> None:
        self._out = out
        self._labels = labels
        self._label_width = max(map(len, labels))
        self._empty = True
        self._peaks: list[tuple[tuple[float, ...], str]] = []

    def take(self, item: Item) -> None:
        """Print a row at the end of an event; remember a recording's highest scores."""
        if isinstance(item, Heard) and item.peaks is not None:
            self._peaks.append((item.peaks, item.file))
        elif isinstance(item, Found) and item.end_s is not None:
            self._row(item, item.end_s)

    def finish(self) -> None:
        """Print the highest scores."""
        if not self._peaks:
            return
        self._print("" if not self._empty else "no detections\n")
        widths = [max(len(label), 5) for label in self._labels]
        names = "  ".join(
            f"{name:>{width}}" for name, width in zip(self._labels, widths, strict=True)
        )
        self._print(f"highest score\n{names}  file")
        for peaks, file in self._peaks:
            cells = (f"{peak:>{width}.2f}" for peak, width in zip(peaks, widths, strict=True))
            self._print(f"{'  '.join(cells)}  {file}")

    def _row(self, found: Found, end_s: float) -> None:
        if self._empty:
            self._empty = False
            label = "class".ljust(self._label_width)
            spans = f"{'start':>10}  {'end':>10}  {'length':>8}"
            self._print(f"{spans}  {label}  score  level  {'UTC':20}  file")
        detection = found.detection
        # Whole seconds: the estimate is no finer.
        utc = "-" if detection.start is None else f"{detection.start[:19]}Z"
        self._print(
            f"{clock(found.start_s):>10}  {clock(end_s):>10}  {end_s - found.start_s:>6.1f} s  "
            f"{detection.label:{self._label_width}}  {detection.peak_score:>5.2f}  "
            f"{detection.level_dbfs:>5.0f}  {utc:20}  {found.file}"
        )

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)


class ScoreFile:
    """Every window's scores as CSV; seconds count from the start of the file."""

    def __init__(self, out: TextIO, labels: Sequence[str]) -> None:
        self._rows = csv.writer(out, lineterminator="\n")
        self._rows.writerow(["file", "start_s", "end_s", "level_dbfs", *labels])

    def take(self, item: Item) -> None:
        """Write a row for a window."""
        if isinstance(item, Scored):
            scores = (f"{score:.6f}" for score in item.scores)
            times = f"{item.start_s:.3f}", f"{item.end_s:.3f}"
            self._rows.writerow([item.file, *times, f"{item.level_dbfs:.1f}", *scores])

    def finish(self) -> None:
        """Leave the file as it is."""


class Complaints:
    """Recordings that could not be heard, or not to their end, one line each; and odd ones."""

    def __init__(self, out: TextIO) -> None:
        self.failed = False
        """Whether any recording was not heard to its end; an odd one was."""
        self._out = out
        self._assumed_utc = 0

    def take(self, item: Item) -> None:
        """Print what is odd about a recording, and why it was not heard."""
        if not isinstance(item, Heard):
            return
        self._assumed_utc += item.assumed_utc
        for warning in item.warnings:
            self._print(warning)
        if item.failure is not None:
            self.failed = True
            self._print(item.failure)

    def finish(self) -> None:
        """Say how many times may be wrong by hours."""
        if self._assumed_utc:
            many = f"{self._assumed_utc} recordings tell"
            self._print(
                f"{'1 recording tells' if self._assumed_utc == 1 else many} a time but no offset "
                "from UTC; taken as UTC, unless --utc-offset +HH:MM says else"
            )

    def _print(self, line: str) -> None:
        print(f"rainwatchd: {line}", file=self._out, flush=True)


def _can_show(out: TextIO, text: str) -> bool:
    """Whether `out` has every letter of `text`; JSON can escape those that it has not."""
    try:
        text.encode(out.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def clock(seconds: float) -> str:
    """Write a span as hours, minutes, seconds and tenths."""
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"
