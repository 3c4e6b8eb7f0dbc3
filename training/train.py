"""Transfer learning: the new head first, then the network, from mixed examples."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rainwatchd.features import MelSpec
from training.examples import Examples
from training.model import build, prepare_fine_tuning

FRONT_ENDS: Mapping[str, tuple[MelSpec, float]] = {
    "fine": (MelSpec(16000, 1024, 500, 96, 40.0, 5000.0), 4.0),
    "long": (MelSpec(16000, 2048, 1000, 128, 40.0, 4000.0), 4.0),
    "coarse": (MelSpec(16000, 2048, 1000, 64, 40.0, 4000.0), 4.0),
    "short": (MelSpec(16000, 2048, 1000, 128, 40.0, 4000.0), 2.0),
    "wide": (MelSpec(16000, 2048, 1000, 128, 40.0, 8000.0), 4.0),
}
"""Front-ends that were compared, each with its window in seconds; see the model card."""

_CALIBRATION_EXAMPLES = 256

_BED_SHARE = 0.7
_BED_DB = (-25.0, -2.0)
"""Share of windows that get more ambience, and its median level against theirs."""

_RESPONSE_DB = 3.0
_KNOTS = 6
"""Spread and number of the points of a microphone's response."""


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that shapes the network besides its examples."""

    gain_control: str = "contrast"
    epochs: int = 6
    head_learning_rate: float = 2e-3
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 64
    first_trained_block: int = 3
    """Blocks of MobileNetV2 before this one keep their ImageNet weights."""
    seed: int = 1


def train(
    examples: Examples,
    validation: Examples,
    settings: TrainingSettings,
    *,
    weights: Path | None,
    home: Path,
) -> Any:
    """Return the trained Keras model; progress, curves and checkpoints lie in `home`.

    A run that was interrupted goes on from its last whole epoch; one that ended is loaded.
    """
    import keras

    home.mkdir(parents=True, exist_ok=True)
    random.seed(settings.seed)
    keras.utils.set_random_seed(settings.seed)
    n_mels, frames = examples.log_mel.shape[1:]
    network = build(
        n_mels,
        frames,
        examples.target.shape[1],
        gain_control=settings.gain_control,
        weights=weights,
    )
    finished = home / "trained.weights.h5"
    if finished.exists():
        network.load_weights(finished)
        return network
    if not (home / "backup").exists():
        _train_head(network, examples, settings)
    _train_all(network, examples, validation, settings, home)
    network.save_weights(home / "trained.part.weights.h5")
    (home / "trained.part.weights.h5").rename(finished)
    draw_curves(home / "curves.csv", home / "curves.png")
    return network


def _train_head(network: Any, examples: Examples, settings: TrainingSettings) -> None:
    """Fit the classifier alone on features computed once, so that it starts from sense."""
    import keras

    sample = np.random.default_rng(settings.seed).permutation(len(examples.log_mel))[:6000]
    sample = np.sort(sample)
    head = network.get_layer("scores")
    trunk = keras.Model(network.input, head.input)
    features = trunk.predict(examples.log_mel[sample].astype(np.float32), verbose=0, batch_size=64)
    alone = keras.Sequential([keras.Input(features.shape[1:]), head])
    alone.compile(keras.optimizers.Adam(settings.head_learning_rate), "categorical_crossentropy")
    alone.fit(features, examples.target[sample], batch_size=64, epochs=8, verbose=0)


def _train_all(
    network: Any,
    examples: Examples,
    validation: Examples,
    settings: TrainingSettings,
    home: Path,
) -> None:
    import keras

    sample = np.random.default_rng(settings.seed).permutation(len(examples.log_mel))
    calibration = examples.log_mel[np.sort(sample[:_CALIBRATION_EXAMPLES])].astype(np.float32)
    prepare_fine_tuning(network, settings.first_trained_block, calibration)
    batches = _batches(examples, settings)
    steps = len(batches) * settings.epochs
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=settings.learning_rate, warmup_steps=max(1, steps // 20)
    )
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    network.fit(
        batches,
        epochs=settings.epochs,
        validation_data=(validation.log_mel.astype(np.float32), validation.target),
        validation_batch_size=64,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=batches.begin),
            keras.callbacks.BackupAndRestore(str(home / "backup"), delete_checkpoint=False),
            keras.callbacks.CSVLogger(str(home / "curves.csv"), append=True),
        ],
        verbose=2,
    )


def _batches(examples: Examples, settings: TrainingSettings) -> Any:
    import keras

    quiet = np.flatnonzero(examples.target[:, 0] == 1.0)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        """Shuffled by epoch and seed alone, so that a resumed run sees what it would have."""

        def __init__(self) -> None:
            super().__init__()
            self.begin(0)

        def begin(self, epoch: int, logs: object = None) -> None:
            self._rng = np.random.default_rng([settings.seed, epoch])
            self._order = self._rng.permutation(len(examples.log_mel))

        def __len__(self) -> int:
            return len(examples.log_mel) // settings.batch_size

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            chosen = self._order[index * settings.batch_size :][: settings.batch_size]
            log_mel = examples.log_mel[chosen].astype(np.float32)
            target = examples.target[chosen]
            return _augment(log_mel, self._beds(len(chosen)), self._rng), target

        def _beds(self, count: int) -> Any:
            """Return windows without an event, to be laid under others."""
            return examples.log_mel[self._rng.choice(quiet, count)].astype(np.float32)

    return Batches()


def _augment(log_mel: Any, beds: Any, rng: np.random.Generator) -> Any:
    """Make a new window of each ``(n, n_mels, frames)``: more ambience, another microphone.

    Powers add: 10 log10(10^(a/10) + 10^(b/10)), so that every epoch hears each event in other
    company. Then a smooth response over the bands, and SpecAugment's masks (Park et al. 2019).
    """
    count, n_mels, frames = log_mel.shape
    level_db = np.median(log_mel, axis=(1, 2)) - np.median(beds, axis=(1, 2))
    level_db += rng.uniform(*_BED_DB, count)
    level_db[rng.random(count) > _BED_SHARE] = -np.inf
    beds += level_db[:, np.newaxis, np.newaxis].astype(np.float32)
    nepers = np.float32(np.log(10.0) / 10.0)
    log_mel = np.logaddexp(log_mel * nepers, beds * nepers) / nepers
    knots = rng.normal(0.0, _RESPONSE_DB, (count, _KNOTS))
    bands = np.linspace(0, _KNOTS - 1, n_mels)
    for window, knot in zip(log_mel, knots, strict=True):
        response = np.interp(bands, np.arange(_KNOTS), knot).astype(np.float32)
        np.add(window, response[:, np.newaxis], out=window)
        quiet = np.median(window)
        if rng.random() < 0.5:
            width = int(rng.integers(1, n_mels // 8))
            first = int(rng.integers(n_mels - width))
            window[first : first + width] = quiet
        if rng.random() < 0.5:
            width = int(rng.integers(1, max(2, frames // 6)))
            first = int(rng.integers(frames - width))
            window[:, first : first + width] = quiet
    return log_mel


def draw_curves(table: Path, picture: Path) -> None:
    """Draw loss and accuracy over epochs, training and validation, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with table.open() as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) + 1 for row in rows]
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        axis.plot(epochs, [float(row[name]) for row in rows], label="training mixtures")
        axis.plot(epochs, [float(row[f"val_{name}"]) for row in rows], label="held-out mixtures")
        axis.set(xlabel="epoch", title=name)
    axes[0].legend()
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)
