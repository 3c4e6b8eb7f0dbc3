"""A run that is killed goes on where it was; what is half done never looks finished."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rainwatchd.hearing.log_mel import MelSpec
from rainwatchd.hearing.model_file import read_model
from tests.training.test_smoke import RECORDINGS, ROOT, _random_weights
from training.__main__ import main
from training.commands.options import imagenet_weights
from training.dataset import LABELS, Clip, DataError, read
from training.dataset.division import divide
from training.network.train import learning_rate
from training.soundscape.examples import make_examples
from training.soundscape.mixer import Recipe

MEL = MelSpec(16000, 1024, 1000, 32, 50.0, 4000.0)


def test_examples_that_exist_are_not_mixed_again(tmp_path: Path) -> None:
    clips = read(RECORDINGS)
    options = {"count": 20, "seed": 3, "workers": 1}
    recipe = Recipe(length=16384)
    first = make_examples(tmp_path, clips, MEL, 14, recipe, **options)
    (shard,) = tmp_path.glob("*/*.npz")
    written_ns = shard.stat().st_mtime_ns
    again = make_examples(tmp_path, clips, MEL, 14, recipe, **options)
    assert shard.stat().st_mtime_ns == written_ns
    np.testing.assert_array_equal(first.log_mel, again.log_mel)
    np.testing.assert_array_equal(first.event, again.event)
    assert first.log_mel.shape == (20, 32, 14)


def test_other_clips_get_examples_of_their_own(tmp_path: Path) -> None:
    clips = read(RECORDINGS)
    for chosen in (clips, [clip for clip in clips if clip.label != "other"]):
        make_examples(tmp_path, chosen, MEL, 14, Recipe(length=16384), count=1, seed=3)
    assert len(list(tmp_path.iterdir())) == 2


def test_no_recording_is_heard_and_held_out() -> None:
    division = divide(read(RECORDINGS), "open", 1, 2)
    parts = [{clip.recording for clip in part} for part in (division.training, division.held_out)]
    assert all(parts)
    assert not parts[0] & parts[1]


def test_both_licences_are_measured_on_the_same_recordings() -> None:
    clips = [
        replace(clip, use="train-nc") if number % 3 == 0 else clip
        for number, clip in enumerate(read(RECORDINGS))
    ]
    free, whole = (divide(clips, licence, 1, 2) for licence in ("open", "non-commercial"))
    assert free.held_out == whole.held_out
    assert "train-nc" in {clip.use for clip in free.held_out}
    assert {clip.use for clip in free.training} == {"train"}
    assert {clip.use for clip in whole.training} == {"train", "train-nc"}
    assert set(map(_name, free.training)) < set(map(_name, whole.training))


def _name(clip: Clip) -> str:
    return str(clip.path)


def test_a_licence_that_allows_no_recording_is_refused() -> None:
    clips = [replace(clip, use="train-nc") for clip in read(RECORDINGS)]
    with pytest.raises(DataError, match="no recording may train a model under --licence open"):
        divide(clips, "open", None, 3)


def test_a_fold_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="--fold is 4; allowed: 1 to 3"):
        divide(read(RECORDINGS), "open", 4, 3)


def test_missing_recordings_are_counted_and_three_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{label}_{n}.ogg,{label}{n},{label},5" for label in LABELS for n in range(4)]
    (tmp_path / "manifest.csv").write_text("\n".join(["path,recording,class,duration_s", *rows]))
    assert main(["train", str(tmp_path / "run"), "--data", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("training: 20 of the recordings are missing (")
    assert message.count(".ogg") == 3
    assert not (tmp_path / "run").exists()


def test_weights_that_are_not_there_are_missed_before_anything_is_mixed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(tmp_path / "run"), "--data", str(RECORDINGS)]
    assert main([*command, "--weights", str(tmp_path / "none.h5")]) == 1
    assert f"--weights {tmp_path / 'none.h5'}: no such file" in capsys.readouterr().err
    assert main([*command, "--from", str(tmp_path)]) == 1
    assert "window-of-4-s/trained.weights.h5 isn't there" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_that_cannot_be_downloaded_are_missed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="ImageNet weights can't be downloaded"):
        imagenet_weights(None)
    assert not list(tmp_path.rglob("*.h5"))


@pytest.mark.parametrize("windows_s", [["0.5"], ["2", "4.5"], ["nan"]])
def test_windows_that_no_example_holds_are_refused(
    tmp_path: Path, windows_s: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(tmp_path / "run"), "--data", str(RECORDINGS), "--windows-s"]
    assert main([*command, *windows_s]) == 1
    assert f"--windows-s is {' '.join(windows_s)}; allowed: 1 to 4" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_fewer_examples_than_a_batch_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(tmp_path / "run"), "--data", str(RECORDINGS), "--examples", "32"]
    assert main(command) == 1
    assert "--examples is 32; allowed: 64, a batch, or more" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["--epochs", "--rounds"])
def test_a_training_without_a_pass_is_refused(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(tmp_path / "run"), "--data", str(RECORDINGS), name, "0"]
    assert main(command) == 1
    assert f"{name} is 0; allowed: 1 or more" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_epoch(tmp_path: Path) -> None:
    weights = _random_weights(tmp_path / "random.weights.h5")
    out = tmp_path / "run"
    command = [sys.executable, "-m", "training", "train", str(out), "--data", str(RECORDINGS)]
    command += ["--weights", str(weights), "--examples", "128", "--windows-s", "2"]
    command += ["--epochs", "2", "--rounds", "2"]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    curves = out / "window-of-2-s" / "curves.csv"
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        deadline_s = time.monotonic() + 240.0
        while not _epochs(curves) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert not list(out.glob("model*.onnx"))
    before = _epochs(curves)
    assert before
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert set(_epochs(curves)) == {0, 1, 2, 3}
    assert "Epoch 1/4" not in done.stdout.decode()
    assert (out / "model.onnx").exists()
    assert "which flatters it; nothing was held out" in done.stdout.decode()
    own = tmp_path / "own"
    command[command.index(str(out))] = str(own)
    options = ["--from", str(out), "--mixed", str(out / "examples")]
    options += ["--epochs", "1", "--rounds", "1"]
    subprocess.run([*command, *options], cwd=ROOT, env=environment, check=True)
    spec = read_model(own / "model.onnx").spec
    assert (spec.name, spec.version, spec.licence) == ("own", "1", "CC-BY-NC-4.0")
    command[command.index(str(own))] = str(out)
    for other in (["--epochs", "3"], ["--rounds", "1"], ["--front-end", "wide"]):
        refused = subprocess.run(
            [*command, *other], cwd=ROOT, env=environment, capture_output=True, check=False
        )
        assert refused.returncode == 1
        assert f"{out} holds a run with other data or settings" in refused.stderr.decode()


def test_the_learning_rate_rises_and_falls_to_nothing_in_every_round() -> None:
    rate = learning_rate(200, 0.01)
    first, second = ([float(rate(step)) for step in range(at, at + 200)] for at in (0, 200))
    np.testing.assert_allclose(first, second)
    assert first[0] == 0.0
    assert first.index(max(first)) == 10
    assert max(first) == pytest.approx(0.01)
    assert first[-1] < 1e-4
    assert np.all(np.diff(first[10:]) < 1e-6)


def _epochs(table: Path) -> list[int]:
    if not table.exists():
        return []
    with table.open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file) if row["epoch"]]
