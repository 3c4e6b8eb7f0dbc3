"""One recording heard into its part, in whatever process or on whatever machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rainwatchd import __version__
from rainwatchd.audio.formats import printable
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.replay.archive.parts import clear, part_path, write_part
from rainwatchd.replay.archive.pieces import joined, piece_path, write_piece
from rainwatchd.replay.archive.rows import Windows, detection_row, device_of
from rainwatchd.replay.archive.sources import Source, at_hand
from rainwatchd.replay.division import pieces
from rainwatchd.replay.listening import Piece
from rainwatchd.replay.pool import Tell
from rainwatchd.replay.replay import Found, Heard, Item, Replay, Scored

_TOLD = ["heard_s", "failure", "notes", "detections"]
"""Columns of a part that an outcome is made of."""


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


@dataclass(frozen=True, slots=True)
class Task:
    """One recording to hear, or a piece of one."""

    number: int
    """The recording's."""
    source: Source
    length_s: float
    """By its header, or by what is usual."""
    hearing: Hearing
    piece: Piece | None = None

    def part(self, *, failed: bool = False) -> Path:
        """Return where the recording's part belongs."""
        hearing = self.hearing
        return part_path(hearing.out, self.source, hearing.fingerprint, failed=failed)


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
    """Hear a recording, write its part and yield what became of it.

    Of a recording in pieces, whoever hears the last writes the part; others yield nothing.
    """
    done = _done_meanwhile(task)
    if done is not None:
        yield done
        return
    hearing, source = task.hearing, task.source
    classifier = _classifier(hearing.model, hearing.model_digest)
    if task.piece is not None:
        yield from _hear_piece(task, task.piece, classifier, tell)
        return
    try:
        with at_hand(source, hearing.scratch) as path:
            items = _told(hearing.replay.hear(path, classifier, name=source.name), tell)
            yield _write(task, items, len(classifier.spec.labels), called=printable(path))
    except AudioError as error:
        yield Outcome(task.number, 0.0, 0, str(error), kept=False)


def _hear_piece(task: Task, piece: Piece, classifier: Classifier, tell: Tell) -> Iterator[Outcome]:
    hearing, source = task.hearing, task.source

    def place(of: Piece) -> Path:
        return piece_path(hearing.out, source, hearing.fingerprint, of)

    if not place(piece).exists():
        path = Path(source.place)
        write_piece(place(piece), hearing.replay.hear_piece(path, piece, classifier, tell))
    paths = [place(each) for each in pieces(task.length_s, piece.count)]
    judge = hearing.replay.judge(classifier, source.name)
    try:
        passages = list(joined(paths))
    except FileNotFoundError:
        # Others are still to be heard, unless somebody else has joined them just now.
        done = _done_meanwhile(task)
        if done is not None:
            place(piece).unlink(missing_ok=True)
            yield done
        return
    items = (item for passage in passages for item in judge.push(passage))
    outcome = _write(task, items, len(classifier.spec.labels), called=source.name)
    if not outcome.kept:
        clear(task.part())
    yield outcome


def _told(items: Iterable[Item], tell: Tell) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Scored):
            tell(item.end_s, item.progress)
        yield item


def _write(task: Task, items: Iterable[Item], labels: int, *, called: str) -> Outcome:
    """Write a recording's part, whose sound was read from what is `called` so."""
    source = task.source
    heard = Heard(source.name, 0.0, None, None)
    found: list[Found] = []
    windows = Windows(labels) if task.hearing.with_scores else None
    for item in items:
        if isinstance(item, Heard):
            heard = item
        elif isinstance(item, Found):
            found += [item] if item.end_s is not None else []
        elif windows is not None:
            windows.take(item)
    failure = heard.failure and heard.failure.replace(called, source.name)
    warnings = tuple(line.replace(called, source.name) for line in heard.warnings)
    if source.changed():
        changed = f"{source.name}: changed while it was heard; run again"
        return Outcome(task.number, heard.duration_s, 0, changed, kept=False)
    row = _row(task, heard.duration_s, failure, heard.start) | {
        "notes": [line.removeprefix(f"{source.name}: ") for line in warnings],
        "detections": [detection_row(item) for item in found],
    }
    part = task.part(failed=failure is not None)
    write_part(part, row, None if windows is None else windows.table())
    return Outcome(
        task.number,
        heard.duration_s,
        len(found),
        failure,
        kept=True,
        warnings=warnings,
        assumed_utc=heard.assumed_utc,
    )


def _done_meanwhile(task: Task) -> Outcome | None:
    """Say what became of a recording that somebody else has heard since it was looked for."""
    for failed in (False, True):
        part = task.part(failed=failed)
        if part.exists():
            (row,) = pq.read_table(part, columns=_TOLD).to_pylist()
            warnings = tuple(f"{task.source.name}: {note}" for note in row["notes"])
            heard_s, detections = row["heard_s"], len(row["detections"])
            failure = row["failure"]
            return Outcome(task.number, heard_s, detections, failure, kept=True, warnings=warnings)
    return None


def give_up(task: Task, how: str, tries: int) -> Outcome:
    """Write the part of a recording that no process has survived."""
    source = task.source
    failure = f"{source.name}: hearing it ended its process {tries} times ({how})"
    row = _row(task, 0.0, failure, None) | {"tries": tries, "detections": []}
    windows = Windows(0).table() if task.hearing.with_scores else None
    write_part(task.part(failed=True), row, windows)
    return Outcome(task.number, 0.0, 0, failure, kept=True)


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


@lru_cache(maxsize=1)
def _classifier(model: Path, digest: str) -> Classifier:
    classifier = Classifier(model)
    if classifier.digest != digest:
        raise RainwatchError(
            f"model {model}: it is not the one that this run began with (sha256 {digest[:12]}...); "
            "nothing was lost: name another --out for it"
        )
    return classifier
