"""Mixed windows: seeded, labelled by what can be heard, free of tell-tale artefacts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.dataset import DataError, read
from training.soundscape.library import Library
from training.soundscape.mixer import LABELS, Mixer, Recipe

RECORDINGS = Path(__file__).parents[2] / "recordings"
RECIPE = Recipe(length=16384)


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(read(RECORDINGS), RECIPE.rate_hz, workers=1)


def test_one_seed_and_index_always_give_the_same_window(library: Library) -> None:
    first, again = Mixer(library, RECIPE, 7), Mixer(library, RECIPE, 7)
    first.mixture(3)
    for index in (5, 2):
        ours, theirs = first.mixture(index), again.mixture(index)
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        np.testing.assert_array_equal(ours.target, theirs.target)
    other = Mixer(library, RECIPE, 8).mixture(5)
    assert not np.array_equal(other.samples, first.mixture(5).samples)


def test_windows_are_finite_within_full_scale_and_at_drawn_levels(library: Library) -> None:
    mixer = Mixer(library, RECIPE, 1)
    levels_dbfs = []
    for index in range(60):
        samples = mixer.mixture(index).samples
        assert samples.dtype == np.float32
        assert samples.shape == (RECIPE.length,)
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1.0
        levels_dbfs.append(10 * np.log10(np.mean(samples**2)))
    assert min(levels_dbfs) < -45.0 < -25.0 < max(levels_dbfs)


def test_every_class_is_mixed_at_about_its_share(library: Library) -> None:
    mixer = Mixer(library, RECIPE, 1)
    targets = np.array([mixer.mixture(index).target for index in range(300)])
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, atol=1e-6)
    events = targets[:, 1:].argmax(axis=1)[targets[:, 1:].max(axis=1) > 0] + 1
    counted = np.bincount(events, minlength=len(LABELS)) / 300
    np.testing.assert_allclose(counted[1:], RECIPE.shares[1:], atol=0.08)


def test_a_class_without_recordings_is_named() -> None:
    without = [clip for clip in read(RECORDINGS) if clip.label != "storm"]
    with pytest.raises(DataError, match="no usable storm recordings"):
        Mixer(Library(without, RECIPE.rate_hz, workers=1), RECIPE, 1)


def test_a_hardly_audible_saw_is_believed_less(library: Library) -> None:
    saws = (0.0, 1.0, 0.0, 0.0)
    faint = replace(RECIPE, shares=saws, snr_db=(-18.0, -17.0))
    clear = replace(RECIPE, shares=saws, snr_db=(5.0, 20.0))
    for index in range(5):
        doubted = Mixer(library, faint, 1).mixture(index).target
        assert 0.55 < doubted[1] < 0.7
        assert doubted[0] == pytest.approx(1.0 - doubted[1])
        assert Mixer(library, clear, 1).mixture(index).target[1] == 1.0
