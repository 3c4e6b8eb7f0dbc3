from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError, ConfigError
from rainwatchd.replay.batch import Batch
from rainwatchd.replay.replay import Found, Heard, Replay
from tests.sounds import scene


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


def test_a_recording_that_kills_its_process_costs_itself_alone(
    tmp_path: Path, tiny_model: Path, fatal_names: str
) -> None:
    paths = [tmp_path / name for name in ("a.wav", f"{fatal_names}.wav", "b.wav", "c.wav")]
    for path in paths:
        soundfile.write(path, scene(16000, ("chainsaw", 9.0)), 16000)
    items = list(batch(tiny_model, Config(), jobs=2).hear(paths))
    heard = [item for item in items if isinstance(item, Heard)]
    assert [item.file for item in heard] == list(map(str, paths))
    assert [item.failure for item in heard] == [
        None,
        f"{paths[1]}: hearing it ended its process 3 times (SIGABRT); left out",
        None,
        None,
    ]
    assert [item.file for item in items if isinstance(item, Found)] == [
        str(path) for path in (paths[0], paths[2], paths[3]) for _ in ("onset", "offset")
    ]


def test_a_long_recording_is_told_as_it_is_heard(tmp_path: Path, tiny_model: Path) -> None:
    paths = [tmp_path / "long.wav", tmp_path / "short.wav"]
    soundfile.write(paths[0], scene(16000, ("chainsaw", 9.0), (None, 60.0)), 16000)
    soundfile.write(paths[1], np.zeros(16000), 16000)
    slow = batch(tiny_model, Config(), jobs=2, realtime=True)
    first = next(iter(slow.hear(paths)))
    assert isinstance(first, Found)
    assert first.file == str(paths[0])


def test_all_workers_say_how_far_they_are(tmp_path: Path, tiny_model: Path) -> None:
    paths = [tmp_path / f"{number}.wav" for number in range(3)]
    for path in paths:
        soundfile.write(path, np.zeros(20 * 16000), 16000)
    told: dict[int, tuple[float, float]] = {}

    def watch(number: int, heard_s: float, part: float) -> None:
        told[number] = (heard_s, part)

    list(replace(batch(tiny_model, Config(), jobs=2), watch=watch).hear(paths))
    assert told == dict.fromkeys(range(3), (20.0, 1.0))


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
