"""`python -m training adapt` on a stand-in model: it learns, proves, or refuses in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from rainwatchd.audio.samples import Floats
from rainwatchd.clips.labels import Label, Verdict, encode
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.log_mel import LogMel
from rainwatchd.hearing.model_file import read_model
from tests.full_disk import full_disk
from tests.sounds import HZ, scene
from tests.tiny_model import LABELS, SPEC
from tests.training.labelled import write_tones
from training.__main__ import main
from training.adaptation.anchor import Anchor, anchor_of
from training.adaptation.features import FeatureReader
from training.adaptation.heads import read_heads
from training.commands.evaluate import read_rows

RATE_HZ = SPEC.sample_rate_hz


def tones(hz: float, others: tuple[float, ...] = (), level: float = 0.2, seed: int = 0) -> Floats:
    """Five seconds of a tone, and of others that go with it."""
    seconds = np.arange(5 * RATE_HZ) / RATE_HZ
    rng = np.random.default_rng(seed)
    sound = sum(np.sin(2 * np.pi * one * seconds + rng.uniform(0, 6)) for one in (hz, *others))
    noise = rng.normal(0.0, 1e-3 * rng.uniform(0.5, 2.0), seconds.size)
    return (level * np.asarray(sound) * rng.uniform(0.5, 1.0) + noise).astype(np.float32)


def tram(seed: int) -> Floats:
    """What the stand-in takes for an engine, and squeals as no engine does."""
    return tones(HZ["engine"], (2000.0, 2300.0), seed=seed)


def write_anchor(model: Path) -> None:
    """Features of saws, engines, storms and forest, as the stand-in hears them."""
    heads = read_heads(model, LABELS)
    reader = FeatureReader(heads, SPEC)
    rng = np.random.default_rng(4)
    features, labels = [], []
    for number in range(400):
        label = LABELS[number % 4]
        sound = (
            rng.normal(0.0, 1e-3, 5 * RATE_HZ).astype(np.float32)
            if label == "background"
            else tones(HZ[label], seed=1000 + number)
        )
        window = LogMel(SPEC.mel).push(sound)[:, : SPEC.window_frames]
        features.append(reader.features(window)[0])
        labels.append(number % 4)
    Anchor(np.stack(features), np.array(labels), heads.trunk).write(anchor_of(model))


@pytest.fixture(scope="module")
def model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adapt") / "tiny.onnx"
    path.write_bytes(tiny_model.read_bytes())
    write_anchor(path)
    write_real(path.parent / "real")
    return path


def write_real(folder: Path) -> None:
    """Saws that must be found over whatever a site has."""
    (folder / "chainsaw").mkdir(parents=True)
    for number in range(6):
        sound = tones(HZ["chainsaw"], seed=500 + number)
        soundfile.write(folder / f"chainsaw/{number}.wav", sound, RATE_HZ)


def judged(folder: Path, number: int, sound: Floats, said: str, by: str = "Ana") -> Path:
    """A clip as the device leaves it."""
    path = folder / f"202405{1 + number:02}T060000.000Z_engine_{number:012x}.flac"
    folder.mkdir(exist_ok=True)
    soundfile.write(path, sound, RATE_HZ)
    at = "2024-05-12T07:00:00.000Z"
    verdicts = [Verdict(verdict=said, label=None, by=by, at=at)]  # type: ignore[arg-type]
    label = Label(
        event_id=f"018f6a00-0000-7000-8000-{number:012x}",
        label="engine",
        start=f"2024-05-{1 + number:02}T06:00:00.000Z",
        sound_s=(0.0, 5.0),
        peak_score=0.9,
        verdicts=verdicts,
        device_id="canopy-7",
        model="tiny 1",
        model_digest="",
        sample_rate_hz=RATE_HZ,
    )
    path.with_suffix(".json").write_bytes(encode(label))
    return path


def adapt(model: Path, labels: Path, out: Path) -> int:
    real = ["--real", str(model.parent / "real")]
    return main(["adapt", str(model), "--labels", str(labels), "--out", str(out), *real])


def score(model: Path, sound: Floats, label: str) -> float:
    window = LogMel(SPEC.mel).push(sound)[:, : SPEC.window_frames]
    return Classifier(model).scores(window)[LABELS.index(label)]


def test_a_nuisance_is_learned_and_nothing_forgotten(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(8):
        judged(tmp_path / "card", number, tram(number), "false")
    judged(tmp_path / "card", 20, tones(HZ["engine"], seed=77), "true")
    judged(tmp_path / "card", 21, tram(50), "unsure")
    out = tmp_path / "site.onnx"
    assert adapt(model, tmp_path / "card", out) == 0
    said = capsys.readouterr().out
    assert "labels: 8 must raise no alert, 1 are real, of 9 occasions; 0 not judged" in said
    assert "held out, 8 that must raise no alert" in said
    assert re.search(r"over them, 24 real sounds at 0 to -10 dB: found (\d+) -> ", said)
    assert score(model, tram(99), "engine") > 0.6
    assert score(out, tram(99), "engine") < 0.6
    assert score(out, tones(HZ["engine"], seed=98), "engine") > 0.6
    assert score(out, tones(HZ["chainsaw"], seed=97), "chainsaw") > 0.6

    spec = read_model(out).spec
    assert spec.name == "tiny+site"
    assert spec.training_data["site_recordings"] == 9
    assert spec.training_data["site_parent"] == read_model(model).digest
    assert spec.self_test is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card", "site.onnx"]

    # What was adapted can be adapted again.
    anchor_of(out).write_bytes(anchor_of(model).read_bytes())
    again = tmp_path / "again.onnx"
    (tmp_path / "real").symlink_to(model.parent / "real")
    status = adapt(out, tmp_path / "card", again)
    assert status == 0 or "there is nothing to learn" in capsys.readouterr().err


def held_out(folder: Path) -> Path:
    """Recordings to evaluate on, with trams that nobody has learned from."""
    rows = ["path,recording,class,sub_label"]
    for path in sorted(write_tones(folder).rglob("*.wav")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        rows.append(f"{name}.wav,{name},{path.parent.name},")
    (folder / "other").mkdir()
    for number in range(3):
        soundfile.write(folder / f"other/{number}.wav", tram(700 + number), RATE_HZ)
        rows.append(f"other/{number}.wav,other/{number},other,tram")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(rows))
    return manifest


def test_a_site_model_is_evaluated_like_any_other(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        judged(tmp_path / "card", number, tram(number), "false")
    parent, out = tmp_path / "tiny.onnx", tmp_path / "site.onnx"
    for own in (model, anchor_of(model)):
        (tmp_path / own.name).write_bytes(own.read_bytes())
    (tmp_path / "real").symlink_to(model.parent / "real")
    known = [f"{label}/0" for label in LABELS] + [f"other/{number}" for number in range(3)]
    parent.with_suffix(".json").write_text(json.dumps({"held_out_recordings": known}))
    assert adapt(parent, tmp_path / "card", out) == 0
    # Both keep their scores in one folder, and take them for the same recordings.
    words = ["--data", str(held_out(tmp_path / "tones")), "--events", "2"]
    words += ["--scores", str(tmp_path / "scores")]
    rows = {}
    for path in (parent, out):
        assert main(["evaluate", str(path), *words]) == 0, capsys.readouterr()
        (rows[path],) = read_rows(path.with_suffix(".rows.json"))
        assert read_model(path).name in path.with_suffix(".md").read_text()
    before, after = rows[parent], rows[out]
    # What it has learned shows, on the very events that its parent was measured on.
    assert (before.machines["tram"].value, after.machines["tram"].value) == (1.0, 0.0)
    assert after.machines["tram"].count == 3
    assert {name: found.count for name, found in after.recall.items()} == {
        name: found.count for name, found in before.recall.items()
    }
    engines = [row.recall["engine +10 dB"].value for row in (before, after)]
    assert engines[0] == 1.0
    assert engines[1] > 0.5
    # 20 s of noise and 6 s of storm: what the list beside the parent holds out, and no more.
    assert after.land_h == pytest.approx(26 / 3600, abs=1e-3)

    spec = read_model(out).spec
    assert spec.name == "tiny+site"
    assert spec.metrics["recall_engine_+10db"] == engines[1]
    assert (
        spec.recall_by_threshold["engine"] != read_model(parent).spec.recall_by_threshold["engine"]
    )
    assert spec.training_data["site_recordings"] == 6
    assert spec.training_data["site_parent"] != ""
    Classifier(out)


def test_a_full_disk_leaves_one_line_and_no_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(6):
        judged(tmp_path / "card", number, tram(number), "false")
    out = tmp_path / "site.onnx"
    with full_disk(1000):
        assert adapt(model, tmp_path / "card", out) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"training: {out}: File too large; nothing is written"
    assert [path.name for path in tmp_path.iterdir()] == ["card"]


def test_too_few_labels_are_counted(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        judged(tmp_path / "card", number, tram(number), "false")
    assert adapt(model, tmp_path / "card", tmp_path / "site.onnx") == 1
    assert "too few labels: 3 recordings" in (error := capsys.readouterr().err)
    assert "judge 2 more" in error
    assert not (tmp_path / "site.onnx").exists()


def test_clips_of_one_occasion_prove_nothing(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # One tram passes again and again within ten minutes, another came the day before.
    for number in range(6):
        path = judged(tmp_path / "card", number, tram(number), "false").with_suffix(".json")
        label = msgspec.json.decode(path.read_bytes())
        if number:
            label["start"] = f"2024-05-12T06:{2 * number:02}:00.000Z"
        path.write_bytes(msgspec.json.encode(label))
    assert adapt(model, tmp_path / "card", tmp_path / "site.onnx") == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert "too few occasions: the 6 recordings" in error
    assert "of 2; judge clips of 1 more, some other day" in error
    assert not (tmp_path / "site.onnx").exists()


def test_what_does_not_help_is_not_written(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # They never raised an alert: there is nothing to gain.
    for number in range(6):
        folder = tmp_path / "labels/background"
        folder.mkdir(parents=True, exist_ok=True)
        sound = scene(RATE_HZ, (None, 6.0)) * np.float32(1.0 - 0.1 * number)
        soundfile.write(folder / f"{number}.wav", sound, RATE_HZ)
    assert adapt(model, tmp_path / "labels", tmp_path / "site.onnx") == 1
    error = capsys.readouterr().err
    assert "not written: this model scores none of these recordings over a threshold" in error
    assert error.count("fitting") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


def test_each_bad_label_is_a_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "card"
    for number in range(6):
        judged(card, number, tram(number), "false")
    judged(card, 7, tram(7), "false").unlink()
    judged(card, 8, tram(8), "false").write_bytes(b"fLaC")
    path = judged(card, 9, tram(9), "false").with_suffix(".json")
    label = msgspec.json.decode(path.read_bytes())
    label["verdicts"].append(label["verdicts"][0] | {"verdict": "true", "by": "Ben"})
    path.write_bytes(msgspec.json.encode(label))
    (card / "bear").mkdir()
    soundfile.write(card / "bear/1.wav", tram(3), RATE_HZ)
    assert adapt(model, card, tmp_path / "site.onnx") == 0
    error = capsys.readouterr().err
    assert "its clip is gone" in error
    assert "contradict each other" in error
    assert "no class 'bear'" in error
    assert "000000000008.flac" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("damage", ["other", "gone", "cut"])
def test_an_anchor_must_belong_to_the_model(
    model: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.onnx"
    (tmp_path / "real").symlink_to(model.parent / "real")
    own.write_bytes(model.read_bytes())
    content = anchor_of(model).read_bytes()
    if damage == "other":
        Anchor(np.zeros((4, 1, 96)), np.zeros(4, np.int64), "else").write(anchor_of(own))
    elif damage == "cut":
        anchor_of(own).write_bytes(content[: len(content) // 2])
    assert adapt(own, tmp_path, tmp_path / "site.onnx") == 1
    error = capsys.readouterr().err.strip()
    assert "python -m training anchor" in error
    assert "\n" not in error
