"""Nuisances that pass by a site: recordings that the model never trained on, laid over forest."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from rainwatchd.audio.samples import Floats
from training.soundscape.library import default_data
from training.soundscape.looping import looped
from training.soundscape.snr import gain_for

RATE_HZ = 16000
PASS_S = 20.0
QUIET_S = 12.0
NUISANCE_DB = 10.0
BED_RMS = 0.02
LEAST_BED_S = 10.0

RECORDINGS = Path(__file__).parent / "recordings"

NUISANCES = {
    "cow": ("cow",),
    "elephant rumble": ("elephant_rumble",),
    "elephant roar": ("elephant_roar",),
    "sheep": ("sheep",),
    "elephant trumpet": ("elephant_trumpet",),
    "lion": ("lion",),
    "donkey": ("donkey",),
    "hair dryer": ("hair_dryer",),
    "electric shaver": ("electric_shaver",),
    "drone": ("drone_indoor_bebop", "drone_indoor_membo"),
    "tram": ("tram",),
    "helicopter": ("helicopter", "aircraft_helicopter"),
    "locomotive": ("locomotive_start", "locomotive_idle", "locomotive_rev", "train_horn"),
    "frogs": ("frog",),
    "mains buzz": (),
}
"""Name -> kinds in the manifest, of the rows whose use is `evaluate`; none: made here."""


class Piece(NamedTuple):
    """What passes by once."""

    recording: str
    """Where it comes from; several may come from one."""
    sound: Floats


def pieces(name: str, most: int) -> list[Piece]:
    """Return `most` sounds of a nuisance, of as many recordings as there are."""
    rng = np.random.default_rng(sum(map(ord, name)))
    length = round(PASS_S * RATE_HZ)
    kinds = NUISANCES[name]
    if not kinds:
        return [Piece(str(number), _buzz(length, rng)) for number in range(most)]
    manifest = default_data()
    with manifest.open(encoding="utf-8") as file:
        rows = {
            row["recording"]: row
            for row in csv.DictReader(file)
            if row["sub_label"] in kinds and row["use"] == "evaluate"
        }
    recordings = list(rows.values())
    found = []
    for place in rng.permutation(len(recordings))[:most]:
        sound = _read(manifest.parent / recordings[place]["path"])
        # Of a long recording several passes are cut.
        for first in range(0, max(1, min(sound.size - length // 2, 4 * length)), length):
            found.append(Piece(recordings[place]["recording"], sound[first : first + length]))
    return [
        Piece(name, looped([sound], length, 0.0, RATE_HZ)) for name, sound in found if sound.any()
    ][:most]


def saws(count: int) -> list[Floats]:
    """Return chainsaws that `adapt` doesn't lay over the clips."""
    manifest = default_data()
    with manifest.open(encoding="utf-8") as file:
        rows = {
            row["recording"]: row
            for row in csv.DictReader(file)
            if row["class"] == "chainsaw" and not row["source"].startswith("esc")
        }
    recordings = [row for row in rows.values() if float(row["duration_s"]) >= 4.0]
    chosen = np.random.default_rng(3).permutation(len(recordings))[:count]
    length = round(PASS_S * RATE_HZ)
    sounds = [_read(manifest.parent / recordings[place]["path"]) for place in chosen]
    return [looped([sound], length, 0.0, RATE_HZ) for sound in sounds]


def two_nights(found: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
    """Deal the pieces out by recording, half of these to each night; a single one to both."""
    names = list(dict.fromkeys(piece.recording for piece in found))
    nights = names[0::2], names[1::2] or names
    first, second = ([piece for piece in found if piece.recording in night] for night in nights)
    return first, second


def recordings_of(found: Sequence[Piece]) -> int:
    """Count the recordings that the pieces come from."""
    return len({piece.recording for piece in found})


def write(folder: Path, sounds: Sequence[Floats]) -> list[Path]:
    """Write sounds as recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:03}.flac" for number in range(len(sounds))]
    for file, sound in zip(files, sounds, strict=True):
        soundfile.write(file, sound, RATE_HZ)
    return files


def _buzz(length: int, rng: np.random.Generator) -> Floats:
    """Twice the mains' frequency with its harmonics, as a loose shield picks it up."""
    seconds = np.arange(length) / RATE_HZ
    hum = 2.0 * rng.choice([50.0, 60.0]) * rng.uniform(0.998, 1.002)
    waves = [
        rng.uniform(0.2, 1.0) / order * np.sin(2 * np.pi * order * hum * seconds)
        for order in range(1, 25)
    ]
    buzz: Floats = np.sum(waves, axis=0).astype(np.float32)
    return buzz


def _read(path: Path) -> Floats:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), dtype=np.float32)


def over_forest(sound: Floats, seed: int, more: tuple[Floats, float] | None = None) -> Floats:
    """Lay a pass over a minute of forest; `more` as `laid` takes it."""
    rng = np.random.default_rng(seed)
    beds = sorted((RECORDINGS / "background").glob("*.ogg"))
    length = round((2 * QUIET_S + PASS_S) * RATE_HZ)
    bed = _at_level(looped([_read(beds[seed % len(beds)])], length, float(rng.random()), RATE_HZ))
    bed += rng.normal(0.0, 1e-4, length).astype(np.float32)
    return laid(bed, sound, more)


def laid(bed: Floats, sound: Floats, more: tuple[Floats, float] | None = None) -> Floats:
    """Lay a pass over the middle of a bed; `more` is another sound and its ratio to all in dB."""
    heard = bed.copy()
    first = (bed.size - sound.size) // 2
    inside = slice(first, first + sound.size)
    heard[inside] += np.float32(gain_for(sound, heard[inside], NUISANCE_DB, RATE_HZ)) * sound
    if more is not None:
        other, ratio_db = more
        heard[inside] += np.float32(gain_for(other, heard[inside], ratio_db, RATE_HZ)) * other
    heard /= max(np.float32(1.0), np.abs(heard).max())
    return heard


def ambience(half: int) -> Floats:
    """Return half of the longer recordings of birds and forest that no model trained on.

    They follow each other in the order of their names, all at one level.
    """
    manifest = default_data()
    with manifest.open(encoding="utf-8") as file:
        rows = {
            row["recording"]: row
            for row in csv.DictReader(file)
            if row["class"] == "background" and row["use"] == "evaluate"
        }
    long = [name for name in sorted(rows) if float(rows[name]["duration_s"]) >= LEAST_BED_S]
    sounds = [_read(manifest.parent / rows[name]["path"]) for name in long[half::2]]
    return np.concatenate([_at_level(sound) for sound in sounds])


def _at_level(bed: Floats) -> Floats:
    return bed * np.float32(BED_RMS / max(float(np.sqrt(np.mean(bed**2))), 1e-6))
