"""Two CSV tables: detections, and the recordings that were heard."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from rainwatchd.replay.exports.reading import Archive, read_archive

DETECTIONS = (
    "path",
    "device",
    "class",
    "start_s",
    "end_s",
    "start",
    "end",
    "score",
    "peak_score",
    "level_dbfs",
    "end_reason",
    "event_id",
)

FILES = ("path", "device", "size_bytes", "start", "heard_s", "detections", "failure", "notes")


def write(folder: Path, to: Path) -> None:
    """Write ``detections.csv`` and ``files.csv``; times are UTC, empty where they are not known."""
    archive = read_archive(folder)
    write_rows(to / "detections.csv", DETECTIONS, _detections(archive))
    write_rows(to / "files.csv", FILES, _files(archive))


def write_rows(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write one CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        out.writerows(rows)


def utc(time: datetime | None) -> str:
    """Write a time as RFC 3339 in UTC, nothing where there is none."""
    return "" if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _detections(archive: Archive) -> Iterable[Sequence[object]]:
    for record in archive.records:
        for sound in record.sounds:
            yield (
                record.path,
                record.device,
                sound.label,
                sound.start_s,
                sound.end_s,
                utc(sound.start),
                utc(sound.end),
                sound.score,
                sound.peak_score,
                sound.level_dbfs,
                sound.end_reason or "",
                sound.event_id,
            )


def _files(archive: Archive) -> Iterable[Sequence[object]]:
    for record in archive.records:
        yield (
            record.path,
            record.device,
            record.size_bytes,
            utc(record.start),
            record.heard_s,
            len(record.sounds),
            record.failure or "",
            "; ".join(record.notes),
        )
