"""Transfer learning: the new head first, then the network, from mixed examples."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rainwatchd.hearing.log_mel import MelSpec
from training.dataset import DataError
from training.network.model import build, merged, prepare_fine_tuning, together
from training.network.settings import TrainingSettings
from training.network.start import Start
from training.soundscape.examples import Allowed, Examples
from training.soundscape.mixer import Recipe
from training.soundscape.remix import Remix, with_machine

_CALIBRATION_EXAMPLES = 256

_HEAD_EXAMPLES = 2000


@dataclass(frozen=True)
class Material:
    """What every window of a run is cut from."""

    examples: Examples
    allowed: Allowed | None
    mel: MelSpec
    recipe: Recipe

    def remix(self, window_s: float, settings: TrainingSettings) -> Remix:
        """Return what draws windows of `window_s`; `DataError` where less than a batch is left."""
        frames = self.mel.frames_in(window_s)
        remix = Remix(
            self.examples,
            self.mel,
            self.recipe,
            frames,
            self.allowed,
            machines=settings.machines,
        )
        if len(remix) < settings.batch_size:
            raise DataError(
                f"{len(remix)} windows hold nothing that is held out, fewer than a batch of "
                f"{settings.batch_size}: mix more (--examples)"
            )
        return remix


def train_windows(
    material: Material,
    validation: Callable[[float], Examples],
    windows_s: Sequence[float],
    settings: TrainingSettings,
    *,
    start: Start,
    home: Callable[[float], Path],
) -> tuple[Any, Examples]:
    """Train a network for each window; return the model of all, and the longest's validation.

    `validation` makes the held-out windows of a length and `home` says where its network lies.
    """
    networks = []
    for window_s in windows_s:
        unseen = validation(window_s)
        remix = material.remix(window_s, settings)
        before = start.trained.get(window_s)
        network = train(
            remix, unseen, settings, imagenet=start.imagenet, before=before, home=home(window_s)
        )
        networks.append(merged(network) if settings.machines else network)
    return together(networks), unseen


def train(
    remix: Remix,
    validation: Examples,
    settings: TrainingSettings,
    *,
    imagenet: Path | None,
    home: Path,
    before: Path | None = None,
) -> Any:
    """Return the trained Keras model; progress, curves and checkpoints lie in `home`.

    A run that was interrupted goes on from its last whole epoch; one that ended is loaded.
    `before` holds the weights of a network trained before, of the same shape.
    """
    import keras

    home.mkdir(parents=True, exist_ok=True)
    random.seed(settings.seed)
    keras.utils.set_random_seed(settings.seed)
    n_mels, frames = validation.log_mel.shape[1:]
    wanted = _wanted(validation, settings)
    network = build(
        n_mels,
        frames,
        wanted.shape[1],
        gain_control=settings.gain_control,
        weights=imagenet,
        blank=before is not None,
    )
    finished = home / "trained.weights.h5"
    if finished.exists():
        network.load_weights(finished)
        return network
    if before:
        try:
            network.load_weights(before)
        except ValueError as error:
            raise DataError(
                f"{before}: not a network of this shape; give the options that it was trained with"
            ) from error
    elif not (home / "backup").exists():
        _train_head(network, remix, settings)
    _train_all(network, remix, (validation.log_mel.astype(np.float32), wanted), settings, home)
    network.save_weights(home / "trained.part.weights.h5")
    (home / "trained.part.weights.h5").rename(finished)
    draw_curves(home / "curves.csv", home / "curves.png")
    return network


def _wanted(examples: Examples, settings: TrainingSettings) -> Any:
    """Return the targets as the network is to learn them."""
    if not settings.machines:
        return examples.target
    pairs = zip(examples.target, examples.machine, strict=True)
    return np.stack([with_machine(target, int(machine)) for target, machine in pairs])


def some_windows(remix: Remix, count: int, seed: int) -> tuple[Any, Any]:
    """Return `count` windows as training hears them, and their targets."""
    rng = np.random.default_rng(seed)
    return remix.batch(rng.permutation(len(remix))[:count], rng)


def _train_head(network: Any, remix: Remix, settings: TrainingSettings) -> None:
    """Fit the classifier alone on features computed once, so that it starts from sense."""
    import keras

    log_mel, target = some_windows(remix, _HEAD_EXAMPLES, settings.seed)
    head = network.get_layer("scores")
    trunk = keras.Model(network.input, head.input)
    features = trunk.predict(log_mel, verbose=0, batch_size=64)
    alone = keras.Sequential([keras.Input(features.shape[1:]), head])
    alone.compile(keras.optimizers.Adam(settings.head_learning_rate), "categorical_crossentropy")
    alone.fit(features, target, batch_size=64, epochs=8, verbose=0)


def _train_all(
    network: Any,
    remix: Remix,
    validation: tuple[Any, Any],
    settings: TrainingSettings,
    home: Path,
) -> None:
    import keras

    calibration, _ = some_windows(remix, _CALIBRATION_EXAMPLES, settings.seed)
    prepare_fine_tuning(network, settings.first_trained_block, calibration)
    batches = _batches(remix, settings)
    rate = learning_rate(len(batches) * settings.epochs, settings.learning_rate)
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay),
        "categorical_crossentropy",
        metrics=["accuracy"],
    )
    network.fit(
        batches,
        epochs=settings.epochs * settings.rounds,
        validation_data=validation,
        validation_batch_size=64,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=batches.begin),
            keras.callbacks.BackupAndRestore(str(home / "backup"), delete_checkpoint=False),
            keras.callbacks.CSVLogger(str(home / "curves.csv"), append=True),
        ],
        verbose=2,
    )


def learning_rate(steps: int, highest: float) -> Any:
    """Return Keras' schedule of rounds of `steps`: to `highest` in a twentieth, then to nothing."""
    import keras

    once = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=highest, warmup_steps=max(1, steps // 20)
    )

    # Keras' own CosineDecayRestarts has no warm-up.
    class Rounds(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            return once(keras.ops.mod(step, steps))

    return Rounds()


def _batches(remix: Remix, settings: TrainingSettings) -> Any:
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        """Drawn by epoch and seed alone, so that a resumed run sees what it would have."""

        def __init__(self) -> None:
            super().__init__()
            self.begin(0)

        def begin(self, epoch: int, logs: object = None) -> None:
            self._rng = np.random.default_rng([settings.seed, epoch])
            self._order = self._rng.permutation(len(remix))

        def __len__(self) -> int:
            return len(remix) // settings.batch_size

        def __getitem__(self, index: int) -> tuple[Any, Any]:
            chosen = self._order[index * settings.batch_size :][: settings.batch_size]
            return remix.batch(chosen, self._rng)

    return Batches()


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
