"""``python -m training anchor``: keep a part of the training data's features beside a model."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from rainwatchd.hearing.log_mel import MelSpec
from rainwatchd.hearing.model_file import read_model
from rainwatchd.hearing.model_spec import ModelSpec
from training.adaptation.anchor import Anchor, anchor_of
from training.adaptation.features import FeatureReader
from training.adaptation.heads import read_heads
from training.dataset import DataError
from training.soundscape.examples import SHARD, Examples
from training.soundscape.mixer import Recipe
from training.soundscape.remix import Remix

WINDOWS = 4000
"""Some 5 MB of a model with two heads, half of that with one."""

_SEED = 23


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("model", type=Path, help="ONNX file that the anchor is for")
    parser.add_argument(
        "--examples",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="what `train` has mixed: its folder of examples, or one mixing in it",
    )
    parser.add_argument("--windows", type=int, default=WINDOWS)
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: beside the model")


def command(options: argparse.Namespace) -> None:
    """Draw windows as training does, have the model's trunk hear them, keep its features."""
    spec = read_model(options.model).spec
    heads = read_heads(options.model, spec.labels)
    examples, recipe = _examples(options.examples, spec, options.windows)
    remix = Remix(examples, spec.mel, recipe, spec.window_frames)
    rng = np.random.default_rng(_SEED)
    chosen = rng.permutation(len(remix))[: options.windows]
    reader = FeatureReader(heads, spec)
    features, labels = [], []
    for first in range(0, len(chosen), 64):
        log_mel, target = remix.batch(chosen[first : first + 64], rng)
        features += [reader.features(window.astype(np.float32))[0] for window in log_mel]
        labels += target.argmax(axis=1).tolist()
    out = options.out or anchor_of(options.model)
    anchor = Anchor(np.stack(features), np.array(labels), heads.trunk)
    anchor.write(out)
    print(f"anchor: {len(labels)} windows, {out.stat().st_size / 1e6:.1f} MB, {out}")


def _examples(folder: Path, spec: ModelSpec, count: int) -> tuple[Examples, Recipe]:
    """Load as many shards as are wanted of what the model was trained on."""
    for settings in [folder / "settings.json", *sorted(folder.glob("*/settings.json"))]:
        if not settings.is_file():
            continue
        known = json.loads(settings.read_text())
        # Another mixing may be of recordings whose licence asks for more than the model's.
        its_own = known["data"] == spec.training_data.get("digest")
        shards = sorted(settings.parent.glob("[0-9]*[0-9].npz"))[: -(-count // SHARD)]
        if (
            (its_own or settings.parent == folder)
            and MelSpec(**known["mel"]) == spec.mel
            and shards
        ):
            parts = [np.load(shard) for shard in shards]
            arrays: list[Any] = [
                np.concatenate([part[field.name] for part in parts]) for field in fields(Examples)
            ]
            return Examples(*arrays), _recipe(known["recipe"])
    raise DataError(
        f"{folder}: nothing mixed of the model's own recordings; train it first, or name the "
        "folder of one mixing that may serve"
    )


def _recipe(known: dict[str, Any]) -> Recipe:
    names = {field.name for field in fields(Recipe)}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in known.items()
        if name in names
    }
    return Recipe(**values)
