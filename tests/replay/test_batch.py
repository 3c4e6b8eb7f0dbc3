from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError, ConfigError, RainwatchError
from rainwatchd.replay.batch import Batch
from rainwatchd.replay.replay import Heard, Replay


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
