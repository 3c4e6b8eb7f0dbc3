"""A fused batch norm trains to what Keras' own does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from training.network.batch_norm import with_fused_norms


def _network() -> Any:
    import keras

    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, use_bias=False),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )


@pytest.fixture
def examples() -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    pictures = rng.normal(2.0, 3.0, (64, 8, 8, 3)).astype(np.float32)
    return pictures, np.eye(2, dtype=np.float32)[rng.integers(0, 2, 64)]


def test_training_comes_to_the_same_weights(examples: tuple[Any, Any]) -> None:
    import keras

    own = _network()
    fused = with_fused_norms(own)
    before = [weight.copy() for weight in own.get_weights()]
    for network in (own, fused):
        network.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
        for _ in range(5):
            network.train_on_batch(*examples)
    for start, theirs, ours in zip(before, own.get_weights(), fused.get_weights(), strict=True):
        assert np.abs(theirs - start).max() > 1e-3
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(
        fused.predict(examples[0], verbose=0), own.predict(examples[0], verbose=0), atol=1e-3
    )


def test_a_frozen_norm_keeps_its_statistics(examples: tuple[Any, Any]) -> None:
    import keras

    fused = with_fused_norms(_network())
    norm = fused.layers[1]
    norm.trainable = False
    before = [weight.copy() for weight in norm.get_weights()]
    fused.compile(keras.optimizers.SGD(0.1), "categorical_crossentropy")
    fused.train_on_batch(*examples)
    for start, now in zip(before, norm.get_weights(), strict=True):
        np.testing.assert_array_equal(now, start)
