"""``python -m training train``: labelled recordings in, a model file out."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rainwatchd.hearing.model_spec import FORMAT_VERSION, DecisionRule, ModelSpec
from training.commands.options import add_data, add_licence, add_weights, imagenet_weights
from training.dataset import LICENCES, Clip, DataError, check_present, digest, read
from training.dataset.division import SEED, divide
from training.evaluation.scoring import HeldOut
from training.network.export import describe, export_onnx, quantise, run
from training.network.model import GAIN_CONTROLS
from training.network.settings import EXAMPLE_S, FRONT_ENDS, WINDOWS_S, TrainingSettings
from training.network.start import Start, trained_before
from training.network.train import Material, some_windows, train_windows
from training.soundscape.examples import Examples, make_examples, real_windows
from training.soundscape.mixer import LABELS, Recipe

_VALIDATION_EXAMPLES = 1000
_CALIBRATION_WINDOWS = 512
_SHORTEST_S = 1.0
"""MobileNetV2 halves time and bands five times, and wants something left."""
_TIMES = (
    "On two cores mixing takes eight seconds for a thousand windows and training 8 ms for a "
    "window and pass: 40 minutes for 16,000 windows in two rounds of 8 passes. A run that was "
    "interrupted goes on where it was."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = _TIMES
    settings = TrainingSettings()
    parser.add_argument("out", type=Path, help="folder for checkpoints, curves and model files")
    add_data(parser)
    add_licence(parser)
    add_weights(parser)
    parser.add_argument(
        "--from",
        type=Path,
        dest="before",
        metavar="RUN",
        help="start from the network in this folder, or this weights file, trained before by the "
        "same options: what fine-tuning on recordings of one's own needs",
    )
    parser.add_argument("--name", help="of the model, in alerts and card; default: OUT's name")
    parser.add_argument("--version", default="1", help="of the model; default: %(default)s")
    parser.add_argument(
        "--examples", type=int, default=16000, help="windows to mix; default: %(default)s"
    )
    parser.add_argument(
        "--mixed",
        type=Path,
        help="folder of the mixed windows, which runs may share; default: OUT/examples",
    )
    parser.add_argument(
        "--epochs", type=int, default=settings.epochs, help="passes a round; default: %(default)s"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=settings.rounds,
        help="times that the learning rate rises and falls; default: %(default)s",
    )
    parser.add_argument(
        "--parts", type=int, default=3, help="of the cross-validation; default: %(default)s"
    )
    parser.add_argument(
        "--fold", type=int, help="hold this part out, from 1; default: train on everything"
    )
    parser.add_argument(
        "--front-end", choices=sorted(FRONT_ENDS), default="standard", help="default: %(default)s"
    )
    parser.add_argument(
        "--windows-s",
        type=float,
        nargs="+",
        default=WINDOWS_S,
        metavar="SECONDS",
        help=f"lengths of the windows, at most {EXAMPLE_S:g}; a network for each, in one file; "
        f"default: {' '.join(f'{length:g}' for length in WINDOWS_S)}",
    )
    parser.add_argument(
        "--gain-control",
        choices=GAIN_CONTROLS,
        default=settings.gain_control,
        help="default: %(default)s",
    )
    parser.add_argument(
        "--first-trained-block",
        type=int,
        default=settings.first_trained_block,
        help="MobileNetV2's blocks before it stay as they are; default: %(default)s",
    )
    parser.add_argument(
        "--synthetic-engine",
        type=float,
        default=Recipe().synthetic_engine,
        help="share of engines that are procedural; default: %(default)s",
    )


def command(options: argparse.Namespace) -> None:
    """Mix, train, export; the model file appears last."""
    windows_s = _lengths(options.windows_s)
    least = TrainingSettings().batch_size
    if options.examples < least:
        raise DataError(f"--examples is {options.examples}; allowed: {least}, a batch, or more")
    for name in ("epochs", "rounds"):
        if getattr(options, name) < 1:
            raise DataError(f"--{name} is {getattr(options, name)}; allowed: 1 or more")
    division = divide(read(options.data), options.licence, options.fold, options.parts)
    check_present({clip.path: clip for clip in (*division.usable, *division.held_out)}.values())
    mel = FRONT_ENDS[options.front_end]
    recipe = Recipe(rate_hz=mel.sample_rate_hz, synthetic_engine=options.synthetic_engine)
    settings = replace(
        TrainingSettings(),
        gain_control=options.gain_control,
        epochs=options.epochs,
        rounds=options.rounds,
        first_trained_block=options.first_trained_block,
        seed=SEED,
    )
    start = (
        trained_before(options.before, windows_s)
        if options.before
        else Start(imagenet_weights(options.weights))
    )
    options.out.mkdir(parents=True, exist_ok=True)
    shape = {"mel": asdict(mel), "recipe": asdict(recipe), "settings": asdict(settings)}
    data = digest(division.training)
    _claim(options.out, shape | {"data": data, "count": options.examples})
    mixed = options.mixed or options.out / "examples"
    examples = make_examples(
        mixed, division.usable, mel, mel.frames_in(EXAMPLE_S), recipe, count=options.examples,
        seed=SEED,
    )  # fmt: skip
    allowed = examples.without(_recordings(division.held_out)) if division.held_out else None
    material = Material(examples, allowed, mel, recipe)

    def unseen_windows(window_s: float) -> Examples:
        count = min(_VALIDATION_EXAMPLES, options.examples)
        return real_windows(
            options.out / "examples", division.validation, mel, recipe, window_s, count=count,
            seed=SEED + 1,
        )  # fmt: skip

    network, unseen = train_windows(
        material,
        unseen_windows,
        windows_s,
        settings,
        start=start,
        home=lambda window_s: options.out / f"window-of-{window_s:g}-s",
    )
    part = options.out / "part.onnx"
    export_onnx(network, part)
    accuracy = _accuracy(run(part, unseen.log_mel.astype(np.float32)), unseen)
    own = "held_out" if division.held_out else "own"
    identifier, _ = LICENCES[options.licence]
    spec = ModelSpec(
        format=FORMAT_VERSION,
        name=options.name or options.out.resolve().name,
        version=options.version,
        licence=identifier,
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
            "digest": data,
            "recordings": len({clip.recording for clip in division.training}),
            "minutes": round(sum(clip.duration_s for clip in division.training) / 60, 1),
            "mixed_windows": len(examples.log_mel),
        },
        metrics={f"{own}_windows_accuracy": accuracy},
    )
    known = HeldOut(_recordings(division.held_out))
    reference = _reference(unseen)
    calibration, _ = some_windows(
        material.remix(windows_s[-1], settings), _CALIBRATION_WINDOWS, SEED
    )
    quantise(part, options.out / "part-int8.onnx", calibration)
    for built, name in (("part.onnx", "model-fp32"), ("part-int8.onnx", "model")):
        describe(options.out / built, spec, reference)
        (options.out / name).with_suffix(".json").write_bytes(msgspec.json.encode(known))
        (options.out / built).rename(options.out / f"{name}.onnx")
    print(f"model: {options.out / 'model.onnx'} ({spec.name} {spec.version}, {identifier})")
    if division.held_out:
        print(
            f"accuracy: {accuracy:.1%} of {len(unseen.target)} windows of the "
            f"{len(known.held_out_recordings)} recordings that were held out"
        )
    else:
        print(
            f"accuracy: {accuracy:.1%} of windows of recordings that it was trained on, which "
            f"flatters it; nothing was held out: --fold 1 measures"
        )


def _lengths(windows_s: Sequence[float]) -> list[float]:
    """Return the windows' lengths from shortest to longest, each once."""
    lengths = sorted(set(windows_s))
    if not all(_SHORTEST_S <= length <= EXAMPLE_S for length in lengths):
        raise DataError(
            f"--windows-s is {' '.join(f'{length:g}' for length in windows_s)}; "
            f"allowed: {_SHORTEST_S:g} to {EXAMPLE_S:g}"
        )
    return lengths


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
