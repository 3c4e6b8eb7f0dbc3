"""Archives to export: an ordinary one, one whose recordings have odd names, and empty ones."""

from __future__ import annotations

import io
import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rainwatchd.cli import main
from rainwatchd.config.options import Config
from rainwatchd.replay.archive.run import Shard, run_archive
from tests.audio.files.lying import wav
from tests.replay.archive.conftest import make_night
from tests.sounds import scene

ODD_NAMES = (
    b"north, upper/a,b_20240512_200000.wav",
    b'north, upper/the "old"_20240512_210000.wav',
    b'north, upper/"quoted".wav',
    b"north, upper/two\nlines_20240512_220000.wav",
    b"north, upper/two\tlines_20240512_220000.wav",
    b"south;lower/caf\xe9_20240512_230000.wav",
    b"south;lower/v1..2_20240513_000000.wav",
    b"south;lower/.hidden ~_20240513_010000.wav",
    b"~tilde_20240513_020000.wav",
    b"=SUM(1)_20240513_030000.wav",
    b"unknown.wav",
)


def export(archive: Path, form: str) -> Path:
    """Write the archive in a form by the command line; return the folder."""
    assert main(["export", str(archive), "--to", form]) == 0
    return archive / "export" / form


def heard(folder: Path, out: Path, model: Path, utc_offset: timedelta | None = None) -> Path:
    """Hear all below a folder, with every window's scores; return the archive."""
    run_archive(
        [folder],
        Config(model=str(model), lat=1.5, lon=110.25),
        out,
        jobs=2,
        shard=Shard(),
        scores=True,
        dask=None,
        utc_offset=utc_offset,
        err=io.StringIO(),
    )
    return out


@pytest.fixture(scope="session")
def archive(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of four recordings, one ending in zeros, one with a lying header; an empty one."""
    folder = tmp_path_factory.mktemp("archive")
    make_night(folder / "night")
    (folder / "night" / "empty.wav").touch()
    unknown = folder / "night" / "b" / "unknown.wav"
    sound, rate_hz = soundfile.read(unknown)
    soundfile.write(unknown, np.concatenate((sound, np.zeros(2 * rate_hz))), rate_hz)
    lying = folder / "night" / "a" / "ridge_20240512_200000.wav"
    lying.write_bytes(wav(lying.read_bytes(), 44))
    return heard(folder / "night", folder / "out", tiny_model)


@pytest.fixture(scope="session")
def odd_archive(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of recordings whose names hold what formats are made of; a saw in each."""
    folder = tmp_path_factory.mktemp("odd") / "cards"
    saw = io.BytesIO()
    soundfile.write(saw, scene(16000, ("chainsaw", 9.0), (None, 6.0)), 16000, format="WAV")
    for name in ODD_NAMES:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(saw.getvalue())
    return heard(folder, folder.parent / "out", tiny_model)


@pytest.fixture(scope="session")
def silent_archive(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in which nothing was found."""
    folder = tmp_path_factory.mktemp("silent") / "cards"
    folder.mkdir()
    soundfile.write(folder / "20240512_200000.wav", scene(16000, (None, 8.0)), 16000)
    return heard(folder, folder.parent / "out", tiny_model)


@pytest.fixture(scope="session")
def bare_archive(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive without any recording."""
    folder = tmp_path_factory.mktemp("bare") / "cards"
    folder.mkdir()
    return heard(folder, folder.parent / "out", tiny_model)
