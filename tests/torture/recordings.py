"""Recordings from cards pulled out while written, and files that only claim to be sound."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from tests.tiny_model import write_tiny_model
from tests.torture.mutation import damaged

HEADER_BYTES = 128
DAMAGED_FILES = 12
PATIENCE_S = 120.0
MEMORY_KB = 400_000
"""More than a replay needs, less than a header's lie about a file's size would take."""

ODDITIES = (
    *("its header tells of", "nothing but zeros", "opposite signs"),
    *("the mark of its end is missing", "length can't be checked"),
)
"""Told of a recording that was heard."""

LIBRARY_CHATTER = ("[src/libmpg123", "Note: ", "Warning: ", "warning: ")
"""libmpg123 writes to stderr by itself, and libsndfile has no switch for it."""

_KINDS = (
    ("wav", "WAV", "PCM_U8"),
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAV", "ULAW"),
    ("wav", "WAV", "IMA_ADPCM"),
    ("wav", "WAVEX", "PCM_16"),
    ("wav", "RF64", "PCM_16"),
    ("flac", "FLAC", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("ogg", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
    ("aiff", "AIFF", "PCM_16"),
    ("au", "AU", "PCM_16"),
)


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Replay damaged files between two good ones, whose detections must not change."""
    model = folder / "model.onnx"
    write_tiny_model(model)
    seconds = np.arange(12 * 16000) / 16000
    soundfile.write(folder / "good.wav", 0.3 * np.sin(2000 * np.pi * seconds), 16000)
    noise = 0.1 * np.random.default_rng(1).standard_normal((8000, 2))
    healthy = []
    for number, (suffix, container, encoding) in enumerate(_KINDS):
        path = folder / f"healthy{number}.{suffix}"
        soundfile.write(path, noise, 8000, format=container, subtype=encoding)
        healthy.append((suffix, path.read_bytes()))
    command = [
        sys.executable,
        "-c",
        "import sys; from rainwatchd.cli import main; sys.exit(main())",
    ]
    options = ["--json", "--jobs", "1", "--model", str(model), "--file"]

    def replay(paths: list[Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *options, *map(str, paths)],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )

    good = folder / "good.wav"
    expected = _found(replay([good]).stdout, good)
    assert expected, "the good recording holds no detection"

    def trial(rng: random.Random) -> None:
        paths = []
        for number in range(DAMAGED_FILES):
            suffix, content = rng.choice(healthy)
            path = folder / f"damaged{number}.{suffix}"
            path.write_bytes(damaged(content, rng, near_start=HEADER_BYTES))
            paths.append(path)
        last = folder / "last.wav"
        last.write_bytes(good.read_bytes())
        done = replay([good, *paths, last])
        assert done.returncode in {0, 1}, f"exit {done.returncode}: {done.stderr[-3000:]}"
        complaints = [
            line for line in done.stderr.splitlines() if not line.startswith(LIBRARY_CHATTER)
        ]
        for line in complaints:
            assert line.startswith("rainwatchd: "), done.stderr[-3000:]
            assert any(path.name in line for path in paths), line
            assert line.isprintable(), ascii(line)
        # What is odd and yet was heard is told as well; it is no failure.
        failures = [line for line in complaints if not any(odd in line for odd in ODDITIES)]
        assert bool(failures) == bool(done.returncode), done.stderr[-3000:]
        assert len(failures) <= len(paths), done.stderr[-3000:]
        assert _found(done.stdout, good) == expected
        assert len(_found(done.stdout, last)) == len(expected)
        peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        assert peak_kb < MEMORY_KB, f"{peak_kb} KB"

    yield trial


def _found(output: str, path: Path) -> list[dict[str, object]]:
    detections = [json.loads(line) for line in output.splitlines()]
    return [detection for detection in detections if detection["file"] == str(path)]
