"""``python -m training evaluate``: how good a model is, said in one card."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import msgspec

from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import read_model
from training.baselines.compare import best_row
from training.commands.options import add_streams
from training.dataset import DataError, read
from training.evaluation.card import Card, replace_text
from training.evaluation.figures import draw
from training.evaluation.suite import run, subjects
from training.evaluation.verdict import Row, judge

_log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("model", type=Path, help="ONNX file that the card is about")
    add_streams(
        parser,
        "models of a cross-validation, each with a JSON of its held-out recordings beside it; "
        "they are measured, with the rules of the first model, so that all recordings count",
    )
    parser.add_argument("--out", type=Path, help="the card; default: beside the model, .md")
    parser.add_argument("--baselines", type=Path, help="JSON of `python -m training baselines`")
    parser.add_argument("--notes", type=Path, help="Markdown to put into the card as it is")
    parser.add_argument("--name", default="rainwatchd", help="the model's name in the table")


def command(options: argparse.Namespace) -> None:
    """Measure, draw, and write the card last, so that a card stands for finished work."""
    model = read_model(options.model)
    rules = Classifier(options.model).spec.decision
    clips = read(options.data)
    others = read_rows(options.baselines) if options.baselines else []
    notes = options.notes.read_text(encoding="utf-8") if options.notes else ""
    suite = run(subjects(options.folds or [options.model], clips), options.events)
    verdict = judge(options.name, suite, rules)
    own_best = best_row(f"{options.name}, best threshold here", suite)
    card = options.out or options.model.with_suffix(".md")
    figures = draw(verdict, others, card.with_suffix(""))
    figures_text = msgspec.json.format(msgspec.json.encode(verdict.metrics), indent=1).decode()
    replace_text(card.with_suffix(".metrics.json"), figures_text + "\n")
    Card(model, verdict, [own_best, *others], figures, clips, notes).write(card)
    print(table([verdict.row, own_best, *others]))
    print(f"card: {card}")


def read_rows(path: Path) -> list[Row]:
    """Read the comparison that ``python -m training baselines`` wrote."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Row])
    except (OSError, msgspec.DecodeError) as error:
        raise DataError(f"{path}: not a comparison ({error}); make it anew") from error


def table(rows: list[Row]) -> str:
    """Rows as aligned text for the terminal."""
    lines = []
    for entry in rows:
        recall = "  ".join(f"{name} {value:.2f}" for name, value in entry.recall.items())
        alarms = ", ".join(f"{count} {label}" for label, count in entry.false_alarms.items())
        lines.append(
            f"{entry.name}\n  {recall}\n  false alarms in {entry.ambience_h:.1f} h: {alarms}"
        )
    return "\n".join(lines)
