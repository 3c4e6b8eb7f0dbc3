"""What a site's labels bring: nuisances before and after `adapt` and `calibrate`.

Of each kind those recordings are taken that the model never trained on and alarms on; where it
alarms on none, the table says so. Half of them pass by in the first night, over forest, and are
judged false, as a ranger would; they adapt the model, and the thresholds are calibrated on that
night. The other half pass by in the second night, which says what it brought, alone and with saws
over them; where there is but one recording, it passes by in both, over other forest.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
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
QUIET_S = 12.0
NUISANCE_DB = 10.0
SAW_DB = (0.0, -10.0)
PASSES_A_DAY = 144
"""One each ten minutes, for the alarms a day."""

RECORDINGS = Path(__file__).parents[1] / "recordings"

NUISANCES = {
    "cow": ("cow",),
    "elephant rumble": ("elephant_rumble",),
    "elephant roar": ("elephant_roar",),
    "sheep": ("sheep",),
    "drone": ("drone_indoor_bebop", "drone_indoor_membo"),
    "tram": ("tram",),
    "helicopter": ("helicopter", "aircraft_helicopter"),
    "locomotive": ("locomotive_start", "locomotive_idle", "locomotive_rev", "train_horn"),
    "frogs": ("frog",),
    "mains buzz": (),
}
"""Name -> kinds in the manifest, of the rows whose use is `evaluate`; none: made here."""


def pieces(name: str, most: int) -> list[Floats]:
    """Return `most` sounds of a nuisance, of as many recordings as there are."""
    rng = np.random.default_rng(sum(map(ord, name)))
    length = round(PASS_S * RATE_HZ)
    kinds = NUISANCES[name]
    if not kinds:
        return [_buzz(length, rng) for _ in range(most)]
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
            found.append(sound[first : first + length])
    return [looped([sound], length, 0.0, RATE_HZ) for sound in found if sound.any()][:most]


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


def alarming(sounds: Sequence[Floats], model: Classifier, home: Path) -> list[Floats]:
    """Return the sounds that raise an alert over forest."""
    files = write(home / "tried", [over_forest(one, n) for n, one in enumerate(sounds)])
    return [
        sound
        for sound, file in zip(sounds, files, strict=True)
        if alarms([file], model, Config(), _any_alert)
    ]


def _any_alert(label: str) -> bool:
    return label != "storm"


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


def row(name: str, count: int, tries: int, home: Path, model: Path) -> str:
    """Do all of it for one nuisance; `count` passes a night."""
    began_s = time.monotonic()
    before = Classifier(model)
    tried = pieces(name, tries)
    found = alarming(tried, before, home)
    if not found:
        return f"| {name} | 0 of {len(tried)} | - | - | - | - | - |"
    nights = found[0::2], found[1::2] or found
    first, second = ([sounds[number % len(sounds)] for number in range(count)] for sounds in nights)
    files = write(home / "first", [over_forest(one, 300 + n) for n, one in enumerate(first)])
    write(home / "labels/other", [_middle(path) for path in files])
    quiet = write(home / "second", [over_forest(one, 400 + n) for n, one in enumerate(second)])
    real = saws(count)
    mixed = {
        ratio_db: write(
            home / f"saws{ratio_db:g}",
            [
                over_forest(one, 400 + n, (real[n % len(real)], ratio_db))
                for n, one in enumerate(second)
            ],
        )
        for ratio_db in SAW_DB
    }

    def heard(classifier: Classifier, config: Config) -> tuple[int, list[int]]:
        alone = alarms(quiet, classifier, config, _any_alert)
        return alone, [saws_found(mixes, classifier, config) for mixes in mixed.values()]

    at_first = heard(before, Config())
    adapted, said = home / "site.onnx", io.StringIO()
    words = ["--anchor", str(anchor_of(model)), "--out", str(adapted)]
    with redirect_stdout(said), redirect_stderr(said):
        written = training(["adapt", str(model), "--labels", str(home / "labels"), *words]) == 0
        served = adapted if written else model
        words = ["--model", str(served), "--out", str(home / "out"), "--jobs", "1"]
        calibrated = rainwatchd(["calibrate", str(home / "first"), *words]) == 0
    print(said.getvalue(), file=sys.stderr)
    after = Classifier(served)
    then = heard(after, Config())
    last = (
        heard(after, load(home / "out/decision.yaml", {"model": str(served)}))
        if calibrated
        else then
    )
    minutes = (time.monotonic() - began_s) / 60
    note = "" if written else " (not adapted)"
    day = PASSES_A_DAY / count
    steps = [
        f"{day * alone:.0f}; {' / '.join(map(str, counts))} of {count}"
        for alone, counts in (at_first, then, last)
    ]
    return (
        f"| {name}{note} | {len(found)} of {len(tried)} | {len(nights[0])}, {len(nights[1])} | "
        f"{' | '.join(steps)} | {minutes:.1f} |"
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
    parser.add_argument("--tries", type=int, default=60, help="recordings to look for alarms in")
    parser.add_argument("--model", type=Path, default=PACKAGED)
    options = parser.parse_args()
    if not default_data().exists() or not anchor_of(options.model).exists():
        print("needs the labelled recordings in ../shared and the model's anchor")
        return
    print(
        "Alarms a day at a pass each ten minutes; saws found over the nuisance at 0 / -10 dB\n\n"
        "| nuisance | recordings that raise an alert | first night, second | as shipped | adapted "
        "| and calibrated | minutes |\n|---|---|---|---|---|---|---|"
    )
    for name in options.nuisances:
        with tempfile.TemporaryDirectory() as folder:
            print(row(name, options.passes, options.tries, Path(folder), options.model), flush=True)


if __name__ == "__main__":
    main()
