"""What goes wrong around an archive: one line each, and nothing is lost or mixed."""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec
import pytest
import soundfile

from rainwatchd.config.options import Config
from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.model_file import read_model
from rainwatchd.replay.archive.fingerprint import claim, fingerprint
from rainwatchd.replay.archive.index import look
from rainwatchd.replay.archive.tasks import Hearing, Task, hear
from rainwatchd.replay.replay import Replay, replay_id
from tests.replay.archive.conftest import parts
from tests.sounds import scene
from tests.tiny_model import SPEC, write_tiny_model


def tasks(place: Path, out: Path, model: Path) -> list[Task]:
    config, file = Config(model=str(model)), read_model(model)
    mark = fingerprint(config, file, scores=False, utc_offset=None)
    claim(out, mark)
    replay = Replay(config, replay_id(config))
    hearing = Hearing(replay, model, file.digest, mark.digest, out, out, False)
    return look([place], hearing, lambda _: True).tasks(1)


def nobody(heard_s: float, part: float) -> None:
    """Tell nobody."""


def test_another_model_in_the_middle_of_a_run_ends_it(
    night: Path, tiny_model: Path, tmp_path: Path
) -> None:
    model, out = tmp_path / "model.onnx", tmp_path / "out"
    model.write_bytes(tiny_model.read_bytes())
    first, *_ = tasks(night, out, model)
    write_tiny_model(model, msgspec.structs.replace(SPEC, version="other"))
    with pytest.raises(RainwatchError, match="not the one that this run began with"):
        list(hear(first, nobody))
    assert not parts(out)
    with pytest.raises(RainwatchError, match="holds results of another model"):
        tasks(night, out, model)


def test_a_recording_that_grows_while_it_is_heard_waits_for_the_next_run(
    tiny_model: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "a.wav", tmp_path / "out"
    soundfile.write(path, scene(16000, ("chainsaw", 9.0)), 16000)
    (task,) = tasks(path, out, tiny_model)
    soundfile.write(path, scene(16000, ("chainsaw", 9.0), (None, 9.0)), 16000)
    (outcome,) = hear(task, nobody)
    assert outcome.failure == f"{path}: changed while it was heard; run again"
    assert not parts(out)
    (task,) = tasks(path, out, tiny_model)
    (outcome,) = hear(task, nobody)
    assert (outcome.kept, outcome.heard_s) == (True, 18.0)


def test_a_full_output_stops_with_one_line(tiny_model: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "a.wav", tmp_path / "out"
    soundfile.write(path, scene(16000, (None, 4.0)), 16000)
    (task,) = tasks(path, out, tiny_model)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(RainwatchError, match=f"--out {out}: File too large"):
            list(hear(task, nobody))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [path for path in (out / "parts").rglob("*") if path.is_file()], "nor a draft"


def test_an_output_that_cannot_be_written_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RainwatchError, match=r"--out .*/file/out: Not a directory"):
        tasks(tmp_path, tmp_path / "file" / "out", tiny_model)
