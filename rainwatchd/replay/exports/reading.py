"""An archive's parts read again: one record for each recording, in the order of their paths."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from rainwatchd.errors import RainwatchError
from rainwatchd.replay.archive import fingerprint
from rainwatchd.replay.archive.fingerprint import Fingerprint
from rainwatchd.replay.archive.parts import FILES, part_files


@dataclass(frozen=True)
class Sound:
    """One detection; seconds count from the start of its recording."""

    event_id: str
    label: str
    start_s: float
    end_s: float
    start: datetime | None
    end: datetime | None
    score: float
    peak_score: float
    level_dbfs: float
    end_reason: str | None


@dataclass(frozen=True)
class Record:
    """One recording."""

    path: str
    device: str
    size_bytes: int
    start: datetime | None
    heard_s: float
    failure: str | None
    notes: tuple[str, ...]
    """What is odd about it though it was heard."""
    sounds: tuple[Sound, ...]

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """What comes before the name."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True)
class Archive:
    """What a folder holds."""

    mark: Fingerprint
    records: list[Record]


def read_table(folder: Path) -> pa.Table:
    """Return the rows of all parts without their windows, in the order of the paths."""
    files = sorted(map(str, part_files(folder)))
    if not files:
        return FILES.empty_table()
    try:
        table = ds.dataset(files, schema=FILES, format="parquet").to_table()
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        raise RainwatchError(
            f"{folder}: a part cannot be read: {reason}; delete it, and the same command as "
            "before makes it anew"
        ) from error
    return table.sort_by("path")


def read_archive(folder: Path) -> Archive:
    """Read all of an archive; raise `RainwatchError` if it is none."""
    mark = fingerprint.read(folder)
    records = [
        _record(row) for batch in read_table(folder).to_batches() for row in batch.to_pylist()
    ]
    return Archive(mark, records)


def _record(row: dict[str, Any]) -> Record:
    return Record(
        row["path"],
        row["device"],
        row["size_bytes"],
        row["start"],
        row["heard_s"],
        row["failure"],
        tuple(row["notes"] or ()),
        tuple(Sound(*sound.values()) for sound in row["detections"]),
    )
