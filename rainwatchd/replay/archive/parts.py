"""Parts: one Parquet file of one row for each recording, with what was found in a nested list.

A part's name holds the recording's place, its state and the fingerprint, so that the names alone
say what is done; one rename puts it there.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rainwatchd.errors import RainwatchError
from rainwatchd.replay.archive.sources import Source
from rainwatchd.whole import write_whole

FOLDER = "parts"
_SUFFIX = ".parquet"
_FAILED = ".failed.parquet"
PIECE = ".piece"

_ABANDONED_S = 86400.0
"""A draft takes a moment; clocks of machines that share a disk differ by less than this."""

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


def part_name(source: Source, fingerprint: str, *, failed: bool = False) -> str:
    """Return what a recording's part is called."""
    return f"{source.key}-{source.version(fingerprint)}{_FAILED if failed else _SUFFIX}"


def part_path(out: Path, source: Source, fingerprint: str, *, failed: bool = False) -> Path:
    """Return where a recording's part belongs."""
    return path_of(out, part_name(source, fingerprint, failed=failed))


def path_of(out: Path, name: str) -> Path:
    """Return where what is called so belongs: 256 folders, so that none grows too large."""
    return out / FOLDER / name[:2] / name


def write_part(path: Path, row: Mapping[str, Any], windows: pa.Table | None = None) -> None:
    """Write a part, and what there is of the same recording otherwise away.

    `windows` has one row, the columns that are added to those of `FILES`.
    """
    table = pa.Table.from_pylist([dict(row)], schema=FILES)
    if windows is not None:
        for name in windows.column_names:
            table = table.append_column(name, windows[name])
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    commit(path, content.getvalue().to_pybytes())
    clear(path)


def commit(path: Path, content: bytes) -> None:
    """Put a file there by one rename; raise `RainwatchError` where that can't be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content, f"-{uuid.uuid4().hex[:12]}")
    except OSError as error:
        raise RainwatchError(f"--out {path.parents[2]}: {error.strerror or error}") from error


def clear(path: Path) -> None:
    """Take away what lies beside a part of the same recording: other states, and pieces."""
    key = path.name.partition("-")[0]
    for other in path.parent.glob(f"{key}-*"):
        if other.name != path.name:
            other.unlink(missing_ok=True)


@dataclass(frozen=True)
class Done:
    """What there is, by the names alone."""

    names: frozenset[str]
    """Of parts."""
    pieces: frozenset[str]
    """Of pieces of recordings that are not done."""


def done_parts(out: Path) -> Done:
    """List what there is; drafts of a run that was killed a day ago or earlier are taken away."""
    names = []
    for entry in _entries(out):
        if entry.name.startswith("."):
            _forget(entry)
        else:
            names.append(entry.name)
    return Done(
        frozenset(name for name in names if name.endswith(_SUFFIX)),
        frozenset(name for name in names if name.endswith(PIECE)),
    )


def part_files(out: Path) -> Iterator[Path]:
    """Yield every part, in no order."""
    for entry in _entries(out):
        if entry.name.endswith(_SUFFIX):
            yield Path(entry.path)


def _entries(out: Path) -> Iterator[os.DirEntry[str]]:
    """Yield parts, pieces and drafts; the names of the last begin with a dot."""
    try:
        for folder in os.scandir(out / FOLDER):
            yield from os.scandir(folder.path)
    except FileNotFoundError:
        return


def _forget(draft: os.DirEntry[str]) -> None:
    # Another run of the same may have put it in its place meanwhile.
    with contextlib.suppress(OSError):
        if time.time() - draft.stat().st_mtime > _ABANDONED_S:
            Path(draft.path).unlink()
