"""`rainwatchd calibrate` as a field engineer would use it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from rainwatchd.cli import main
from rainwatchd.clips.labels import decode
from rainwatchd.config.options import load
from rainwatchd.replay import batch
from tests.audio.files.lying import wav
from tests.full_disk import full_disk
from tests.sounds import scene
from tests.tiny_model import SPEC, self_test, write_tiny_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model that says what a threshold costs."""
    path = tmp_path / "tiny.onnx"
    table: list[tuple[float, float]] = [(0.6, 0.9), (0.999, 0.7)]
    recall = {"chainsaw": {"+10": table, "0": table}}
    write_tiny_model(
        path, msgspec.structs.replace(SPEC, self_test=self_test(), recall_by_threshold=recall)
    )
    return path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Five minutes of a site where something hums like an engine, now and then."""
    folder = tmp_path / "site"
    folder.mkdir()
    rate_hz = 16000
    hum = np.float32(0.0009) * np.sin(2 * np.pi * 150.0 * np.arange(12 * rate_hz) / rate_hz)
    for number in range(3):
        sound = scene(rate_hz, (None, 100.0))
        sound[30 * rate_hz :][: hum.size] += hum.astype(np.float32) * (1.0 + 0.05 * number)
        soundfile.write(folder / f"2024051{number}_060000.wav", sound, rate_hz)
    return folder


def calibrate(site: Path, model: Path, *more: str) -> int:
    out = ["--out", str(site.parent / "out"), "--model", str(model), "--jobs", "1"]
    return main(["calibrate", str(site), *out, *more])


def test_the_written_piece_silences_the_site(
    site: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(site, model) == 0
    said = capsys.readouterr().out
    assert "0.1 hours of ambience in 3 recordings" in said
    piece = tmp_path / "out/decision.yaml"
    config = load(piece, {"model": str(model)})
    threshold = config.rules(SPEC)["engine"].on_threshold
    assert threshold > SPEC.decision["engine"].on_threshold
    assert f"on_threshold 0.6 -> {threshold:g}" in said
    assert re.search(r"alarms in this ambience: 3 -> 0\n  promise: at most \d+ a day", said)
    assert "72 more hours without another alarm would promise 1 a day" in said
    assert "recall: +10 dB: 0.90; 0 dB: 0.90" in said  # of the chainsaw, which stays as it was
    assert "unknown: tiny 1 carries no table of it" in said  # of the engine
    assert main(["--config", str(piece), "--model", str(model), "--file", str(site)]) == 0
    assert "no detections" in capsys.readouterr().out
    assert "storm" not in piece.read_text()


def test_a_second_try_hears_nothing_again(
    site: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(site, model) == 0
    first = capsys.readouterr().out

    def refuse(*_: object) -> None:
        raise AssertionError("heard again")

    monkeypatch.setattr(batch.Batch, "hear", refuse)
    assert calibrate(site, model) == 0
    assert capsys.readouterr().out == first


def test_what_is_real_leaves_the_ambience_and_stays_out(
    site: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rate_hz = 16000
    soundfile.write(
        site / "20240513_060000.wav",
        scene(rate_hz, (None, 60.0), ("chainsaw", 15.0), (None, 60.0)),
        rate_hz,
    )
    assert calibrate(site, model) == 0
    said = capsys.readouterr().out
    assert "on_threshold 0.6 -> 0.99" in said
    assert "recall: +10 dB: 0.90 -> 0.70; 0 dB: 0.90 -> 0.70" in said
    number = re.search(r"(\d+)  \S+  chainsaw .*20240513", said)
    assert number is not None
    clip = next((tmp_path / "out/peaks").glob(f"{int(number[1]):03}_chainsaw_*.flac"))
    assert soundfile.info(clip).duration == pytest.approx(12.0, abs=0.1)
    assert clip.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert calibrate(site, model, "--true", number[1]) == 0
    assert calibrate(site, model) == 0
    said = capsys.readouterr().out
    assert f"left out as real: peaks {number[1]}," in said
    assert "on_threshold 0.6 -> 0.6 (the model's own)" in said
    verdicts = {
        path.name[:3]: decode(path.read_bytes()).verdicts[0].verdict
        for path in (tmp_path / "out/peaks").glob("*.json")
    }
    assert verdicts.pop(f"{int(number[1]):03}") == "true"
    assert set(verdicts.values()) == {"false"}


def test_clips_are_cut_and_timed_as_the_hearing_heard(
    site: Path, model: Path, tmp_path: Path
) -> None:
    path = site / "SM4_20240513_060000.wav"
    saw = scene(16000, (None, 60.0), ("chainsaw", 15.0), (None, 60.0))
    # The wrong plug, and a header that tells of nothing.
    soundfile.write(path, np.stack((saw, -saw), axis=1), 16000)
    path.write_bytes(wav(path.read_bytes(), 44))
    assert calibrate(site, model, "--utc-offset", "-04:00") == 0
    (clip,) = (tmp_path / "out/peaks").glob("*_chainsaw_SM4_*.flac")
    sound, _ = soundfile.read(clip)
    assert sound.size == pytest.approx(12.0 * SPEC.sample_rate_hz, abs=2)
    assert np.abs(sound[-2 * SPEC.sample_rate_hz :]).max() > 0.001
    label = decode(clip.with_suffix(".json").read_bytes())
    assert label.start is not None
    assert label.start.startswith("2024-05-13T10:01:")


def test_zeros_are_no_ambience(site: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in site.iterdir():
        soundfile.write(path, np.zeros(16000 * 30), 16000)
    assert calibrate(site, model) == 1
    assert "nothing to calibrate on: every sample is zero" in capsys.readouterr().err
    soundfile.write(site / "20240512_070000.wav", scene(16000, (None, 60.0)), 16000)
    assert calibrate(site, model) == 0
    assert "left out: 1.4 minutes in which every sample is zero" in capsys.readouterr().out


def test_what_cannot_be_heard_is_named_and_the_rest_counts(
    site: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "broken.wav").write_bytes(b"RIFF")
    assert calibrate(site, model) == 1
    output = capsys.readouterr()
    assert "broken.wav" in output.err
    assert "in 3 recordings" in output.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--true", "7"], "--true 7: no such peak"),
        (["--classes", "bear"], "--classes bear: tiny raises alerts of chainsaw, engine, storm"),
        (["--model", "none.onnx"], "model none.onnx: No such file or directory"),
    ],
)
def test_wrong_words_are_one_line(
    site: Path, model: Path, words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert calibrate(site, model, *words) == 1
    error = capsys.readouterr().err.strip()
    assert complaint in error
    assert "\n" not in error


@pytest.mark.parametrize(("most_bytes", "what"), [(500, "scores/"), (20_000, "peaks/")])
def test_a_full_disk_leaves_one_line_and_no_thresholds(
    site: Path,
    model: Path,
    tmp_path: Path,
    most_bytes: int,
    what: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with full_disk(most_bytes):
        assert calibrate(site, model) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rainwatchd: {tmp_path / 'out'}/{what}")
    assert line.endswith("File too large")
    assert not (tmp_path / "out/decision.yaml").exists()
    assert not list((tmp_path / "out").rglob(".*"))
    # With room again the same command goes on.
    assert calibrate(site, model) == 0
