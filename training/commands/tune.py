"""``python -m training tune``: choose the decision rules on recordings that were held out."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from rainwatchd.hearing.model_file import read_model
from rainwatchd.hearing.model_spec import METADATA_KEY, ModelSpec, encode
from training.commands.options import add_allowances, add_streams
from training.dataset import DataError, read
from training.evaluation.short_clips import choose_thresholds
from training.evaluation.subjects import subjects
from training.evaluation.suite import LAND, Subject, run
from training.evaluation.tune import recall_by_threshold, tune_all

_log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="ONNX files that get the rules"
    )
    add_streams(
        parser,
        "models of a cross-validation whose held-out recordings are used, each with its JSON "
        "beside it; default: the first model itself, on its validation recordings",
    )
    add_allowances(parser)


def command(options: argparse.Namespace) -> None:
    """Choose the rules and put them into the model file, with what other thresholds would find."""
    for model in options.models:
        read_model(model)
    models = options.folds or options.models[:1]
    tested = subjects(models, read(options.data), tuning=True)
    _want_ambience(tested)
    suite = run(tested, options.events, scores=options.scores)
    choices = tune_all(suite, options.false_alarms, options.machines)
    for label, choice in choices.items():
        rule = choice.rule
        print(
            f"{label}: mean over {rule.span_s:g} s, {rule.min_positive_s:g} of {rule.within_s:g} s "
            f"above {rule.on_threshold:.3f}: recall {choice.recall:.2f}, {choice.false_alarms} "
            f"false alarms in {suite.land_h:.1f} h, {choice.machines:.1%} of other machines, "
            f"latency {choice.latency_s:.1f} s"
        )
    rules = {label: choice.rule for label, choice in choices.items()}
    labels = tested[0].listener.labels
    clips = choose_thresholds([part.clips for part in suite.parts], labels)
    for model in options.models:
        spec = read_model(model).spec
        embed(
            model,
            msgspec.structs.replace(
                spec,
                decision=rules,
                clip_thresholds=clips,
                recall_by_threshold=recall_by_threshold(suite, rules),
            ),
        )


def _want_ambience(tested: Sequence[Subject]) -> None:
    """Raise `DataError` where no false alarm can be counted; warn where hardly any can."""
    held_out = {clip.label for subject in tested for clip in subject.clips}
    if not held_out & set(LAND):
        raise DataError(
            f"no {' or '.join(LAND)} is held out: events are laid over ambience, and without it no "
            "threshold is safe; add recordings of the land"
        )
    if "background" not in held_out:
        _log.warning(
            "no background is held out: the rules are chosen on storms, and will raise false "
            "alarms on anything else; add ambience"
        )


def embed(path: Path, spec: ModelSpec) -> None:
    """Replace a model file's metadata, by rename; the same metadata leave the file as it is."""
    import onnx

    if read_model(path).spec == spec:
        return
    model = onnx.load(path)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = encode(spec)
    part = path.with_name(f".{path.name}.part")
    onnx.save(model, part)
    part.replace(path)
