"""``python -m training train``: labelled recordings in, a model file out."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rainwatchd.hearing.log_mel import MelSpec
from rainwatchd.hearing.model_spec import FORMAT_VERSION, DecisionRule, ModelSpec
from training.commands.options import add_data, add_weights
from training.dataset import Clip, DataError, digest, folds, publishable, read, split_by_recording
from training.evaluation.scoring import HeldOut
from training.network.export import describe, export_onnx, quantise, run
from training.network.model import GAIN_CONTROLS, together
from training.network.train import (
    EXAMPLE_S,
    FRONT_ENDS,
    WINDOWS_S,
    TrainingSettings,
    some_windows,
    train,
)
from training.soundscape.examples import Examples, make_examples
from training.soundscape.mixer import LABELS, Recipe
from training.soundscape.remix import Remix

_VALIDATION_SHARE = 0.15
_VALIDATION_EXAMPLES = 1000
_CALIBRATION_WINDOWS = 512
_SHORTEST_S = 1.0
"""MobileNetV2 halves time and bands five times, and wants something left."""
SEED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("out", type=Path, help="folder for checkpoints, curves and model files")
    add_data(parser)
    add_weights(parser)
    parser.add_argument("--examples", type=int, default=14000, help="windows to remix")
    parser.add_argument("--epochs", type=int, default=TrainingSettings().epochs)
    parser.add_argument("--folds", type=int, default=3, help="parts of the cross-validation")
    parser.add_argument(
        "--fold", type=int, help="hold this part out, from 1; default: train on everything"
    )
    parser.add_argument("--front-end", choices=sorted(FRONT_ENDS), default="standard")
    parser.add_argument(
        "--windows-s",
        type=float,
        nargs="+",
        default=WINDOWS_S,
        metavar="SECONDS",
        help=f"lengths of the windows, at most {EXAMPLE_S:g}; a network for each, in one file",
    )
    parser.add_argument(
        "--gain-control", choices=GAIN_CONTROLS, default=TrainingSettings().gain_control
    )
    parser.add_argument("--first-trained-block", type=int, default=3)
    parser.add_argument(
        "--synthetic-engine",
        type=float,
        default=Recipe().synthetic_engine,
        help="share of engines that are procedural",
    )


def command(options: argparse.Namespace) -> None:
    """Mix, train, export; the model file appears last."""
    clips = publishable(read(options.data))
    training, validation, held_out = divide(clips, options.fold, options.folds)
    windows_s = _lengths(options.windows_s)
    least = TrainingSettings().batch_size
    if options.examples < least:
        raise DataError(f"--examples is {options.examples}; allowed: {least}, a batch, or more")
    mel = FRONT_ENDS[options.front_end]
    recipe = Recipe(rate_hz=mel.sample_rate_hz, synthetic_engine=options.synthetic_engine)
    mixed = options.out / "examples"
    examples = make_examples(
        mixed, training, mel, mel.frames_in(EXAMPLE_S), recipe, count=options.examples, seed=SEED
    )
    settings = TrainingSettings(
        gain_control=options.gain_control,
        epochs=options.epochs,
        first_trained_block=options.first_trained_block,
        seed=SEED,
    )
    shape = {"mel": asdict(mel), "recipe": asdict(recipe), "settings": asdict(settings)}
    _claim(options.out, shape | {"data": digest(training), "count": len(examples.log_mel)})
    networks = []
    for window_s in windows_s:
        unseen = real_windows(
            mixed,
            validation,
            mel,
            recipe,
            window_s,
            count=min(_VALIDATION_EXAMPLES, options.examples),
            seed=SEED + 1,
        )
        remix = Remix(examples, mel, recipe, mel.frames_in(window_s))
        home = options.out / f"window-of-{window_s:g}-s"
        networks.append(train(remix, unseen, settings, weights=options.weights, home=home))
    network = together(networks)
    part = options.out / "part.onnx"
    export_onnx(network, part)
    scores = run(part, unseen.log_mel.astype(np.float32))
    spec = ModelSpec(
        format=FORMAT_VERSION,
        name="rainwatch-mobilenetv2",
        version=importlib.metadata.version("rainwatchd"),
        labels=list(LABELS),
        sample_rate_hz=mel.sample_rate_hz,
        n_fft=mel.n_fft,
        hop_length=mel.hop_length,
        n_mels=mel.n_mels,
        fmin_hz=mel.fmin_hz,
        fmax_hz=mel.fmax_hz,
        window_s=windows_s[-1],
        step_s=1.0,
        decision={label: DecisionRule() for label in LABELS[1:]},
        training_data={
            "digest": digest(training),
            "recordings": len({clip.recording for clip in training}),
            "minutes": round(sum(clip.duration_s for clip in training) / 60, 1),
            "mixed_windows": len(examples.log_mel),
        },
        metrics={"held_out_windows_accuracy": _accuracy(scores, unseen)},
    )
    known = HeldOut(_recordings(held_out), _recordings(validation))
    reference = _reference(unseen)
    calibration, _ = some_windows(remix, _CALIBRATION_WINDOWS, SEED)
    quantise(part, options.out / "part-int8.onnx", calibration)
    for built, name in (("part.onnx", "model-fp32"), ("part-int8.onnx", "model")):
        describe(options.out / built, spec, reference)
        (options.out / name).with_suffix(".json").write_bytes(msgspec.json.encode(known))
        (options.out / built).rename(options.out / f"{name}.onnx")
    print(f"model: {options.out / 'model.onnx'}")


def real_windows(
    folder: Path,
    clips: Sequence[Clip],
    mel: MelSpec,
    recipe: Recipe,
    window_s: float,
    *,
    count: int,
    seed: int,
) -> Examples:
    """Return held-out windows: real recordings only, mixed as sound."""
    frames = mel.frames_in(window_s)
    real = replace(
        recipe,
        length=mel.samples_in(frames),
        synthetic_engine=0.0,
        synthetic_chainsaw=0.0,
        ready=1.0,
    )
    return make_examples(folder, clips, mel, frames, real, count=count, seed=seed)


def _lengths(windows_s: Sequence[float]) -> list[float]:
    """Return the windows' lengths from shortest to longest, each once."""
    lengths = sorted(set(windows_s))
    if not all(_SHORTEST_S <= length <= EXAMPLE_S for length in lengths):
        raise DataError(
            f"--windows-s is {' '.join(f'{length:g}' for length in windows_s)}; "
            f"allowed: {_SHORTEST_S:g} to {EXAMPLE_S:g}"
        )
    return lengths


