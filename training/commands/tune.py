"""``python -m training tune``: choose the decision rules on validation recordings."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import msgspec

from rainwatchd.hearing.model_file import read_model
from rainwatchd.hearing.model_spec import METADATA_KEY, DecisionRule, encode
from training.commands.options import add_streams
from training.dataset import read
from training.evaluation.suite import run, subjects
from training.evaluation.tune import tune_all


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="ONNX files that get the rules"
    )
    add_streams(
        parser,
        "models of a cross-validation whose validation recordings are used, each with its JSON "
        "beside it; default: the first model itself",
    )
    parser.add_argument(
        "--false-alarms", type=int, default=1, help="allowed for each class in all of the ambience"
    )


def command(options: argparse.Namespace) -> None:
    """Choose the rules and put them into the model file."""
    for model in options.models:
        read_model(model)
    models = options.folds or options.models[:1]
    suite = run(subjects(models, read(options.data), "validation"), options.events, clips=False)
    choices = tune_all(suite, options.false_alarms)
    for label, choice in choices.items():
        rule = choice.rule
        print(
            f"{label}: mean over {rule.span_s:g} s, {rule.min_positive_s:g} of {rule.within_s:g} s "
            f"above {rule.on_threshold:.3f}: recall {choice.recall:.2f}, {choice.false_alarms} "
            f"false alarms in {suite.ambience_h:.1f} h, latency {choice.latency_s:.1f} s"
        )
    for model in options.models:
        embed(model, {label: choice.rule for label, choice in choices.items()})


def embed(path: Path, rules: Mapping[str, DecisionRule]) -> None:
    """Replace the decision rules in a model file's metadata, by rename."""
    import onnx

    spec = msgspec.structs.replace(read_model(path).spec, decision=dict(rules))
    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = encode(spec)
    part = path.with_name(f".{path.name}.part")
    onnx.save(model, part)
    part.replace(path)
