"""Recordings whose headers lie about their length, that were joined, or that end early.

What a file holds is heard, or a line says that it wasn't.
"""

from __future__ import annotations

import csv
import random
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.audio.files.lying import LIARS, encoded, with_vbri, without_xing
from tests.tiny_model import write_tiny_model
from tests.torture.recordings import ODDITIES

LYING_FILES = 12
PATIENCE_S = 120.0

_SOUND_S = 6.0
_RATE_HZ = 48000
_SPARE_S = 0.2
"""An encoder's delay, and what an MP3 loses at a seam."""

_COMPRESSED = {
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Replay lying files; none is heard in part without a word."""
    model = folder / "model.onnx"
    write_tiny_model(model)
    samples = np.random.default_rng(2).normal(0.0, 0.1, round(_SOUND_S * _RATE_HZ)).clip(-1, 1)
    formats = {name: (container, subtype) for name, (container, subtype, _) in LIARS.items()}
    honest = {
        name: encoded(samples, container, subtype, _RATE_HZ)
        for name, (container, subtype) in (formats | _COMPRESSED).items()
    }

    def trial(rng: random.Random) -> None:
        made: dict[Path, tuple[str, float, bool]] = {}
        for number in range(LYING_FILES):
            name = rng.choice(list(honest))
            content, told, held_s, whole = _lie(name, honest[name], rng)
            path = folder / f"{number}"
            path.write_bytes(content)
            made[path] = f"{name}: {told}", held_s, whole
        scores = folder / "scores.csv"
        program = "import sys; from rainwatchd.cli import main; sys.exit(main())"
        options = ["--json", "--jobs", "1", "--model", model, "--scores", scores, "--overwrite"]
        arguments = [*options, "--file", *made]
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode in {0, 1}, done.stderr[-3000:]
        lines = [line for line in done.stderr.splitlines() if line.startswith("rainwatchd: ")]
        with scores.open(newline="") as file:
            heard_s = {Path(row["file"]): float(row["end_s"]) for row in csv.DictReader(file)}
        for path, (told, held_s, whole) in made.items():
            of_it = [line for line in lines if line.startswith(f"rainwatchd: {path}: ")]
            failures = [line for line in of_it if not any(odd in line for odd in ODDITIES)]
            said = f"{told}: {heard_s.get(path)} of {held_s} s; {of_it}"
            assert heard_s.get(path, 0.0) >= held_s - _SPARE_S, said
            assert heard_s.get(path, 0.0) <= held_s + 1.0, said
            assert not (whole and failures), said
            assert done.returncode == 1 or not failures, said

    yield trial


def _lie(name: str, honest: bytes, rng: random.Random) -> tuple[bytes, str, float, bool]:
    """Return a lying file, what it does, its sound, and whether that is all that it promises."""
    content, told, whole = honest, "honest", True
    if name in LIARS:
        real = 2 * round(_SOUND_S * _RATE_HZ)
        claims = (0, 44, real, rng.randrange(2, real, 2), rng.randrange(real, 3 * real, 2))
        claimed = rng.choice(claims)
        content = LIARS[name][2](honest, claimed)
        told, whole = f"claims {claimed} of {real}", claimed <= real
    elif name == "mp3" and rng.random() < 0.7:
        at = honest.index(b"Xing") + 8
        frames = int.from_bytes(honest[at : at + 4], "big")
        factor = rng.choice((0.0, 0.1, 0.5, 2.0))
        told, whole = f"{factor} of the frames", factor <= 1
        content = honest[:at] + struct.pack(">I", round(frames * factor)) + honest[at + 4 :]
        if factor == 0.0:
            told, content = "no count of frames", without_xing(honest)
        elif rng.random() < 0.5:
            size = round(len(honest) * rng.choice((0.0, 0.5, 1.0, 2.0)))
            told, content = f"VBRI, {told}", with_vbri(honest, round(frames * factor), size)
    parts = rng.choice((1, 1, 2, 3))
    return content + honest * (parts - 1), f"{told}, {parts} parts", parts * _SOUND_S, whole
