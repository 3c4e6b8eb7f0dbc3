"""The manifest CSV: one row a clip."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

from training.dataset.clip import LABELS, USES, Clip, DataError, duration_s
from training.dataset.split import joined_sessions

_REQUIRED = ("path", "recording", "class")

_MACHINE = re.compile(
    r"(?:Vehicle|Aircraft|Helicopter|Fixed-wing|Propeller|Chainsaw|Power tool|Drill|Jackhammer"
    r"|Sawing|Motor|Train|Rail|Lawn mower|Idling|Boat|Truck|Car\b|Bus\b|Mechanical fan|Tools"
    r"|Sewing machine|[A-Z][\w ()]*engine|Engine)[^;]*? ([01]\.\d+)(?:;|$)"
)
"""A class of AudioSet that is a machine, and its score, in ``audioset_tags``."""

_FOREIGN = re.compile(
    r"(?:Speech|Conversation|Narration|Music|Chant|Mantra|Singing|Song|Drum|Percussion|Guitar"
    r"|Piano|Beep|Alarm|Telephone|Ringtone|Siren|Clatter|Rattle|Snake|Clickety|Camera"
    r"|Single-lens|Dog|Bird|Animal|Child|Laughter|Bell|Explosion|Burping)"
    r"[^;]*? ([01]\.\d+)(?:;|$)"
)
"""The same for what is heard over a machine in a badly cut clip."""


def read_manifest(path: Path) -> list[Clip]:
    """Read the clips of a manifest, paths relative to its folder.

    The columns ``path``, ``recording`` and ``class`` must be there; ``sub_label``, ``source``,
    ``duration_s``, ``use``, ``fold``, ``license``, ``license_checked``, ``attribution`` and
    ``audioset_tags`` (``Name 0.77; Other 0.46``) may be.
    A file is opened only where its ``duration_s`` isn't given. Raises `DataError` naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); give the path of a CSV file") from error
    try:
        clips = _clips(path, csv.DictReader(text.splitlines()))
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error}); save it anew") from error
    return joined_sessions(clips)


def _clips(path: Path, reader: csv.DictReader[str]) -> list[Clip]:
    missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise DataError(
            f"{path}: column {', '.join(missing)} missing; the first line must name "
            f"{', '.join(_REQUIRED)}"
        )
    clips = [_clip(path, reader.line_num, row) for row in reader]
    if not clips:
        raise DataError(f"{path}: no rows; add one row a clip")
    return clips


def _measured_s(file: Path) -> float:
    """Return the file's length; 0 where it cannot be read, as whatever loads it will say."""
    try:
        return duration_s(file)
    except DataError:
        return 0.0


def _clip(manifest: Path, line: int, row: dict[str, str | None]) -> Clip:
    def field(name: str, default: str = "") -> str:
        return row.get(name) or default

    where = f"{manifest}, line {line}"
    for name in _REQUIRED:
        if not field(name):
            raise DataError(f"{where}: {name} is empty; fill it in or take the row out")
    label = field("class")
    if label not in LABELS:
        raise DataError(f"{where}: class {label!r} is unknown; allowed: {', '.join(LABELS)}")
    use = field("use", "train")
    if use not in USES:
        raise DataError(f"{where}: use is {use!r}; allowed: {', '.join(USES)}")
    fold = field("fold")
    file = manifest.parent / field("path")
    try:
        length_s = float(field("duration_s")) if field("duration_s") else None
        own_fold = int(fold) if fold else None
    except ValueError as error:
        raise DataError(f"{where}: duration_s and fold must be numbers ({error})") from error
    if length_s is not None and not 0.0 < length_s < math.inf:
        raise DataError(f"{where}: duration_s is {length_s:g}; allowed: above 0, or empty")
    return Clip(
        path=file,
        recording=field("recording"),
        label=label,
        sub_label=field("sub_label", label),
        source=field("source", manifest.parent.name),
        duration_s=_measured_s(file) if length_s is None else length_s,
        use=use,
        fold=own_fold,
        license=field("license"),
        license_checked=field("license_checked"),
        attribution=field("attribution"),
        machine_like=max(map(float, _MACHINE.findall(field("audioset_tags"))), default=0.0),
        foreign=max(map(float, _FOREIGN.findall(field("audioset_tags"))), default=0.0),
    )
