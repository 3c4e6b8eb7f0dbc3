"""Recordings whose headers lie about their length, that were joined, cut, or damaged.

What a file holds is heard, or a line says that it wasn't.
"""

from __future__ import annotations

import contextlib
import csv
import random
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from tests.audio.files.lying import LIARS, encoded, ogg, with_vbri, without_xing
from tests.tiny_model import write_tiny_model
from tests.torture.mutation import damaged
from tests.torture.recordings import LIBRARY_CHATTER, ODDITIES

FILES = 12
PATIENCE_S = 120.0

_SOUND_S = 6.0
_RATE_HZ = 48000
_SPARE_S = 0.2
"""An encoder's delay, what an MP3 loses at a seam, and a step of the scores."""

_HEADER_BYTES = 96

_LONGEST_HEADER_BYTES = 1100
"""A NIST SPHERE's is 1024."""

_COMPRESSED = {
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}

_HEARD_TO = re.compile(r"(?:cut short:|damaged at|heard to|the sample at) (\d+\.\d+) s")


@dataclass(frozen=True)
class _Made:
    """A file, and what has to come of it."""

    content: bytes
    told: str
    least_s: float
    most_s: float = float("inf")
    whole: bool = False
    """Nothing is missing, so no line may say so."""
    silent_from_s: float = 0.0
    """Without a line, this is heard."""
    may_fail: bool = False
    """A line that nothing can be heard is right as well."""


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Replay such files; none is heard in part without a word."""
    model = folder / "model.onnx"
    write_tiny_model(model)
    samples = np.random.default_rng(2).normal(0.0, 0.1, round(_SOUND_S * _RATE_HZ)).clip(-1, 1)
    formats = {name: (container, subtype) for name, (container, subtype, _) in LIARS.items()}
    honest = {
        name: encoded(samples, container, subtype, _RATE_HZ)
        for name, (container, subtype) in (formats | _COMPRESSED).items()
    }

    def trial(rng: random.Random) -> None:
        made: dict[Path, _Made] = {}
        for number in range(FILES):
            name = rng.choice(list(honest))
            make = rng.choice((_lying, _cut, _damaged))
            path = folder / f"{number}"
            made[path] = make(name, honest[name], rng)
            path.write_bytes(made[path].content)
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
        lines = [line for line in done.stderr.splitlines() if not line.startswith(LIBRARY_CHATTER)]
        with scores.open(newline="") as file:
            heard_s = {Path(row["file"]): float(row["end_s"]) for row in csv.DictReader(file)}
        for path, file_made in made.items():
            begin = f"rainwatchd: {path}: "
            of_it = [line.removeprefix(begin) for line in lines if line.startswith(begin)]
            failures = [line for line in of_it if not any(odd in line for odd in ODDITIES)]
            _check(file_made, heard_s.get(path, 0.0), of_it, failures)
            assert done.returncode == 1 or not failures, failures
        unnamed = [line for line in lines if not any(f"rainwatchd: {p}: " in line for p in made)]
        assert not unnamed, unnamed

    yield trial


def _check(made: _Made, heard_s: float, lines: list[str], failures: list[str]) -> None:
    said = f"{made.told}: {heard_s} of {made.least_s} to {made.most_s} s; {lines}"
    unheard = made.may_fail and failures and not heard_s
    assert unheard or heard_s >= made.least_s - _SPARE_S, said
    assert heard_s <= made.most_s + 1.0, said
    assert not (made.whole and failures), said
    assert lines or heard_s >= made.silent_from_s - _SPARE_S, said
    for line in failures:
        # Where files were joined, a line may be about the first of them.
        one = made.most_s <= _SOUND_S or made.most_s == float("inf")
        if one and heard_s and (told := _HEARD_TO.search(line)) is not None:
            assert abs(float(told[1]) - heard_s) <= 1.0, said


def _lying(name: str, honest: bytes, rng: random.Random) -> _Made:
    """Let a header lie, and join honest files to it."""
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
    elif name != "mp3" and rng.random() < 0.7:
        (granule,) = struct.unpack_from("<q", honest, honest.rindex(b"OggS") + 6)
        claimed = rng.choice((-1, 0, rng.randrange(granule), rng.randrange(granule, 3 * granule)))
        # An encoder fills its last packet up; so little may be told too much or too little.
        whole = claimed <= granule + 4800
        told, content = f"tells {claimed} of {granule}", ogg(honest, claimed)
    parts = rng.choice((1, 1, 2, 3))
    held_s = parts * _SOUND_S
    return _Made(
        content + honest * (parts - 1), f"{name}: {told}, {parts} parts", held_s, held_s, whole
    )


def _cut(name: str, honest: bytes, rng: random.Random) -> _Made:
    """Cut a file anywhere: all that is left is heard, and the rest is told."""
    size = rng.randrange(1, len(honest))
    content = honest[:size]
    plain = _Plain(content)
    return _Made(
        content,
        f"{name}: cut at {size} of {len(honest)}",
        max(plain.found_s, plain.held_s(name)),
        _SOUND_S,
        silent_from_s=_SOUND_S,
        may_fail=True,
    )


def _damaged(name: str, honest: bytes, rng: random.Random) -> _Made:
    """Change bytes, most of them in the header: what is there is heard, or a line tells of it."""
    content = damaged(honest, rng, near_start=_HEADER_BYTES)
    plain = _Plain(content)
    silent_from_s = max(plain.found_s, plain.held_s(name))
    return _Made(content, f"{name}: damaged", 0.0, silent_from_s=silent_from_s, may_fail=True)


class _Plain:
    """What libsndfile finds by itself."""

    def __init__(self, content: bytes) -> None:
        self.found_s = 0.0
        self._size = len(content)
        self._kind: tuple[str, int, int] | None = None
        with tempfile.TemporaryFile() as file, contextlib.suppress(soundfile.SoundFileError):
            file.write(content)
            file.seek(0)
            with soundfile.SoundFile(file.fileno(), closefd=False) as sound:
                self._kind = sound.subtype, sound.samplerate, sound.channels
                while block := len(sound.read(max(1, 32768 // sound.channels), dtype="float32")):
                    self.found_s += block / sound.samplerate

    def held_s(self, name: str) -> float:
        """Return how much the bytes are, if they still are uncompressed sound as it was made."""
        if name not in LIARS or name == "flac" or self._kind != ("PCM_16", _RATE_HZ, 1):
            return 0.0
        return max(0.0, (self._size - _LONGEST_HEADER_BYTES) / (2 * _RATE_HZ))
