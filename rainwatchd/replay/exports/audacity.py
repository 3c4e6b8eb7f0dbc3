"""Label tracks for Audacity: one beside each recording's name, for its times count from there."""

from __future__ import annotations

from pathlib import Path

from rainwatchd.replay.exports.reading import read_archive


def write(folder: Path, to: Path) -> None:
    """Write a track for each recording in which something was found (File > Import > Labels)."""
    for record in read_archive(folder).records:
        if record.sounds:
            track = to / f"{record.path.replace('://', '/').lstrip('/')}.labels.txt"
            track.parent.mkdir(parents=True, exist_ok=True)
            track.write_text(
                "".join(
                    f"{sound.start_s:.6f}\t{sound.end_s:.6f}\t{sound.label}\n"
                    for sound in record.sounds
                ),
                "utf-8",
            )
