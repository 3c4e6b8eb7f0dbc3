"""Heads fitted again: what must not happen to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.tiny_model import LABELS, SPEC
from training.adaptation.anchor import Anchor
from training.adaptation.fitting import Windows, fit
from training.adaptation.heads import read_heads


def test_a_feature_that_the_anchor_hardly_has_gets_no_huge_weight(tiny_model: Path) -> None:
    heads = read_heads(tiny_model, LABELS)
    rng = np.random.default_rng(6)
    anchor = Anchor(
        rng.normal(-60.0, 5.0, (200, 1, SPEC.n_mels)), rng.integers(0, 4, 200), heads.trunk
    )
    # Constant in all the training data, and of the site's own sounds alone.
    anchor.features[:, :, 40] = 0.0
    anchor.features[:, :, 41] = 1e-9 * rng.normal(size=(200, 1))
    site = rng.normal(-60.0, 5.0, (20, 1, SPEC.n_mels))
    site[:, :, 40:42] = 1.0
    windows = Windows(site, np.zeros(20, np.int64), np.full(20, 1.0 / 20))
    ((weight, _),) = fit(heads, anchor, windows, 1.0)
    moved = np.abs(weight - heads.heads[0].weight).max(axis=1)
    assert moved[40:42].max() < 1.0
    assert moved.max() < 1.0
