"""``python -m training baselines``: the article's pipeline and YAMNet on the same streams."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from training.baselines.article import ArticleListener
from training.baselines.compare import best_row
from training.baselines.yamnet import YamnetListener
from training.commands.evaluate import write_rows
from training.commands.options import add_allowances, add_streams, add_weights
from training.dataset import Clip, folds, publishable, read
from training.evaluation.subjects import held_out_clips
from training.evaluation.suite import Subject, run
from training.evaluation.verdict import Row
from training.soundscape.library import default_data

_FOLDS = 3
_SEED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    yamnet = default_data().parents[1] / "weights" / "yamnet"
    parser.add_argument("out", type=Path, help="JSON to write, for `evaluate --beside`")
    add_streams(parser, "models whose JSON says what is held out; default: three folds of the data")
    add_allowances(parser)
    parser.add_argument("--yamnet", type=Path, default=yamnet, help="its folder")
    add_weights(parser)


def command(options: argparse.Namespace) -> None:
    """Score both and write their rows."""
    clips = read(options.data)
    parts = _parts(clips, options.folds)
    rows = []
    yamnet = YamnetListener(options.yamnet)
    digest = hashlib.sha256((options.yamnet / "yamnet.tflite").read_bytes()).hexdigest()
    tested = [Subject(yamnet, tuple(part), digest) for part in parts]
    rows.append(_row(yamnet.name, tested, options))
    # The article's takes four times as long: what stands is kept.
    write_rows(options.out, rows)
    tested = []
    for held in parts:
        names = {clip.recording for clip in held}
        seen = [clip for clip in publishable(clips) if clip.recording not in names]
        listener = ArticleListener(seen, options.weights, _SEED)
        tested.append(Subject(listener, tuple(held), listener.digest))
    rows.append(_row(ArticleListener.name, tested, options))
    write_rows(options.out, rows)


def _row(name: str, tested: Sequence[Subject], options: argparse.Namespace) -> Row:
    suite = run(tested, options.events, scores=options.scores, clips=False)
    return best_row(name, suite, options.false_alarms, options.machines)


def _parts(clips: Sequence[Clip], models: Sequence[Path]) -> list[list[Clip]]:
    if models:
        return held_out_clips(models, clips)
    unseen = [clip for clip in clips if clip.use == "evaluate"]
    names = sorted({clip.recording for clip in unseen})
    dealt = folds([clip for clip in clips if clip.use != "evaluate"], _FOLDS, _SEED)
    return [
        held + [clip for clip in unseen if clip.recording in set(names[number::_FOLDS])]
        for number, (_, held) in enumerate(dealt)
    ]
