from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from rainwatchd.config.options import Config
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.replay.plot import Columns, Picture
from rainwatchd.replay.replay import Replay
from tests.sounds import scene


def draw(path: Path, classifier: Classifier, out: Path) -> np.ndarray:
    picture = Picture(classifier.spec, classifier.spec.decision, out)
    for item in Replay(Config(), "x").hear(path, classifier, picture.observe):
        picture.take(item)
    picture.finish()
    image: np.ndarray = imread(out)[..., :3]
    return image


def near(image: np.ndarray, colour: str) -> np.ndarray:
    wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    alike: np.ndarray = np.abs(image - wanted).max(axis=2) < 0.02
    return alike


def test_the_detection_lies_over_its_sound(tmp_path: Path, tiny_model: Path) -> None:
    path, out = tmp_path / "x.wav", tmp_path / "x.png"
    soundfile.write(path, scene(16000, (None, 20.0), ("chainsaw", 20.0), (None, 20.0)), 16000)
    image = draw(path, Classifier(tiny_model), out)
    height, width, _ = image.shape
    assert width == 1800
    # The bar above the spectrogram is the topmost of the class's colour.
    rows = near(image, "#e4572e")[: height // 6]
    bar = rows[rows.any(axis=1).argmax()].nonzero()[0]
    # From the axis's left end (0 s) to its right end (60 s), a third in the middle is the saw.
    spectrogram = (image[height // 4] < 0.9).any(axis=1).nonzero()[0]
    left, right = spectrogram.min(), spectrogram.max()
    assert (bar.max() - bar.min()) / (right - left) > 0.25
    assert left < bar.min() < bar.max() < right


def test_a_clip_of_one_window_and_silence_can_be_drawn(tmp_path: Path, tiny_model: Path) -> None:
    classifier = Classifier(tiny_model)
    for name, sound in (
        ("short.wav", scene(16000, ("engine", 0.5))),
        ("one.wav", np.zeros(1, np.float32)),
        ("silent.wav", np.zeros(10 * 16000, np.float32)),
    ):
        soundfile.write(tmp_path / name, sound, 16000)
        assert draw(tmp_path / name, classifier, tmp_path / "x.png").std() > 0.01


@settings(deadline=None)
@given(most=st.sampled_from([2, 4, 16]), sizes=st.lists(st.integers(0, 40), max_size=8))
def test_merged_columns_keep_the_maximum_of_their_frames(most: int, sizes: list[int]) -> None:
    frames = np.random.default_rng(0).normal(size=(3, sum(sizes))).astype(np.float32)
    columns, at = Columns(3, most), 0
    for size in sizes:
        columns.push(frames[:, at : at + size])
        at += size
    levels = columns.levels_db
    assert levels.shape[1] <= most
    if at:
        each = 1
        while -(-at // each) > most:
            each *= 2
        expected = [frames[:, first : first + each].max(axis=1) for first in range(0, at, each)]
        np.testing.assert_array_equal(levels, np.stack(expected, axis=1))
