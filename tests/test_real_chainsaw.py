"""The shipped model on real chainsaws: the same at any rate and number of channels."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from rainwatchd.config.options import Config
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import PACKAGED
from rainwatchd.replay.replay import Found, Replay

BUNDLED = Path(__file__).parent / "recordings" / "chainsaw" / "esc10_freesound-19898.ogg"
SHARED = Path(__file__).parents[2] / "shared" / "data"

pytestmark = pytest.mark.skipif(not PACKAGED.exists(), reason="no trained model in the package yet")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(PACKAGED)


def found(path: Path, classifier: Classifier) -> list[Found]:
    items = Replay(Config(), "x").hear(path, classifier)
    return [item for item in items if isinstance(item, Found) and item.end_s is not None]


def check_both_forms(path: Path, classifier: Classifier, folder: Path) -> None:
    """Hear it as 44.1 kHz stereo and as 16 kHz mono."""
    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono = sound.mean(axis=1)
    wide = soxr.resample(mono, rate_hz, 44100)
    stereo, plain = folder / "stereo.wav", folder / "plain.wav"
    soundfile.write(stereo, np.stack((wide * 0.9, wide * 1.1), axis=1), 44100, subtype="FLOAT")
    soundfile.write(plain, soxr.resample(mono, rate_hz, 16000), 16000, subtype="FLOAT")
    first, second = found(stereo, classifier), found(plain, classifier)
    assert [item.detection.label for item in first] == [item.detection.label for item in second]
    assert "chainsaw" in {item.detection.label for item in first}
    step_s = classifier.spec.step_s
    for one, other in zip(first, second, strict=True):
        assert other.start_s == pytest.approx(one.start_s, abs=step_s)
        assert other.end_s == pytest.approx(one.end_s, abs=step_s)


def test_the_bundled_chainsaw_is_found_at_both_rates(
    classifier: Classifier, tmp_path: Path
) -> None:
    check_both_forms(BUNDLED, classifier, tmp_path)


@pytest.mark.shared
def test_a_shared_chainsaw_in_a_forest_is_found_at_both_rates(
    classifier: Classifier, tmp_path: Path
) -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data is not there")
    with (SHARED / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    forest = next(row for row in rows if row["source"] == "scikit_maad")
    saws = [row for row in rows if row["class"] == "chainsaw"]
    clips = Counter(row["recording"] for row in saws)
    longest = clips.most_common(1)[0][0]
    ambience = read(SHARED / forest["path"])[: 20 * 44100]
    saw = [read(SHARED / row["path"]) for row in saws if row["recording"] == longest]
    path = tmp_path / "forest.wav"
    soundfile.write(path, np.concatenate((ambience, *saw, ambience)), 44100, subtype="FLOAT")
    check_both_forms(path, classifier, tmp_path)


def read(path: Path) -> np.ndarray:
    """Read as 44.1 kHz mono."""
    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    resampled: np.ndarray = soxr.resample(sound.mean(axis=1), rate_hz, 44100)
    return resampled
