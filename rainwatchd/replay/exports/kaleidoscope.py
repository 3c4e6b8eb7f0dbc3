"""A table in the columns of Kaleidoscope Pro's own ``id.csv``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rainwatchd.replay.exports.reading import Record, read_archive
from rainwatchd.replay.exports.tables import write_rows

COLUMNS = (
    "INDIR",
    "FOLDER",
    "IN FILE",
    "CHANNEL",
    "OFFSET",
    "DURATION",
    "DATE",
    "TIME",
    "HOUR",
    "TOP1MATCH",
    "TOP1DIST",
    "MANUAL ID",
)
"""``TOP1DIST`` grows with doubt: it is one minus the score. ``MANUAL ID`` is the reader's."""


def write(folder: Path, to: Path) -> None:
    """Write ``id.csv``."""
    write_rows(to / "id.csv", COLUMNS, _rows(read_archive(folder).records))


def _rows(records: Sequence[Record]) -> Iterator[Sequence[object]]:
    for record in records:
        above, _, below = record.folder.rpartition("/")
        for sound in record.sounds:
            yield (
                above,
                below,
                record.name,
                0,
                f"{sound.start_s:.3f}",
                f"{sound.end_s - sound.start_s:.3f}",
                *_clock(sound.start),
                sound.label,
                f"{1.0 - sound.peak_score:.4f}",
                "",
            )


def _clock(time: datetime | None) -> tuple[str, str, str]:
    if time is None:
        return "", "", ""
    return f"{time:%Y-%m-%d}", f"{time:%H:%M:%S}", f"{time.hour}"
