"""One Parquet data set: detections by device and day, and a table of the recordings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from rainwatchd.replay.archive import fingerprint
from rainwatchd.replay.archive.parts import DETECTION
from rainwatchd.replay.exports.reading import read_table

_NO_DAY = "unknown"

_NOTHING = "nothing.parquet"
"""Has the columns, where nothing was found: a data set without a file has none."""


def write(folder: Path, to: Path) -> None:
    """Write ``detections/device=D/day=YYYY-MM-DD/part-0.parquet`` and ``files.parquet``."""
    fingerprint.read(folder)
    table = read_table(folder)
    pq.write_table(table.drop_columns(["detections"]), to / "files.parquet", compression="zstd")
    found = table["detections"].combine_chunks()
    rows = pc.list_parent_indices(found)
    columns = {name: pc.take(table[name], rows) for name in ("path", "device")}
    flat = pc.list_flatten(found)
    for field in DETECTION:
        columns[field.name] = pc.struct_field(flat, field.name)
    day = pc.fill_null(pc.strftime(columns["start"], "%Y-%m-%d"), _NO_DAY)
    detections = pa.table(columns).append_column("day", day)
    _forget(to / "detections")
    if not detections.num_rows:
        (to / "detections").mkdir(exist_ok=True)
        pq.write_table(detections, to / "detections" / _NOTHING)
        return
    ds.write_dataset(
        detections,
        to / "detections",
        format="parquet",
        partitioning=ds.partitioning(
            pa.schema([("device", pa.string()), ("day", pa.string())]), flavor="hive"
        ),
        existing_data_behavior="overwrite_or_ignore",
        max_partitions=1 << 20,
        max_open_files=64,
    )


def _forget(detections: Path) -> None:
    """Take away what an earlier export has written: of a changed recording a day may be empty."""
    (detections / _NOTHING).unlink(missing_ok=True)
    for old in detections.glob("device=*"):
        shutil.rmtree(old)
