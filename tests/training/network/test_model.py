"""The network's own front: what it makes of level, steady noise, harmonics and a loud bird."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.network.model import (
    GAIN_CONTROLS,
    build,
    gain_control_layer,
    prepare_fine_tuning,
    together,
)

N_MELS, FRAMES = 64, 64


@pytest.fixture(scope="module")
def forest() -> Any:
    """A window of steady noise, dB."""
    return np.random.default_rng(1).normal(-60.0, 3.0, (1, N_MELS, FRAMES)).astype(np.float32)


def _picture(kind: str, log_mel: Any) -> Any:
    return np.asarray(gain_control_layer(kind, N_MELS)(log_mel))


@pytest.mark.parametrize("kind", GAIN_CONTROLS)
def test_every_gain_control_stays_within_the_networks_range(kind: str, forest: Any) -> None:
    for window in (forest, np.full_like(forest, -100.0), forest + 70.0):
        picture = _picture(kind, window)
        assert picture.shape == (1, N_MELS, FRAMES, 3)
        assert np.isfinite(picture).all()
        assert np.abs(picture).max() <= 3.0


@pytest.mark.parametrize("kind", ["contrast", "half_median", "window_maximum"])
def test_the_microphones_gain_does_not_matter(kind: str, forest: Any) -> None:
    np.testing.assert_allclose(_picture(kind, forest), _picture(kind, forest + 20.0), atol=1e-4)


def test_a_loud_bird_does_not_push_a_faint_saw_out_of_range(forest: Any) -> None:
    saw = forest.copy()
    saw[:, 10:40:6, :] += 9.0
    bird = saw.copy()
    bird[:, 50:56, 20:30] += 60.0
    harmonics = np.s_[:, 10:40:6]
    for kind, kept in (("contrast", True), ("window_maximum", False)):
        apart = np.abs(_picture(kind, bird) - _picture(kind, saw))[harmonics].mean()
        assert bool(apart < 0.05) is kept


def test_harmonics_stand_out_in_contrast(forest: Any) -> None:
    saw = forest.copy()
    saw[:, 10:40:6, :] += 9.0
    across_bands = _picture("contrast", saw)[..., 2]
    assert across_bands[:, 10:40:6].mean() > across_bands[:, 13:40:6].mean() + 0.5


@pytest.mark.parametrize("first_block", [3, 17])
def test_preparing_for_fine_tuning_keeps_the_function(
    tmp_path: Path, forest: Any, first_block: int
) -> None:
    import keras

    weights = tmp_path / "random.weights.h5"
    keras.utils.set_random_seed(1)
    keras.applications.MobileNetV2(
        input_shape=(N_MELS, FRAMES, 3), include_top=False, weights=None
    ).save_weights(weights)
    network = build(N_MELS, FRAMES, 4, weights=weights)
    windows = forest + np.random.default_rng(2).normal(0.0, 5.0, (16, N_MELS, FRAMES))
    windows = windows.astype(np.float32)
    before = network.predict(windows, verbose=0)
    prepare_fine_tuning(network, first_block, windows)
    np.testing.assert_allclose(network.predict(windows, verbose=0), before, atol=1e-4)
    trained = {weight.path for weight in network.trainable_variables}
    assert any("Conv_1" in name for name in trained)
    assert any("block_3" in name for name in trained) is (first_block == 3)
    assert not any("block_2_" in name for name in trained)


def test_together_each_network_hears_the_end_of_the_window() -> None:
    def loudness(frames: int) -> Any:
        import keras

        log_mel = keras.Input((N_MELS, frames))
        level = keras.ops.mean(log_mel, axis=(1, 2), keepdims=True)[:, :, 0] / 10.0
        logits = keras.ops.concatenate([level, -level], axis=1)
        return keras.Model(log_mel, keras.layers.Softmax()(logits))

    both = together([loudness(16), loudness(FRAMES)])
    window = np.zeros((1, N_MELS, FRAMES), np.float32)
    window[:, :, -16:] = 8.0
    # The geometric mean of softmax(0.8, -0.8) and softmax(0.2, -0.2), the whole window's mean.
    expected = 1.0 / (1.0 + np.exp(-0.8 - 0.2))
    np.testing.assert_allclose(both.predict(window, verbose=0)[0, 0], expected, rtol=1e-5)
    early = window[:, :, ::-1]
    expected = 1.0 / (1.0 + np.exp(-0.2))
    np.testing.assert_allclose(both.predict(early, verbose=0)[0, 0], expected, rtol=1e-5)
