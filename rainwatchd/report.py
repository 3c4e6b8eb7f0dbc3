"""What a replay prints: JSON lines, a table, a CSV of all scores, a progress bar."""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from typing import Protocol, TextIO

import msgspec

from rainwatchd.replay import Found, Heard, Scored


class Report(Protocol):
    """Prints what is found, as it comes, and what is left to say at the end."""

    def found(self, found: Found) -> None:
        """Take one phase of a detection."""

    def finish(self, heard: Sequence[Heard]) -> None:
        """Take what was heard of every recording."""


class JsonLines:
    """One JSON object a line for each phase of a detection."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def found(self, found: Found) -> None:
        """Print the message as MQTT would carry it, with its place in the file."""
        line = msgspec.to_builtins(found.detection) | {
            "start_s": round(found.start_s, 3),
            "end_s": None if found.end_s is None else round(found.end_s, 3),
            "file": found.file,
        }
        print(msgspec.json.encode(line).decode(), file=self._out, flush=True)

    def finish(self, heard: Sequence[Heard]) -> None:
        """Print nothing: every line is a detection."""


class Table:
    """Detections when they have ended, then each file's highest score of every label."""

    def __init__(self, out: TextIO, labels: Sequence[str]) -> None:
        self._out = out
        self._labels = labels
        self._label_width = max(map(len, labels))
        self._empty = True

    def found(self, found: Found) -> None:
        """Print a row at the end of an event."""
        if found.end_s is None:
            return
        if self._empty:
            self._empty = False
            label = "class".ljust(self._label_width)
            self._print(f"{'start':>10}  {'end':>10}  {'length':>8}  {label}  score  level  file")
        detection = found.detection
        self._print(
            f"{_clock(found.start_s):>10}  {_clock(found.end_s):>10}  "
            f"{found.end_s - found.start_s:>6.1f} s  {detection.label:{self._label_width}}  "
            f"{detection.peak_score:>5.2f}  {detection.level_dbfs:>5.0f}  {found.file}"
        )

    def finish(self, heard: Sequence[Heard]) -> None:
        """Print the highest scores."""
        scored = [(of.peaks, of.file) for of in heard if of.peaks is not None]
        if not scored:
            return
        self._print("" if not self._empty else "no detections\n")
        widths = [max(len(label), 5) for label in self._labels]
        names = "  ".join(
            f"{label:>{width}}" for label, width in zip(self._labels, widths, strict=True)
        )
        self._print(f"highest score\n{names}  file")
        for peaks, file in scored:
            cells = "  ".join(
                f"{peak:>{width}.2f}" for peak, width in zip(peaks, widths, strict=True)
            )
            self._print(f"{cells}  {file}")

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)


class ScoreFile:
    """Every window's scores as CSV; seconds count from the start of the file."""

    def __init__(self, out: TextIO, labels: Sequence[str]) -> None:
        self._rows = csv.writer(out, lineterminator="\n")
        self._rows.writerow(["file", "start_s", "end_s", "level_dbfs", *labels])

    def write(self, scored: Scored) -> None:
        """Write one row."""
        scores = (f"{score:.6f}" for score in scored.scores)
        times = f"{scored.start_s:.3f}", f"{scored.end_s:.3f}"
        self._rows.writerow([scored.file, *times, f"{scored.level_dbfs:.1f}", *scores])


class Progress:
    """A bar on a terminal; nothing where `out` is none."""

    _WIDTH = 30
    _INTERVAL_S = 0.1

    def __init__(self, out: TextIO, recordings: int) -> None:
        self._out = out if out.isatty() else None
        self._recordings = recordings
        self._done = 0
        self._heard_s = 0.0
        self._started_s = time.monotonic()
        self._drawn_s = 0.0

    def scored(self, scored: Scored) -> None:
        """Show how far the current recording is."""
        self._draw(self._done + scored.progress, self._heard_s + scored.end_s)

    def heard(self, heard: Heard) -> None:
        """Show that a recording is done."""
        self._done += 1
        self._heard_s += heard.duration_s
        self._draw(self._done, self._heard_s)

    def clear(self) -> None:
        """Take the bar away, so that something else can be printed."""
        if self._out is not None:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def _draw(self, done: float, heard_s: float) -> None:
        now_s = time.monotonic()
        if self._out is None or now_s - self._drawn_s < self._INTERVAL_S:
            return
        self._drawn_s = now_s
        bar = "█" * round(self._WIDTH * done / self._recordings)
        speed = heard_s / max(now_s - self._started_s, 1e-3)
        self._out.write(
            f"\r\x1b[K{bar:░<{self._WIDTH}} {self._done}/{self._recordings} files  "
            f"{_clock(heard_s)}  {speed:.0f} times real time"
        )
        self._out.flush()


def _clock(seconds: float) -> str:
    tenths = round(seconds * 10)
    return f"{tenths // 36000}:{tenths // 600 % 60:02}:{tenths // 10 % 60:02}.{tenths % 10}"
