import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rainwatchd.hearing.model_file import read_model
from tests.training.labelled import LABELS, write, write_tones
from training.__main__ import main


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_model, tmp_path / "tiny.onnx"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones"))


def evaluate(model: Path, data: Path, *more: str) -> int:
    return main(["evaluate", str(model), "--data", str(data), "--events", "2", *more])


def test_the_card_says_how_good_the_model_is(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(model, data) == 0
    card = model.with_suffix(".md").read_text()
    assert read_model(model).digest in card
    # The stand-in hears a tone above noise, and nothing in noise.
    (line,) = [line for line in card.splitlines() if line.startswith("| rainwatchd |")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[6] == "1.00"
    assert cells[9] == "0 / 0"
    pictures = [line.split("(")[1].rstrip(")") for line in card.splitlines() if line[:2] == "!["]
    assert len(pictures) == 6
    assert all((model.parent / name).stat().st_size > 5000 for name in pictures)
    metrics = json.loads(model.with_suffix(".metrics.json").read_text())
    assert metrics["recall_engine_+10db"] == 1.0
    assert 1.0 < metrics["onset_latency_s"] < 10.0
    assert not list(model.parent.glob(".*.part*"))
    assert "engine +10 dB 1.00" in capsys.readouterr().out


def test_only_held_out_recordings_are_heard(model: Path, data: Path) -> None:
    names = [f"{label}/0" for label in LABELS]
    model.with_suffix(".json").write_text(json.dumps({"held_out_recordings": names}))
    assert evaluate(model, data) == 0
    card = model.with_suffix(".md").read_text()
    assert "chainsaw/1" not in card
    # 20 s of noise and 6 s of storm, of twice as much.
    assert json.loads(model.with_suffix(".metrics.json").read_text())["ambience_h"] == 0.007


def test_folds_stand_for_the_model_together(model: Path, data: Path, tmp_path: Path) -> None:
    folds = []
    for number in range(2):
        fold = Path(shutil.copy(model, tmp_path / f"fold{number}.onnx"))
        names = [f"{label}/{number}" for label in LABELS]
        fold.with_suffix(".json").write_text(json.dumps({"held_out_recordings": names}))
        folds.append(str(fold))
    assert evaluate(model, data, "--folds", *folds) == 0
    assert json.loads(model.with_suffix(".metrics.json").read_text())["ambience_h"] == 0.014


def test_a_model_without_its_list_is_tested_on_everything_with_a_warning(
    model: Path, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert evaluate(model, data) == 0
    assert "no tiny.json beside it says what it was not trained on" in caplog.text


@pytest.mark.parametrize(
    ("list_beside", "message"),
    [('{"held_out_recordings": []}', "nothing to test on"), ("[]", "held_out_recordings")],
)
def test_a_list_that_leaves_nothing_is_refused(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str], list_beside: str, message: str
) -> None:
    model.with_suffix(".json").write_text(list_beside)
    assert evaluate(model, data) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("training: ") and message in error
    assert not model.with_suffix(".md").exists()


def test_bad_input_is_one_line_and_leaves_no_card(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path / "absent.onnx", data) == 1
    assert evaluate(model, tmp_path / "absent") == 1
    write(tmp_path / "few" / "background" / "a.wav", np.full(16000 * 20, 0.1))
    (tmp_path / "few" / "background" / "b.wav").write_bytes(b"RIFF")
    assert evaluate(model, tmp_path / "few") == 1
    assert evaluate(model, data, "--baselines", str(model)) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training:")]
    assert len(errors) == 4
    assert "b.wav: cannot be read as sound" in errors[2]
    assert not model.with_suffix(".md").exists()


def test_tuned_rules_are_put_into_the_model_file(model: Path, data: Path) -> None:
    names = [f"{label}/{n}" for label in LABELS for n in (0, 1)]
    lists = {"held_out_recordings": [], "validation_recordings": names}
    model.with_suffix(".json").write_text(json.dumps(lists))
    before = read_model(model).spec
    assert main(["tune", str(model), "--data", str(data), "--events", "1"]) == 0
    after = read_model(model).spec
    assert set(after.decision) == {"chainsaw", "engine", "storm"}
    assert after.decision != before.decision
    assert (after.labels, after.mel) == (before.labels, before.mel)
    assert evaluate(model, data) == 1
