"""The layouts that labelled recordings come in: told apart by what stands in the folder."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from training.dataset.clip import LABELS, Clip, DataError, duration_s
from training.dataset.manifest import read_manifest
from training.dataset.split import joined_sessions

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"})

ESC50_LABELS = {
    "chainsaw": "chainsaw",
    "engine": "engine",
    "rain": "storm",
    "thunderstorm": "storm",
    "dog": "background",
    "rooster": "background",
    "pig": "background",
    "cow": "background",
    "frog": "background",
    "cat": "background",
    "hen": "background",
    "insects": "background",
    "sheep": "background",
    "crow": "background",
    "sea_waves": "background",
    "crackling_fire": "background",
    "crickets": "background",
    "chirping_birds": "background",
    "water_drops": "background",
    "wind": "background",
    "pouring_water": "background",
}
"""ESC-50 category -> label; what is not named here is ``other``."""

US8K_LABELS = {"engine_idling": "engine", "dog_bark": "background"}
"""UrbanSound8K class -> label; what is not named here is ``other``."""


def read(path: Path) -> list[Clip]:
    """Read labelled clips from a manifest CSV, or a folder in one of the known layouts.

    Known are a folder with ``manifest.csv``; ESC-50 (``meta/esc50.csv``, ``audio/``);
    UrbanSound8K (``metadata/UrbanSound8K.csv``, ``audio/fold1/`` ...); and class folders
    (``background/``, ``chainsaw/``, ``engine/``, ``storm/``, ``other/``). Raises `DataError`.
    """
    if path.is_file():
        return read_manifest(path)
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder; give the folder of the recordings")
    for marker, reader in _LAYOUTS.items():
        if (path / marker).is_file():
            return reader(path)
    return read_class_folders(path)


def read_class_folders(folder: Path) -> list[Clip]:
    """Read ``folder/<class>/*``; each file is a recording of its own."""
    present = [label for label in LABELS if (folder / label).is_dir()]
    if not present:
        raise DataError(
            f"{folder}: no class folders; make {', '.join(LABELS[:4])} inside it "
            "and put the recordings there"
        )
    clips = [
        Clip(
            path=file,
            recording=f"{label}/{file.relative_to(folder / label).with_suffix('').as_posix()}",
            label=label,
            sub_label=label,
            source=folder.name,
            duration_s=duration_s(file),
        )
        for label in present
        for file in sorted((folder / label).rglob("*"))
        if file.suffix.lower() in AUDIO_SUFFIXES
    ]
    empty = [label for label in present if not any(clip.label == label for clip in clips)]
    if empty:
        raise DataError(
            f"{folder / empty[0]}: no recordings; allowed are {', '.join(sorted(AUDIO_SUFFIXES))}"
        )
    return clips


def read_esc50(folder: Path) -> list[Clip]:
    """Read ESC-50 (Piczak 2015): ``src_file`` is the Freesound number of the recording."""
    rows = _table(folder / "meta/esc50.csv", ("filename", "fold", "category", "src_file"))
    clips = [
        Clip(
            path=(path := folder / "audio" / row["filename"]),
            recording=f"freesound-{row['src_file']}",
            label=ESC50_LABELS.get(row["category"], "other"),
            sub_label=row["category"],
            source="esc50",
            duration_s=duration_s(path),
            fold=_fold(path, row["fold"]),
            license="CC BY-NC 3.0",
            license_checked="per package",
        )
        for row in rows
    ]
    return joined_sessions(clips)


def read_urbansound8k(folder: Path) -> list[Clip]:
    """Read UrbanSound8K (Salamon 2014): ``fsID`` is the Freesound number of the recording."""
    columns = ("slice_file_name", "fsID", "fold", "class")
    rows = _table(folder / "metadata/UrbanSound8K.csv", columns)
    return [
        Clip(
            path=(path := folder / "audio" / f"fold{row['fold']}" / row["slice_file_name"]),
            recording=f"freesound-{row['fsID']}",
            label=US8K_LABELS.get(row["class"], "other"),
            sub_label=row["class"],
            source="urbansound8k",
            duration_s=duration_s(path),
            fold=_fold(path, row["fold"]),
            license="CC BY-NC 3.0",
            license_checked="per package",
        )
        for row in rows
    ]


def _fold(path: Path, number: str) -> int:
    if not number.isdecimal():
        raise DataError(f"{path}: fold is {number!r} in the collection's table, not a number")
    return int(number)


def _table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or ()
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch the file again") from error
    missing = [name for name in columns if name not in names]
    if missing:
        raise DataError(f"{path}: column {', '.join(missing)} missing; fetch the file again")
    if not rows or any(row[name] is None for row in rows for name in columns):
        raise DataError(f"{path}: it is cut short; fetch the file again")
    return rows


_LAYOUTS: dict[str, Callable[[Path], list[Clip]]] = {
    "manifest.csv": lambda folder: read_manifest(folder / "manifest.csv"),
    "meta/esc50.csv": read_esc50,
    "metadata/UrbanSound8K.csv": read_urbansound8k,
}
