"""Features of sound, as the daemon's analysis makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.tiny_model import LABELS, SPEC
from training.adaptation.features import FeatureReader
from training.adaptation.heads import read_heads


def test_features_are_the_same_wherever_a_window_lies_in_memory(tiny_model: Path) -> None:
    reader = FeatureReader(read_heads(tiny_model, LABELS), SPEC)
    rng = np.random.default_rng(3)
    size = SPEC.n_mels * SPEC.window_frames
    for _ in range(20):
        levels = rng.normal(-60.0, 10.0, size).astype(np.float32)
        room = np.empty(size + 16, np.float32)
        told = set()
        for offset in range(16):
            window = room[offset : offset + size]
            window[:] = levels
            features, scores = reader.features(window.reshape(SPEC.n_mels, SPEC.window_frames))
            told.add(features.tobytes() + scores.tobytes())
        assert len(told) == 1
