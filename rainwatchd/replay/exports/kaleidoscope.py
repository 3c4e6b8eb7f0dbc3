"""A table in the columns of Kaleidoscope Pro's own ``cluster.csv`` (File > Open Results).

It needs ``INDIR``, ``FOLDER``, ``IN FILE``, ``OFFSET`` and ``DURATION``; date and time are those of
the recording, and the offset counts from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rainwatchd.replay.exports.reading import Archive, read_archive
from rainwatchd.replay.exports.tables import write_rows

COLUMNS = (
    "INDIR",
    "FOLDER",
    "IN FILE",
    "CHANNEL",
    "OFFSET",
    "DURATION",
    "Fmin",
    "Fmax",
    "DATE",
    "TIME",
    "HOUR",
    "TOP1MATCH*",
    "TOP1DIST",
    "MANUAL ID",
)
"""``Fmin`` and ``Fmax`` are the band that the model hears. ``TOP1DIST`` grows with doubt: it is one
minus the score. ``MANUAL ID`` is the reader's."""


def write(folder: Path, to: Path) -> None:
    """Write ``cluster.csv``."""
    write_rows(to / "cluster.csv", COLUMNS, _rows(read_archive(folder)))


def _rows(archive: Archive) -> Iterator[Sequence[object]]:
    band = f"{archive.mark.fmin_hz:.1f}", f"{archive.mark.fmax_hz:.1f}"
    for record in archive.records:
        above, _, below = record.folder.rpartition("/")
        for sound in record.sounds:
            yield (
                above,
                below,
                record.name,
                0,
                f"{sound.start_s:.3f}",
                f"{sound.end_s - sound.start_s:.3f}",
                *band,
                *_clock(record.start),
                sound.label,
                f"{1.0 - sound.peak_score:.4f}",
                "",
            )


def _clock(time: datetime | None) -> tuple[str, str, str]:
    if time is None:
        return "", "", ""
    return f"{time:%Y-%m-%d}", f"{time:%H:%M:%S}", f"{time.hour}"
