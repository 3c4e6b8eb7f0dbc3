"""``python -m training evaluate``: how good a model is, said in one card."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from rainwatchd.hearing.model_file import read_model
from rainwatchd.whole import write_whole
from training.commands.options import add_allowances, add_streams
from training.commands.tune import embed
from training.dataset import Clip, DataError, read
from training.evaluation import tables
from training.evaluation.card import Card
from training.evaluation.duel import duel
from training.evaluation.figures import draw
from training.evaluation.intervals import Share
from training.evaluation.quantised import compare_twins
from training.evaluation.reach import (
    MACHINES,
    Place,
    mean_spectrum,
    of_kind,
    reach_streams,
    recall_at,
)
from training.evaluation.short_clips import choose_thresholds
from training.evaluation.store import Store
from training.evaluation.subjects import heard_uses, subjects
from training.evaluation.suite import Subject, Suite, run
from training.evaluation.tune import cross_fit, recall_by_threshold
from training.evaluation.verdict import Row, Rules, judge, row

_log = logging.getLogger(__name__)

_LEAST_PARTS = 2
"""One for choosing rules and one for measuring them."""

_REACH_SHARE = 1 / 3
"""Events of each machine at each place over those of chainsaws at each ratio."""
_REACH_SEED = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("model", type=Path, help="ONNX file that the card is about")
    add_streams(
        parser,
        "models of a cross-validation, each with a JSON of its held-out recordings beside it; "
        "they are measured, so that all recordings count, each under rules chosen on the "
        "recordings of the others",
    )
    add_allowances(parser)
    parser.add_argument("--out", type=Path, help="the card; default: beside the model, .md")
    parser.add_argument(
        "--beside",
        type=Path,
        nargs="+",
        default=[],
        metavar="JSON",
        help="rows to compare with: of `baselines`, or what `evaluate` wrote of another model",
    )
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        default=[],
        metavar="MODEL",
        help="models of another cross-validation that hold the same recordings out: the card says "
        "who finds more of the same events, and whether that may be chance",
    )
    parser.add_argument("--notes", type=Path, help="Markdown to put into the card as it is")
    parser.add_argument("--name", default="rainwatchd", help="the model's name in the table")
    parser.add_argument(
        "--twins", action="store_true", help="measure what each NAME-fp32.onnx beside it finds too"
    )


def command(options: argparse.Namespace) -> None:
    """Measure, draw, and write the card last, so that a card stands for finished work."""
    spec = read_model(options.model).spec
    clips = read(options.data)
    beside = [other for path in options.beside for other in read_rows(path)]
    notes = options.notes.read_text(encoding="utf-8") if options.notes else ""
    models = options.folds or [options.model]
    tested = subjects(models, clips, least=_LEAST_PARTS if options.folds else 1)
    suite = run(tested, options.events, scores=options.scores)
    rules, thresholds, setting = [spec.decision], [spec.clip_thresholds], "rules as shipped"
    if options.folds:
        rules = cross_fit(suite, options.false_alarms, options.machines)
        thresholds = [
            choose_thresholds([part.clips for part in suite.without(n).parts], spec.labels)
            for n in range(len(tested))
        ]
        setting = (
            f"{len(models)} models that held out what they are tested on; the rules for each of "
            f"{len(tested)} parts of the recordings were chosen on the others, for at most "
            f"{options.false_alarms} false alarms of each class in their land and "
            f"{options.machines:.0%} of other machines"
        )
    verdict = judge(options.name, suite, rules, thresholds, setting)
    rows = [verdict.row]
    if options.folds:
        own = [spec.decision] * len(tested)
        chosen = "the rules that ship, chosen on these very recordings"
        rows.append(row(f"{options.name}, rules as shipped", suite, own, chosen))
        if options.false_alarms:
            strict = cross_fit(suite, 0, options.machines)
            none = "the same, for no false alarm in their land"
            rows.append(row(f"{options.name}, strict", suite, strict, none))
    against = _against(options, suite, rules, clips) if options.against else ""
    reach = _reach(tested, clips, rules, events=options.events, scores=options.scores)
    quantised = compare_twins(tested, suite, rules, options.scores) if options.twins else ""
    embed(
        options.model,
        msgspec.structs.replace(
            spec,
            metrics=spec.metrics | verdict.metrics,
            recall_by_threshold=recall_by_threshold(suite, spec.decision),
        ),
    )
    card = options.out or options.model.with_suffix(".md")
    figures = draw(verdict, beside, reach, card.with_suffix(""))
    write_rows(card.with_suffix(".rows.json"), [verdict.row])
    used = [clip for clip in clips if clip.use in heard_uses(options.model)]
    rows += beside
    made = Card(
        read_model(options.model),
        verdict,
        rows[1:],
        reach,
        figures,
        used,
        notes,
        quantised,
        against,
    )
    made.write(card)
    print(tables.short([verdict.row, *beside]))
    print(f"card: {card}")


def read_rows(path: Path) -> list[Row]:
    """Read a comparison that `write_rows` wrote."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Row])
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{path}: not a comparison ({error}); make it anew") from error


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows that other cards can stand beside."""
    text = msgspec.json.format(msgspec.json.encode(rows), indent=1).decode()
    write_whole(path, (text + "\n").encode())


def _against(
    options: argparse.Namespace, suite: Suite, rules: Sequence[Rules], clips: Sequence[Clip]
) -> str:
    tested = subjects(options.against, clips, least=_LEAST_PARTS)
    theirs = run(tested, options.events, scores=options.scores)
    their_rules = cross_fit(theirs, options.false_alarms, options.machines)
    licence = read_model(options.against[0]).spec.licence or "no stated licence"
    return tables.filled(
        f"""Share of the same events, at all ratios, that it finds more than the model under
        {licence}, each under rules chosen alike, with the interval of the difference:
        {duel(suite, theirs, rules, their_rules)}."""
    )


def _reach(
    tested: Sequence[Subject],
    clips: Sequence[Clip],
    rules: Sequence[Rules],
    *,
    events: int,
    scores: Path | None,
) -> Mapping[Place, Share]:
    rate_hz = tested[0].listener.rate_hz
    spectra = {
        machine.name: mean_spectrum(heard, rate_hz)
        for machine in MACHINES
        if (heard := of_kind(clips, machine))
    }
    own = max(1, round(events * _REACH_SHARE / len(tested)))
    groups = []
    for number, subject in enumerate(tested):
        _log.info("%s: range", subject.listener.name)
        store = Store(scores, subject.listener, subject.digest)
        streams = reach_streams(
            subject.clips, spectra, rate_hz=rate_hz, events=own, seed=_REACH_SEED + number
        )
        made = store.scored(list(streams.values()))
        groups.append(dict(zip(streams, made, strict=True)))
    return recall_at(groups, rules)
