"""What a site's labels bring: nuisances before and after `adapt` and `calibrate`.

Each nuisance passes by over forest. Half of the recordings are the first night: what the model
alarms on, or nearly, is judged false, as a ranger would, and adapts it; the thresholds are
calibrated on that night. The other half is the second night, which says what it brought, as do
chainsaws over the nuisance of the second night.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import soundfile
import soxr

from rainwatchd.audio.samples import Floats
from rainwatchd.cli import main as rainwatchd
from rainwatchd.config.options import Config, load
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import PACKAGED
from rainwatchd.replay.replay import Found, Replay
from training.__main__ import main as training
from training.adaptation.anchor import anchor_of
from training.soundscape.library import default_data
from training.soundscape.looping import looped
from training.soundscape.snr import gain_for

RATE_HZ = 16000
PASS_S = 20.0
QUIET_S = 20.0
NUISANCE_DB = 10.0
SAW_DB = (0.0, -10.0)
RECORDINGS = Path(__file__).parents[1] / "recordings"

NUISANCES = {
    "cow": ("cow", "evaluate"),
    "tram": ("tram", "evaluate"),
    "helicopter": ("helicopter", None),
    "frogs": ("frog", "evaluate"),
    "mains buzz": (None, None),
}
"""Name -> kind in the manifest and the use that it must have; None: made here."""


def passes(name: str, count: int) -> list[Floats]:
    """Return `count` sounds of a nuisance, each of another recording where there are enough."""
    kind, use = NUISANCES[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    length = round(PASS_S * RATE_HZ)
    if kind is None:
        return [_buzz(length, rng) for _ in range(count)]
    manifest = default_data()
    with manifest.open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["sub_label"] == kind and use in (None, row["use"])
        ]
    chosen = [rows[place] for place in rng.permutation(len(rows))]
    sounds = [_read(manifest.parent / row["path"]) for row in chosen[:count]]
    while len(sounds) < count:
        sounds.append(sounds[len(sounds) % len(chosen)])
    return [looped([sound], length, float(rng.random()), RATE_HZ) for sound in sounds]


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
    """Lay a pass over forest; `more` is another sound and its ratio to all of that in dB."""
    rng = np.random.default_rng(seed)
    beds = sorted((RECORDINGS / "background").glob("*.ogg"))
    length = round((2 * QUIET_S + PASS_S) * RATE_HZ)
    bed = looped([_read(beds[seed % len(beds)])], length, float(rng.random()), RATE_HZ)
    bed = bed * np.float32(0.02 / max(float(np.sqrt(np.mean(bed**2))), 1e-6))
    bed += rng.normal(0.0, 1e-4, length).astype(np.float32)
    inside = slice(round(QUIET_S * RATE_HZ), round(QUIET_S * RATE_HZ) + sound.size)
    bed[inside] += np.float32(gain_for(sound, bed[inside], NUISANCE_DB, RATE_HZ)) * sound
    if more is not None:
        other, ratio_db = more
        bed[inside] += np.float32(gain_for(other, bed[inside], ratio_db, RATE_HZ)) * other
    heard: Floats = bed / max(np.float32(1.0), np.abs(bed).max())
    return heard


def alarms(
    files: Sequence[Path], model: Classifier, config: Config, wanted: Callable[[str], bool]
) -> int:
    """Count the alerts of classes that are `wanted`."""
    return sum(
        isinstance(item, Found) and item.detection.phase == "onset" and wanted(item.detection.label)
        for file in files
        for item in Replay(config, "site").hear(file, model)
    )


def saws_found(files: Sequence[Path], model: Classifier, config: Config) -> int:
    """Count the recordings with an alert for a chainsaw."""
    return sum(
        alarms([file], model, config, lambda label: label == "chainsaw") > 0 for file in files
    )


def write(folder: Path, sounds: Sequence[Floats]) -> list[Path]:
    """Write sounds as recordings."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number:03}.flac" for number in range(len(sounds))]
    for file, sound in zip(files, sounds, strict=True):
        soundfile.write(file, sound, RATE_HZ)
    return files


def row(name: str, count: int, home: Path, model: Path) -> str:
    """Do all of it for one nuisance."""
    began_s = time.monotonic()
    sounds = passes(name, 2 * count)
    first = write(home / "first", [over_forest(one, n) for n, one in enumerate(sounds[:count])])
    second_sounds = sounds[count:]
    second = write(
        home / "second", [over_forest(one, 100 + n) for n, one in enumerate(second_sounds)]
    )
    saws = [_read(path) for path in sorted((RECORDINGS / "chainsaw").glob("*.ogg"))]
    length = round(PASS_S * RATE_HZ)
    mixed = {
        ratio_db: write(
            home / f"saws{ratio_db:g}",
            [
                over_forest(
                    one, 200 + n, (looped([saws[n % len(saws)]], length, 0.0, RATE_HZ), ratio_db)
                )
                for n, one in enumerate(second_sounds)
            ],
        )
        for ratio_db in SAW_DB
    }
    write(home / "labels/other", [_middle(path) for path in first])
    before, adapted = Classifier(model), home / "site.onnx"
    hours = len(second) * (2 * QUIET_S + PASS_S) / 3600

    def alerts(label: str) -> bool:
        return label != "storm"

    counts = [alarms(second, before, Config(), alerts)]
    found = [saws_found(files, before, Config()) for files in mixed.values()]
    said = io.StringIO()
    words = ["--anchor", str(anchor_of(model)), "--out", str(adapted)]
    with redirect_stdout(said):
        written = training(["adapt", str(model), "--labels", str(home / "labels"), *words]) == 0
        served = adapted if written else model
        rainwatchd(
            ["calibrate", str(home / "first"), "--model", str(served), "--out", str(home / "out")]
        )
    after = Classifier(served)
    config = load(home / "out/decision.yaml", {"model": str(served)})
    counts.append(alarms(second, after, Config(), alerts))
    counts.append(alarms(second, after, config, alerts))
    later = [saws_found(files, after, config) for files in mixed.values()]
    recall = " / ".join(f"{one}, {two} of {count}" for one, two in zip(found, later, strict=True))
    minutes = (time.monotonic() - began_s) / 60
    note = "" if written else " (not adapted)"
    return (
        f"| {name}{note} | {hours:.1f} | {counts[0]} | {counts[1]} | {counts[2]} | {recall} "
        f"| {minutes:.1f} |"
    )


def _middle(path: Path) -> Floats:
    """Return what a judged clip holds: the pass and some seconds around it."""
    samples, _ = soundfile.read(path, dtype="float32")
    return np.asarray(
        samples[round((QUIET_S - 5) * RATE_HZ) : round((QUIET_S + PASS_S + 2) * RATE_HZ)]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nuisances", nargs="+", choices=NUISANCES, default=list(NUISANCES))
    parser.add_argument("--passes", type=int, default=12, help="in each of the two nights")
    parser.add_argument("--model", type=Path, default=PACKAGED)
    options = parser.parse_args()
    if not default_data().exists() or not anchor_of(options.model).exists():
        print("needs the labelled recordings in ../shared and the model's anchor")
        return
    print(
        "| nuisance | hours | alarms | adapted | and calibrated | saws found at 0 / -10 dB "
        "before, after | minutes |\n|---|---|---|---|---|---|---|"
    )
    for name in options.nuisances:
        with tempfile.TemporaryDirectory() as folder:
            print(row(name, options.passes, Path(folder), options.model), flush=True)


if __name__ == "__main__":
    main()
