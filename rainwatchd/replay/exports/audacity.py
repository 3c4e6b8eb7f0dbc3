"""Label tracks for Audacity: one beside each recording's name, for its times count from there."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from rainwatchd.replay.exports.reading import read_archive


def write(folder: Path, to: Path) -> None:
    """Write a track for each recording in which something was found (File > Import > Labels)."""
    written: set[Path] = set()
    for record in read_archive(folder).records:
        if record.sounds:
            track = _track(to, record.path, written)
            track.parent.mkdir(parents=True, exist_ok=True)
            track.write_text(
                "".join(
                    f"{sound.start_s:.6f}\t{sound.end_s:.6f}\t{sound.label}\n"
                    for sound in record.sounds
                ),
                "utf-8",
            )


def _track(to: Path, path: str, written: set[Path]) -> Path:
    """Return where a recording's track belongs: always below `to`, and never twice the same."""
    # `s3://bucket/x.wav` and `../cards/x.wav` too.
    parts = [part for part in PurePosixPath(path).parts if part not in {"/", "..", "."}]
    where = to.joinpath(*parts)
    track, again = where.with_name(f"{where.name}.labels.txt"), 1
    while track in written:
        again += 1
        track = where.with_name(f"{where.name}-{again}.labels.txt")
    written.add(track)
    return track
