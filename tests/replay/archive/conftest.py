"""A small archive, and the command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from tests.sounds import scene

ROOT = Path(__file__).parents[3]

Start = Callable[..., subprocess.Popen[str]]
Hear = Callable[..., tuple[int, str]]

NIGHT = {
    "a/ridge_20240512_200000.wav": (("chainsaw", 9.0), (None, 12.0)),
    "a/ridge_20240513_060000.wav": ((None, 8.0), ("engine", 9.0), (None, 10.0)),
    "b/20240512_210000.flac": (("engine", 10.0), (None, 9.0)),
    "b/unknown.wav": (("chainsaw", 10.0),),
}


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings of three recorders; the last doesn't say when it was made."""
    folder = tmp_path_factory.mktemp("night")
    make_night(folder)
    return folder


def make_night(folder: Path) -> None:
    """Write the recordings into a folder."""
    for name, parts in NIGHT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, scene(16000, *parts), 16000)


SHORT_PIECES = (
    "from rainwatchd.replay import division; division.LONG_S = 90.0; division._LEAST_S = 60.0"
)
"""Divides what is longer than a minute and a half."""


@pytest.fixture
def start(tiny_model: Path) -> Start:
    """Start the command line with the stand-in model."""

    def start_(
        *arguments: object, env: dict[str, str] | None = None, first: str = ""
    ) -> subprocess.Popen[str]:
        program = f"import sys; from rainwatchd.cli import main; {first}; sys.exit(main())"
        return subprocess.Popen(
            [sys.executable, "-c", program, "--model", tiny_model, *map(str, arguments)],
            cwd=ROOT,
            env=os.environ | (env or {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start_


def parts(out: Path) -> dict[str, bytes]:
    """Return every part's bytes by its name."""
    return {path.name: path.read_bytes() for path in (out / "parts").rglob("[!.]*.parquet")}
