from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure
from matplotlib.image import imread

from rainwatchd.config.options import Config
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.replay.plot.picture import Picture, places_for_labels
from rainwatchd.replay.replay import Replay
from tests.sounds import scene
from tests.tiny_model import SPEC


def draw(path: Path, classifier: Classifier, out: Path) -> None:
    rules = classifier.spec.decision
    replay = Replay(
        Config(), "x", follow=lambda _, start: Picture(classifier.spec, rules, out, start)
    )
    for item in replay.hear(path, classifier):
        assert getattr(item, "failure", None) is None


def drawn(path: Path, classifier: Classifier, out: Path) -> np.ndarray:
    draw(path, classifier, out)
    image: np.ndarray = imread(out)[..., :3]
    return image


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Figures as they are saved, to be looked into."""
    saved: list[Any] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: Any, **options: Any) -> None:
        saved.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def near(image: np.ndarray, colour: str) -> np.ndarray:
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    alike: np.ndarray = np.abs(image - wanted).max(axis=2) < 0.02
    return alike


def test_the_detection_lies_over_its_sound(tmp_path: Path, tiny_model: Path) -> None:
    path, out = tmp_path / "x.wav", tmp_path / "x.png"
    soundfile.write(path, scene(16000, (None, 20.0), ("chainsaw", 20.0), (None, 20.0)), 16000)
    image = drawn(path, Classifier(tiny_model), out)
    height, width, _ = image.shape
    assert width == 1800
    # The longest stretch of the class's colour above the spectrogram is the event's bar.
    rows = near(image, "#e4572e")[: height // 6]
    row = rows[rows.sum(axis=1).argmax()].astype(int)
    begins, ends = np.flatnonzero(np.diff(row, prepend=0, append=0)).reshape(-1, 2).T
    longest = (ends - begins).argmax()
    begin, end = begins[longest], ends[longest]
    # From the axis's left end (0 s) to its right end (60 s), a third in the middle is the saw.
    spectrogram = (image[height // 4] < 0.9).any(axis=1).nonzero()[0]
    left, right = spectrogram.min(), spectrogram.max()
    assert (end - begin) / (right - left) > 0.25
    assert left < begin < end < right


def test_a_clip_of_one_window_and_silence_can_be_drawn(tmp_path: Path, tiny_model: Path) -> None:
    classifier = Classifier(tiny_model)
    for name, sound in (
        ("short.wav", scene(16000, ("engine", 0.5))),
        ("one.wav", np.zeros(1, np.float32)),
        ("silent.wav", np.zeros(10 * 16000, np.float32)),
    ):
        soundfile.write(tmp_path / name, sound, 16000)
        assert drawn(tmp_path / name, classifier, tmp_path / "x.png").std() > 0.01


def test_event_curve_and_threshold_share_time_and_colour(
    tmp_path: Path, tiny_model: Path, figures: list[Any]
) -> None:
    path = tmp_path / "20240512_060000.wav"
    soundfile.write(path, scene(16000, (None, 20.0), ("chainsaw", 20.0), (None, 20.0)), 16000)
    draw(path, Classifier(tiny_model), tmp_path / "x.png")
    events, above, below, bar = figures[0].axes
    (span,) = events.collections[0].get_paths()
    begin_s, end_s = span.vertices[:, 0].min(), span.vertices[:, 0].max()
    curves = {str(line.get_label()): line for line in below.lines}
    rule = SPEC.decision["chainsaw"]
    times_s, scores = curves["chainsaw"].get_data()
    crossed_s = [
        at for at, score in zip(times_s, scores, strict=True) if score >= rule.on_threshold
    ]
    assert begin_s == pytest.approx(crossed_s[0])
    thresholds = {
        line.get_color()
        for line in below.lines
        if list(line.get_ydata()) == [rule.on_threshold] * 2
    }
    assert thresholds == {curves[label].get_color() for label in SPEC.decision}
    assert end_s == pytest.approx(40.0, abs=2.0)
    assert bar.get_ylabel() == "mel bands, dB re 1.0\n(power, full scale being ±1)"
    assert [tick.get_text() for tick in below.get_xticklabels()][:2] == ["06:00:00", "06:00:10"]
    assert below.get_xlabel() == "UTC, from 2024-05-12 06:00:00"
    left, right, *_ = above.images[0].get_extent()
    assert (left, right) == pytest.approx((0.0, 60.0), abs=0.05)


def test_more_than_ten_minutes_show_the_maxima_of_minutes(
    tmp_path: Path, tiny_model: Path, figures: list[Any]
) -> None:
    path = tmp_path / "long.flac"
    sound = scene(16000, (None, 320.0), ("engine", 20.0), (None, 320.0))
    soundfile.write(path, sound, 16000)
    draw(path, Classifier(tiny_model), tmp_path / "x.png")
    _, above, below, bar = figures[0].axes
    assert [tick.get_text() for tick in below.get_yticklabels()] == list(SPEC.decision)
    assert below.get_title("right").startswith("highest score of each minute")
    assert not below.get_legend()
    assert above.images[0].get_array().shape[1] <= 2048
    assert bar.get_ylabel().startswith("mean of 0.")
    assert below.get_xlabel() == "time from the beginning of the recording"
    engine = below.collections[3].get_paths()  # each class: all minutes, then the loud ones
    loud = [vertex[0] for path in engine for vertex in path.vertices if vertex[1] > 1.5]
    assert (min(loud), max(loud)) == (300.0, 360.0)


def test_scores_stand_only_where_there_is_room() -> None:
    close = [(10.0, 5.0), (16.0, 5.0), (22.0, 5.0)]
    assert list(places_for_labels(close, 3600.0)) == [(2, False)]
    assert list(places_for_labels(close, 30.0)) == [(0, True), (1, True), (2, False)]
    assert list(places_for_labels([(3590.0, 10.0)], 3600.0)) == []


def test_nothing_stands_where_the_last_bits_of_the_layout_put_it(
    tmp_path: Path, tiny_model: Path, figures: list[Any]
) -> None:
    # They depend on where objects happen to lie in memory, and an SVG's ids on them.
    path = tmp_path / "x.wav"
    soundfile.write(path, scene(16000, ("chainsaw", 10.0)), 16000)
    draw(path, Classifier(tiny_model), tmp_path / "x.svg")
    for axes in figures[0].axes[:3]:
        bounds = axes.get_position().bounds
        assert bounds == pytest.approx([round(place, 6) for place in bounds], rel=0, abs=1e-12)


@pytest.mark.parametrize("kind", ["svg", "pdf", "jpg"])
def test_the_suffix_decides_the_format(tmp_path: Path, tiny_model: Path, kind: str) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, scene(16000, ("chainsaw", 10.0)), 16000)
    begins = {"svg": b"<?xml", "pdf": b"%PDF", "jpg": b"\xff\xd8"}
    contents = []
    for number in range(2):
        out = tmp_path / f"{number}.{kind}"
        draw(path, Classifier(tiny_model), out)
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].startswith(begins[kind])
