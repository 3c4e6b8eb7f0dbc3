from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError, ConfigError, RainwatchError
from rainwatchd.replay.batch import Batch, find_recordings
from rainwatchd.replay.replay import Heard, Replay


def names(found: list[Path | AudioError]) -> list[str]:
    return [str(item) if isinstance(item, AudioError) else item.name for item in found]


def test_folders_are_spread_out_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "night" / "late").mkdir(parents=True)
    for name in ("night/b.wav", "night/a.MP3", "night/notes.txt", "night/late/c.flac", "one.raw"):
        (tmp_path / name).touch()
    found = find_recordings([tmp_path / "one.raw", tmp_path / "night", tmp_path / "gone.wav"])
    assert names(found) == ["one.raw", "a.MP3", "b.wav", "c.flac", "gone.wav"]


def test_a_recording_named_twice_is_heard_once(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert names(find_recordings([tmp_path / "a.wav", tmp_path])) == ["a.wav"]


def test_a_folder_without_recordings_is_an_error_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    first, second = find_recordings([tmp_path, tmp_path / "x.wav"])
    assert isinstance(first, AudioError)
    assert str(first).startswith(f"{tmp_path}: no recordings in this folder")
    assert second == tmp_path / "x.wav"


def test_one_bad_path_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    long = Path("x" * 300)
    assert find_recordings([long, tmp_path / "a.wav"]) == [long, tmp_path / "a.wav"]


def test_a_folder_that_cannot_be_read_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost").mkdir()
    (tmp_path / "a.wav").touch()
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        # Root may read everything, so that permissions refuse nothing.
        if str(path).endswith("lost"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(find_recordings([tmp_path])) == [
        "a.wav",
        f"{tmp_path}/lost: Permission denied",
    ]


def batch(model: Path, config: Config, *, jobs: int, realtime: bool = False) -> Batch:
    return Batch(Replay(config, "x", realtime), model, jobs, with_windows=False)


def test_a_setting_that_the_model_refuses_comes_through_from_a_worker(
    tmp_path: Path, tiny_model: Path
) -> None:
    paths = [tmp_path / "a.wav", tmp_path / "b.wav"]
    for path in paths:
        soundfile.write(path, np.zeros(16000), 16000)
    with pytest.raises(ConfigError, match="step_s"):
        list(batch(tiny_model, Config(step_s=9.0), jobs=2).hear(paths))


def test_a_worker_that_is_killed_is_explained(tmp_path: Path, tiny_model: Path) -> None:
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for path in paths:
        soundfile.write(path, np.zeros(120 * 16000), 16000)
    myself = psutil.Process()
    before = set(myself.children(recursive=True))
    done = threading.Event()

    def kill() -> None:
        while not done.wait(0.05):
            for child in set(myself.children(recursive=True)) - before:
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(RainwatchError, match="a worker process was killed"):
            list(batch(tiny_model, Config(), jobs=2, realtime=True).hear(paths))
    finally:
        done.set()
        killer.join()


def test_many_recordings_keep_their_order(tmp_path: Path, tiny_model: Path) -> None:
    paths: list[Path | AudioError] = []
    for number in range(9):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.zeros(16000 * (1 + 5 * (9 - number))), 16000)
        paths.append(path)
    paths.insert(4, AudioError("nothing here"))
    heard = list(batch(tiny_model, Config(), jobs=2).hear(paths))
    assert all(isinstance(item, Heard) for item in heard)
    assert [item.file for item in heard] == [
        "" if isinstance(path, AudioError) else str(path) for path in paths
    ]
