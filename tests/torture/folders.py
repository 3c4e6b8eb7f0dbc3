"""Cards with what people and other systems leave on them: links, loops, rubbish, other formats."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from rainwatchd.audio.formats import SUFFIXES, UNREADABLE
from rainwatchd.errors import AudioError
from rainwatchd.replay.folders import find_recordings
from tests.tiny_model import write_tiny_model

PATIENCE_S = 120.0

_RUBBISH = (".Trashes", ".Trash-1000", ".Trash", "$RECYCLE.BIN", "System Volume Information")
_NAMES = ("a", "ä", "Z", "\udcff", "森", "\udce4\udcf6 b", "x\ny", " ", "-", "*?[a]", "e\u0301")
"""Folders' and files' names begin so: two are not UTF-8."""

_MOST_FOLDERS = 12
_MOST_FILES = 30

_REPLAYED = 0.04
"""Share of the cards that are also replayed whole, which takes seconds."""


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Search random trees; each recording is found once, and nothing that was deleted."""
    trials = iter(range(1 << 62))
    model = folder / "model.onnx"
    write_tiny_model(model)
    good = folder / "good.wav"
    soundfile.write(good, 0.3 * np.sin(0.4 * np.pi * np.arange(8000)), 16000)

    def trial(rng: random.Random) -> None:
        card = folder / str(next(trials)) / "card"
        card.mkdir(parents=True)
        folders, deleted = [card], [card]
        for number in range(rng.randint(0, _MOST_FOLDERS)):
            rubbish = rng.random() < 0.2
            # What is in a folder that was deleted was deleted with it.
            parent = rng.choice(folders if rng.random() < 0.8 else deleted)
            name = rng.choice(_RUBBISH) if rubbish else rng.choice(_NAMES) + f" {number}"
            path = parent / name
            path.mkdir(exist_ok=True)
            gone = rubbish or (parent in deleted and parent != card)
            (deleted if gone else folders).append(path)
        recordings, others = set(), dict.fromkeys(UNREADABLE, 0)
        for number in range(rng.randint(0, _MOST_FILES)):
            suffix = rng.choice([*SUFFIXES, *UNREADABLE, ".txt", ""])
            name = f"{number}{suffix.upper() if rng.random() < 0.3 else suffix}"
            if rng.random() < 0.2 and deleted[1:]:
                (rng.choice(deleted[1:]) / name).touch()
            elif rng.random() < 0.2:
                (rng.choice(folders) / f"._{name}").touch()
            else:
                path = rng.choice(folders) / (rng.choice(_NAMES) + name)
                path.touch()
                if suffix in SUFFIXES:
                    recordings.add(path)
                elif suffix in UNREADABLE:
                    others[suffix] += 1
        for number in range(rng.randint(0, 6)):
            target = rng.choice([*folders, card.parent, card / "gone"])
            (rng.choice(folders) / f"link{number}").symlink_to(target)
        own = rng.choice(folders) / "loop"
        own.symlink_to(own)
        locked = _lock(rng, folders[1:])
        try:
            recordings = {path for path in recordings if not any(f in path.parents for f in locked)}
            _search(card, rng, recordings, others, locked)
            if rng.random() < _REPLAYED and not locked:
                _replay(card, rng, recordings, others, good, model)
        finally:
            for path in locked:
                path.chmod(0o700)

    yield trial


def _lock(rng: random.Random, folders: list[Path]) -> list[Path]:
    """Take away the right to read one folder of few; root would read it all the same."""
    if not folders or rng.random() < 0.7:
        return []
    path = rng.choice(folders)
    path.chmod(0)
    if os.access(path, os.R_OK):
        path.chmod(0o700)
        return []
    return [path]


def _search(
    card: Path,
    rng: random.Random,
    recordings: set[Path],
    others: dict[str, int],
    locked: list[Path],
) -> None:
    found = find_recordings([card] * rng.randint(1, 2))
    paths = [item for item in found if isinstance(item, Path)]
    assert len(paths) == len(set(paths))
    assert set(paths) == recordings, f"{set(paths) ^ recordings}"
    told = [str(item) for item in found if isinstance(item, AudioError)]
    assert all(line.isprintable() for line in told), told
    if locked:
        assert any("Permission denied" in line for line in told), told
        return
    kinds = [suffix for suffix, count in others.items() if count]
    for suffix in kinds:
        (line,) = (line for line in told if f"of the kind {suffix} " in line)
        assert line.startswith(f"{others[suffix]} recording")
    empty = not recordings and not kinds
    assert len(told) == len(kinds) + empty, told


def _replay(
    card: Path,
    rng: random.Random,
    recordings: set[Path],
    others: dict[str, int],
    good: Path,
    model: Path,
) -> None:
    """Hear the card: each recording has sound in it, or a line of its own."""
    silent = 0
    for path in sorted(recordings):
        if rng.random() < 0.5:
            path.write_bytes(good.read_bytes())
        elif rng.random() < 0.2:
            path.chmod(0)
            silent += 1
        else:
            silent += 1
    program = "import sys; from rainwatchd.cli import main; sys.exit(main())"
    scores = card.parent / "scores.csv"
    options = ["--json", "--jobs", "1", "--model", str(model), "--scores", str(scores)]
    done = subprocess.run(
        [sys.executable, "-c", program, *options, "--file", str(card)],
        check=False,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": rng.choice(("utf-8", "latin-1", "ascii"))},
        timeout=PATIENCE_S,
    )
    lines = done.stderr.decode("latin-1").splitlines()
    assert all(line.startswith("rainwatchd: ") for line in lines), lines
    kinds = sum(count > 0 for count in others.values())
    bad = [line for line in lines if "length can't be checked" not in line]
    assert len(bad) == silent + kinds + (not recordings and not kinds), lines
    assert bool(bad) == bool(done.returncode), lines
    assert done.returncode in {0, 1}, lines
    for line in done.stdout.splitlines():
        assert json.loads(line)["file"]
