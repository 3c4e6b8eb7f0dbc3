"""One recording heard into its part, in whatever process or on whatever machine."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from rainwatchd import __version__
from rainwatchd.audio.formats import printable
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.replay.archive.parts import part_path, write_part
from rainwatchd.replay.archive.sources import Source, at_hand
from rainwatchd.replay.pool import Tell
from rainwatchd.replay.replay import Found, Heard, Replay, Scored

_RECORDER = re.compile(r"(.+?)[-_]\d{8}[-_T]\d{6}")
"""What a recorder puts before the time in its files' names."""


@dataclass(frozen=True)
class Hearing:
    """What all tasks of a run share."""

    replay: Replay
    model: Path
    model_digest: str
    fingerprint: str
    out: Path
    scratch: Path
    with_scores: bool


@dataclass(frozen=True)
class Task:
    """One recording to hear."""

    number: int
    source: Source
    hearing: Hearing


@dataclass(frozen=True)
class Outcome:
    """What became of a recording; more is in its part."""

    number: int
    heard_s: float
    detections: int
    failure: str | None
    kept: bool
    """Whether it is done; what could not be had now is tried again by the next run."""
    warnings: tuple[str, ...] = ()
    """What is odd about it though it was heard, a line each that names it."""
    assumed_utc: bool = False
    """Whether its time was taken for UTC, though nothing says so."""


def hear(task: Task, tell: Tell) -> Iterator[Outcome]:
    """Hear a recording, write its part and yield what became of it."""
    hearing, source = task.hearing, task.source
    classifier = _classifier(hearing.model, hearing.model_digest)
    heard = Heard(source.name, 0.0, None, None)
    found: list[Found] = []
    windows = _Windows(len(classifier.spec.labels)) if hearing.with_scores else None
    try:
        with at_hand(source, hearing.scratch) as path:
            for item in hearing.replay.hear(path, classifier, name=source.name):
                if isinstance(item, Scored):
                    tell(item.end_s, item.progress)
                    if windows is not None:
                        windows.take(item)
                elif isinstance(item, Heard):
                    heard = item
                elif item.end_s is not None:
                    found.append(item)
            failure = heard.failure and heard.failure.replace(printable(path), source.name)
            warnings = tuple(line.replace(printable(path), source.name) for line in heard.warnings)
    except AudioError as error:
        yield Outcome(task.number, 0.0, 0, str(error), kept=False)
        return
    if source.changed():
        changed = f"{source.name}: changed while it was heard; run again"
        yield Outcome(task.number, heard.duration_s, 0, changed, kept=False)
        return
    row = _row(task, heard.duration_s, failure, heard.start) | {
        "notes": [line.removeprefix(f"{source.name}: ") for line in warnings],
        "detections": [_detection(item) for item in found],
    }
    part = part_path(hearing.out, source, hearing.fingerprint, failed=failure is not None)
    write_part(part, row, None if windows is None else windows.table())
    yield Outcome(
        task.number,
        heard.duration_s,
        len(found),
        failure,
        kept=True,
        warnings=warnings,
        assumed_utc=heard.assumed_utc,
    )


def give_up(task: Task, how: str, tries: int) -> Outcome:
    """Write the part of a recording that no process has survived."""
    hearing, source = task.hearing, task.source
    failure = f"{source.name}: hearing it ended its process {tries} times ({how})"
    row = _row(task, 0.0, failure, None) | {"tries": tries, "detections": []}
    windows = _Windows(0).table() if hearing.with_scores else None
    write_part(part_path(hearing.out, source, hearing.fingerprint, failed=True), row, windows)
    return Outcome(task.number, 0.0, 0, failure, kept=True)


def device_of(place: str) -> str:
    """Name the recorder: what stands before the time in the file's name, else its folder."""
    path = PurePosixPath(place)
    named = _RECORDER.match(path.stem)
    return named[1] if named is not None else path.parent.name or "unknown"


def _row(task: Task, heard_s: float, failure: str | None, start: datetime | None) -> dict[str, Any]:
    source = task.source
    return {
        "path": source.name,
        "device": device_of(source.name),
        "size_bytes": source.size,
        "stamp": source.stamp,
        "start": start,
        "heard_s": heard_s,
        "failure": failure,
        "notes": [],
        "tries": None,
        "model_digest": task.hearing.model_digest,
        "fingerprint": task.hearing.fingerprint,
        "version": __version__,
    }


def _detection(found: Found) -> dict[str, Any]:
    detection = found.detection
    times = [
        None if text is None else datetime.fromisoformat(text)
        for text in (detection.start, detection.end)
    ]
    return {
        "event_id": detection.event_id,
        "class": detection.label,
        "start_s": round(found.start_s, 3),
        "end_s": None if found.end_s is None else round(found.end_s, 3),
        "start": times[0],
        "end": times[1],
        "score": detection.score,
        "peak_score": detection.peak_score,
        "level_dbfs": detection.level_dbfs,
        "end_reason": detection.end_reason,
    }


class _Windows:
    """Every window's scores, in half precision: three digits of a number between 0 and 1."""

    def __init__(self, labels: int) -> None:
        self._labels = labels
        self._starts_s = array("f")
        self._scores = array("f")

    def take(self, window: Scored) -> None:
        """Keep a window."""
        self._starts_s.append(window.start_s)
        self._scores.extend(window.scores)

    def table(self) -> pa.Table:
        """Return one row: when the windows began, and their scores one label after another."""
        scores = np.asarray(self._scores, np.float32).astype(np.float16)
        return pa.table(
            {
                "window_start_s": _one_row(np.asarray(self._starts_s, np.float32), pa.float32()),
                "window_scores": _one_row(scores, pa.float16()),
            }
        )


def _one_row(values: np.ndarray[Any, Any], kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, values.size], pa.int32()), pa.array(values, kind))


@lru_cache(maxsize=1)
def _classifier(model: Path, digest: str) -> Classifier:
    classifier = Classifier(model)
    if classifier.digest != digest:
        raise RainwatchError(
            f"model {model}: it is not the one that this run began with (sha256 {digest[:12]}...); "
            "nothing was lost: name another --out for it"
        )
    return classifier


def in_order(tasks: Sequence[Task]) -> list[Task]:
    """Put the largest first: a long recording that begins last would end alone."""
    return sorted(tasks, key=lambda task: (-task.source.size, task.source.name))
