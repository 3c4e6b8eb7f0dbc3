"""Parts: one Parquet file of one row for each recording, with what was found in a nested list.

A part's name holds the recording's place, its state and the fingerprint, so that the names alone
say what is done; one rename puts it there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rainwatchd.errors import RainwatchError
from rainwatchd.replay.archive.sources import Source

FOLDER = "parts"
_SUFFIX = ".parquet"
_FAILED = ".failed.parquet"

DETECTION = pa.struct(
    [
        ("event_id", pa.string()),
        ("class", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("start", pa.timestamp("ms", "UTC")),
        ("end", pa.timestamp("ms", "UTC")),
        ("score", pa.float64()),
        ("peak_score", pa.float64()),
        ("level_dbfs", pa.float64()),
        ("end_reason", pa.string()),
    ]
)
"""Seconds count from the start of the file; times are null where it is not known when that was."""

FILES = pa.schema(
    [
        ("path", pa.string()),
        ("device", pa.string()),
        ("size_bytes", pa.int64()),
        ("stamp", pa.string()),
        ("start", pa.timestamp("ms", "UTC")),
        ("heard_s", pa.float64()),
        ("failure", pa.string()),
        ("notes", pa.list_(pa.string())),
        ("tries", pa.int32()),
        ("model_digest", pa.string()),
        ("fingerprint", pa.string()),
        ("version", pa.string()),
        ("detections", pa.list_(DETECTION)),
    ]
)
"""`notes` say what is odd about a recording that was heard. `tries` is how many processes hearing
it has ended, null where it ended none."""


def part_path(out: Path, source: Source, fingerprint: str, *, failed: bool = False) -> Path:
    """Return where a recording's part belongs: 256 folders, so that none grows too large."""
    suffix = _FAILED if failed else _SUFFIX
    key = source.key
    return out / FOLDER / key[:2] / f"{key}-{source.version(fingerprint)}{suffix}"


def write_part(path: Path, row: Mapping[str, Any], windows: pa.Table | None = None) -> None:
    """Write a part, and those of the same recording in another state away.

    `windows` has one row, the columns that are added to those of `FILES`.
    """
    table = pa.Table.from_pylist([dict(row)], schema=FILES)
    if windows is not None:
        for name in windows.column_names:
            table = table.append_column(name, windows[name])
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, draft, compression="zstd")
        # A power cut must not leave a name without its content.
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
        key = path.name.partition("-")[0]
        for other in path.parent.glob(f"{key}-*{_SUFFIX}"):
            if other.name != path.name:
                other.unlink(missing_ok=True)
    except OSError as error:
        raise RainwatchError(f"--out {path.parents[2]}: {error.strerror or error}") from error


@dataclass(frozen=True)
class Done:
    """Which parts there are."""

    names: frozenset[str]

    def has(self, path: Path) -> bool:
        """Whether that part is there."""
        return path.name in self.names


def done_parts(out: Path) -> Done:
    """List the parts, by their names alone."""
    return Done(frozenset(path.name for path in part_files(out)))


def part_files(out: Path) -> Iterator[Path]:
    """Yield every part, in no order."""
    try:
        for folder in os.scandir(out / FOLDER):
            for entry in os.scandir(folder.path):
                if entry.name.endswith(_SUFFIX) and not entry.name.startswith("."):
                    yield Path(entry.path)
    except FileNotFoundError:
        return
