"""What a replay prints: JSON lines, a CSV of all scores, windows, complaints."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

import msgspec

from rainwatchd.errors import RainwatchError
from rainwatchd.replay.replay import Found, Heard, Item, Scored


class Sink(Protocol):
    """Takes what comes of a replay."""

    def take(self, item: Item) -> None:
        """Take the next item."""

    def finish(self) -> None:
        """Do what is left to do behind the last item."""


class JsonLines:
    """One JSON object a line for each detection, or for each of its phases."""

    def __init__(self, out: TextIO, *, phases: bool = False) -> None:
        self._out = out
        self._phases = phases

    def take(self, item: Item) -> None:
        """Print a detection as MQTT would carry it, with its place in the file."""
        if not isinstance(item, Found) or (item.end_s is None and not self._phases):
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


class WindowLines:
    """Level and scores of each window, as ``--verbose`` shows them live."""

    def __init__(self, out: TextIO, labels: Sequence[str]) -> None:
        self._out = out
        self._labels = labels

    def take(self, item: Item) -> None:
        """Print a line for a window."""
        if isinstance(item, Scored):
            scores = zip(self._labels, item.scores, strict=True)
            shown = "  ".join(f"{label} {score:.2f}" for label, score in scores)
            times = f"{clock(item.start_s)} to {clock(item.end_s)}"
            line = f"{item.file}: {times}  {item.level_dbfs:6.1f} dBFS  {shown}"
            print(line, file=self._out, flush=True)

    def finish(self) -> None:
        """Print nothing more."""


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


def new_file(path: Path, *, overwrite: bool) -> TextIO:
    """Open a file to write; raise `RainwatchError` where there is one already."""
    if path.is_file() and not overwrite:
        raise RainwatchError(f"{path}: there is such a file; name another, or add --overwrite")
    return path.open("w", encoding="utf-8", newline="")


class Complaints:
    """Recordings that could not be heard, or not to their end, one line each; and odd ones."""

    def __init__(self, out: TextIO) -> None:
        self.failed = False
        """Whether any recording was not heard to its end; an odd one was."""
        self._out = out
        self._assumed_utc = 0

    def take(self, item: Item) -> None:
        """Print what is odd about a recording, and why it was not heard."""
        if isinstance(item, Heard):
            self.say(item.warnings, item.failure, assumed_utc=item.assumed_utc)

    def say(
        self, warnings: Sequence[str], failure: str | None, *, assumed_utc: bool = False
    ) -> None:
        """Print the same of a recording that was heard elsewhere."""
        self._assumed_utc += assumed_utc
        for warning in warnings:
            self._print(warning)
        if failure is not None:
            self.failed = True
            self._print(failure)

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
