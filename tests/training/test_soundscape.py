"""Mixed windows: seeded, labelled by what can be heard, free of tell-tale artefacts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.dataset import DataError, read
from training.kinds import LABELS, kinds_of
from training.library import Library
from training.soundscape import Mixer, Recipe

RECORDINGS = Path(__file__).parents[1] / "recordings"
RECIPE = Recipe(length=16384)
KINDS = kinds_of(read(RECORDINGS))


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(read(RECORDINGS), RECIPE.rate_hz, workers=1)


def test_one_seed_and_index_always_give_the_same_window(library: Library) -> None:
    first, again = Mixer(library, RECIPE, KINDS, 7), Mixer(library, RECIPE, KINDS, 7)
    first.mixture(3)
    for index in (5, 2):
        ours, theirs = first.mixture(index), again.mixture(index)
        np.testing.assert_array_equal(ours.samples, theirs.samples)
        assert ours.kind == theirs.kind
    other = Mixer(library, RECIPE, KINDS, 8).mixture(5)
    assert not np.array_equal(other.samples, first.mixture(5).samples)


def test_windows_are_finite_within_full_scale_and_at_drawn_levels(library: Library) -> None:
    mixer = Mixer(library, RECIPE, KINDS, 1)
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
    mixer = Mixer(library, RECIPE, KINDS, 1)
    classes = [KINDS.classes[mixer.mixture(index).kind] for index in range(300)]
    counted = np.bincount(classes, minlength=len(LABELS)) / 300
    np.testing.assert_allclose(counted, RECIPE.shares, atol=0.08)


def test_a_class_without_recordings_is_named() -> None:
    without = [clip for clip in read(RECORDINGS) if clip.label != "storm"]
    with pytest.raises(DataError, match="no usable storm recordings"):
        Mixer(Library(without, RECIPE.rate_hz, workers=1), RECIPE, KINDS, 1)


def test_ratios_are_drawn_from_the_class_own_range(library: Library) -> None:
    saws = (0.0, 1.0, 0.0, 0.0)
    recipe = replace(RECIPE, shares=saws, snr_db=(-18.0, -17.0))
    drawn = [Mixer(library, recipe, KINDS, 1).mixture(index).snr_db for index in range(5)]
    assert all(-18.0 <= snr_db <= -17.0 for snr_db in drawn)