def divide(
    clips: Sequence[Clip], fold: int | None, count: int
) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """Return training, validation and held-out clips, no recording in two of them.

    Without a fold nothing is held out and validation repeats a part of the training clips: it
    then shows that the run is sound, not how good it is.
    """
    shares = {"training": 1.0 - _VALIDATION_SHARE, "validation": _VALIDATION_SHARE}
    if fold is None:
        return list(clips), split_by_recording(clips, shares, SEED)["validation"], []
    if not 1 <= fold <= count:
        raise DataError(f"--fold is {fold}; allowed: 1 to {count} (--folds)")
    rest, held_out = folds(clips, count, SEED)[fold - 1]
    parts = split_by_recording(rest, shares, SEED)
    return parts["training"], parts["validation"], held_out


def _claim(out: Path, wanted: dict[str, Any]) -> None:
    """Note in `out` what is trained there; refuse to go on with another run's checkpoints."""
    noted = out / "run.json"
    text = json.dumps(wanted, indent=1)
    if noted.exists() and noted.read_text() != text:
        raise DataError(
            f"{out} holds a run with other data or settings: give another folder, or delete it"
        )
    noted.write_text(text)


def _recordings(clips: Sequence[Clip]) -> list[str]:
    return sorted({clip.recording for clip in clips})


def _accuracy(scores: np.ndarray, examples: Examples) -> float:
    return round(float(np.mean(scores.argmax(1) == examples.target.argmax(1))), 4)


def _reference(examples: Examples) -> np.ndarray:
    """Return the clearest chainsaw window there is; any other where there is none."""
    saw = examples.target[:, LABELS.index("chainsaw")]
    loudness = np.nan_to_num(examples.snr_db, nan=-99.0) + 100.0 * saw
    window: np.ndarray = examples.log_mel[int(loudness.argmax())].astype(np.float32)
    return window
