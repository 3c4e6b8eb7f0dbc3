"""A night of hour-long recordings, killed at random, resumed, and held against an undisturbed run.

``python -m tests.torture.archive_night --into DIR`` makes the night of real recordings, hears it
with the shipped model, and exports it in every form for one to look at.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile
import soxr

from rainwatchd.audio.samples import Floats
from rainwatchd.replay.exports.command import FORMS
from tests.torture.archive import ROOT, parts

RATE_HZ = 16000
HOUR = 3600 * RATE_HZ
EVENING = datetime(2024, 5, 12, 18, tzinfo=UTC)
_PROGRAM = "import sys; from rainwatchd.cli import main; sys.exit(main())"
_WHERE = ("--lat", "1.5", "--lon", "110.25")


def make_night(folder: Path, manifest: Path, hours: int, rng: random.Random) -> None:
    """Write an hour a file: forest throughout, and in most hours a minute of something else."""
    folder.mkdir(parents=True)
    forest = _sounds(manifest, "background", 40, rng)
    others = [_sounds(manifest, kind, 20, rng) for kind in ("chainsaw", "engine", "storm")]
    for hour in range(hours):
        sound = np.float32(0.2) * _filled((rng.choice(forest) for _ in itertools.count()), HOUR)
        for _ in range(rng.randrange(3)):
            event = np.resize(rng.choice(rng.choice(others)), 60 * RATE_HZ)
            start = rng.randrange(HOUR - event.size)
            sound[start : start + event.size] += rng.uniform(0.1, 0.5) * event
        path = folder / f"ridge_{EVENING + timedelta(hours=hour):%Y%m%d_%H%M%S}.wav"
        soundfile.write(path, sound.clip(-1, 1), RATE_HZ, subtype="PCM_16")


def _sounds(manifest: Path, kind: str, most: int, rng: random.Random) -> list[Floats]:
    with manifest.open(newline="") as file:
        names = [row["path"] for row in csv.DictReader(file) if row["class"] == kind]
    sounds = []
    for name in rng.sample(names, min(most, len(names))):
        sound, rate_hz = soundfile.read(manifest.parent / name, dtype="float32", always_2d=True)
        mono = soxr.resample(sound.mean(axis=1), rate_hz, RATE_HZ)
        sounds.append(mono / max(1e-3, float(np.abs(mono).max())))
    return sounds


def _filled(sounds: Iterator[Floats], size: int) -> Floats:
    filled = np.empty(size, np.float32)
    position = 0
    while position < size:
        piece = next(sounds)[: size - position]
        filled[position : position + piece.size] = piece
        position += piece.size
    return filled


def hear(night: Path, out: Path, quiet: bool = False) -> subprocess.Popen[bytes]:
    """Start hearing the night."""
    words = ["--file", str(night), "--out", str(out), "--scores", "--utc-offset", "+00:00"]
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *words, *_WHERE],
        cwd=ROOT,
        stderr=subprocess.DEVNULL if quiet else None,
    )


def main() -> int:
    """Run it all; exit status 1 if the parts differ."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture.archive_night", description=__doc__
    )
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="a new folder")
    parser.add_argument("--data", type=Path, default=ROOT / "tests/recordings/manifest.csv")
    parser.add_argument("--hours", type=int, default=12)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    night = options.into / "night"
    out, undisturbed = options.into / "out", options.into / "undisturbed"
    make_night(night, options.data, options.hours, rng)
    for number in range(options.kills):
        had = len(parts(out))
        process = hear(night, out, quiet=True)
        while process.poll() is None and len(parts(out)) <= had:
            time.sleep(0.05)
        moment_s = rng.uniform(0.0, 5.0)
        try:
            process.wait(moment_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        print(
            f"kill {number + 1}: status {process.returncode}, {len(parts(out))} parts", flush=True
        )
    for folder in (out, undisturbed):
        began_s = time.monotonic()
        status = hear(night, folder).wait()
        print(f"{folder.name}: status {status}, {time.monotonic() - began_s:.0f} s", flush=True)
    same = parts(out) == parts(undisturbed)
    print(f"{len(parts(out))} parts, the same byte for byte: {same}", flush=True)
    for form in FORMS:
        subprocess.run([sys.executable, "-c", _PROGRAM, "export", out, "--to", form], check=True)
    page = options.into / "page.html"
    subprocess.run([sys.executable, "-c", _PROGRAM, "export", out, "--report", page], check=True)
    print(f"look at {page} and {out / 'export'}")
    return 0 if same and len(parts(out)) == options.hours else 1


if __name__ == "__main__":
    sys.exit(main())
