"""A selection table for Raven Pro, and the list of sounds that it counts its times in.

Open ``sounds.txt`` in Raven (File > Open Sound Files > paged), then ``detections.selections.txt``:
``Begin Time`` counts from the start of the first sound on that list, ``File Offset`` from the
start of the recording that ``Begin Path`` names.
"""

from __future__ import annotations

import csv
from pathlib import Path

from rainwatchd.replay.exports.reading import read_archive

COLUMNS = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Path",
    "File Offset (s)",
    "Class",
    "Score",
)


def write(folder: Path, to: Path) -> None:
    """Write the table, in tabs, and the list."""
    archive = read_archive(folder)
    heard = [record for record in archive.records if record.heard_s > 0.0]
    (to / "sounds.txt").write_text("".join(f"{record.path}\n" for record in heard), "utf-8")
    selection, passed_s = 0, 0.0
    with (to / "detections.selections.txt").open("w", newline="", encoding="utf-8") as file:
        # Raven knows no quoting; a path may hold quotes, but neither tabs nor ends of lines.
        out = csv.writer(
            file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None
        )
        out.writerow(COLUMNS)
        for record in heard:
            for sound in record.sounds:
                selection += 1
                out.writerow(
                    (
                        selection,
                        "Spectrogram 1",
                        1,
                        f"{passed_s + sound.start_s:.3f}",
                        f"{passed_s + sound.end_s:.3f}",
                        f"{archive.mark.fmin_hz:.1f}",
                        f"{archive.mark.fmax_hz:.1f}",
                        record.path,
                        f"{sound.start_s:.3f}",
                        sound.label,
                        f"{sound.peak_score:.4f}",
                    )
                )
            passed_s += record.heard_s
