import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from rainwatchd.hearing.model_file import read_model
from tests.sounds import scene
from tests.training.labelled import LABELS, RATE_HZ, write, write_tones
from training.__main__ import main
from training.commands.evaluate import read_rows


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_model, tmp_path / "tiny.onnx"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones"))


def evaluate(model: Path, data: Path, *more: str) -> int:
    scores = ["--scores", str(model.parent / "scores")]
    return main(["evaluate", str(model), "--data", str(data), "--events", "2", *scores, *more])


def test_the_card_says_how_good_the_model_is(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_model(model).spec
    assert evaluate(model, data) == 0
    card = model.with_suffix(".md").read_text()
    # The stand-in hears a tone above noise, and nothing in noise.
    lines = {line.split("|")[1].strip(): line for line in card.splitlines() if line[:1] == "|"}
    assert "| 1.00 (" in lines["engine +10 dB"]
    assert "| 0, " in lines["engine: false alarms in the land, at most a day"]
    assert len(card.splitlines()) <= 120
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", card)
    assert len(pictures) == 6
    assert all((model.parent / name).stat().st_size > 5000 for name in pictures)
    (row,) = read_rows(model.with_suffix(".rows.json"))
    assert row.recall["engine +10 dB"].value == 1.0
    assert row.latency_s is not None and 1.0 < row.latency_s[0] < 10.0
    assert not list(model.parent.glob(".*.part*"))
    assert "| rainwatchd |" in capsys.readouterr().out
    after = read_model(model).spec
    assert after.metrics["recall_engine_+10db"] == 1.0
    curve = after.recall_by_threshold["engine"]["+10"]
    assert curve[0] == (0.05, 1.0)
    assert [found for _, found in curve] == sorted((found for _, found in curve), reverse=True)
    assert after.decision == before.decision


def test_only_held_out_recordings_are_heard(model: Path, data: Path) -> None:
    names = [f"{label}/0" for label in LABELS]
    model.with_suffix(".json").write_text(json.dumps({"held_out_recordings": names}))
    assert evaluate(model, data) == 0
    assert "chainsaw/1" not in model.with_suffix(".md").read_text()
    # 20 s of noise and 6 s of storm, of twice as much.
    assert read_model(model).spec.metrics["land_h"] == 0.007


def test_folds_stand_for_the_model_together(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folds = []
    for number in range(2):
        fold = Path(shutil.copy(model, tmp_path / f"fold{number}.onnx"))
        shutil.copy(model, tmp_path / f"fold{number}-fp32.onnx")
        names = [f"{label}/{number}" for label in LABELS]
        fold.with_suffix(".json").write_text(json.dumps({"held_out_recordings": names}))
        folds.append(str(fold))
    rows = tmp_path / "other.rows.json"
    assert evaluate(model, data, "--folds", *folds, "--twins", "--name", "first") == 0
    shutil.copy(model.with_suffix(".rows.json"), rows)
    assert read_model(model).spec.metrics["land_h"] == 0.014
    card = model.with_suffix(".md").read_text()
    assert "were chosen on the others" in card
    words = " ".join(card.split())
    assert re.search(r"Of (\d+) events int8 finds (\d+) and float32 \2\.", words)
    more = ("--beside", str(rows), "--against", *folds, "--false-alarms", "1")
    assert evaluate(model, data, "--folds", *folds, *more) == 0
    card = model.with_suffix(".md").read_text()
    assert "| rainwatchd | rainwatchd, rules as shipped | rainwatchd, strict | first |" in card
    assert "with the interval of the difference: chainsaw +0.00 (+0.00 to +0.00)" in card
    capsys.readouterr()
    assert evaluate(model, data, "--folds", *folds, "--against", *reversed(folds)) == 1
    assert "were tested on other events" in capsys.readouterr().err


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
    assert evaluate(model, data, "--beside", str(model)) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("training:")]
    assert len(errors) == 4
    assert "b.wav: cannot be read as sound" in errors[2]
    assert not model.with_suffix(".md").exists()


def validated_on(model: Path, *labels: str) -> None:
    names = [f"{label}/{n}" for label in labels for n in (0, 1)]
    lists = {"held_out_recordings": [], "validation_recordings": names}
    model.with_suffix(".json").write_text(json.dumps(lists))


def tune(model: Path, data: Path) -> int:
    kept = str(model.parent / "scores")
    return main(["tune", str(model), "--data", str(data), "--events", "1", "--scores", kept])


def test_tuned_rules_are_put_into_the_model_file(model: Path, data: Path) -> None:
    validated_on(model, *LABELS)
    before = read_model(model).spec
    assert tune(model, data) == 0
    after = read_model(model).spec
    assert set(after.decision) == {"chainsaw", "engine", "storm"}
    assert after.decision != before.decision
    assert set(after.clip_thresholds) == {"chainsaw", "engine", "storm"}
    assert set(after.recall_by_threshold) == {"chainsaw", "engine"}
    kept = model.parent / "scores"
    assert list(kept.glob("*.npz")) and not list(kept.glob(".*"))
    assert (after.labels, after.mel) == (before.labels, before.mel)
    assert evaluate(model, data) == 1


def test_no_rule_is_chosen_without_ambience(
    model: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validated_on(model, "chainsaw", "engine")
    before = model.read_bytes()
    assert tune(model, data) == 1
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith("training: no background or storm is held out: ")
    )
    assert model.read_bytes() == before
    assert not (model.parent / "scores").exists()


def test_rules_that_are_chosen_on_storms_alone_come_with_a_warning(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rain = write_tones(tmp_path / "rain")
    for number in range(2):
        write(rain / "storm" / f"{number}.wav", scene(RATE_HZ, ("storm", 20.0)))
    validated_on(model, "storm", "engine")
    assert tune(model, rain) == 0
    assert "no background is held out: the rules are chosen on storms" in caplog.text
