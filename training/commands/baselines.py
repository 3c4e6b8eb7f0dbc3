"""``python -m training baselines``: the article's pipeline and YAMNet on the same streams."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from training.baselines.article import ArticleListener
from training.baselines.compare import best_row
from training.baselines.yamnet import YamnetListener
from training.commands.options import add_streams, add_weights
from training.dataset import Clip, folds, publishable, read
from training.evaluation.card import replace_text
from training.evaluation.scoring import Listener
from training.evaluation.suite import Subject, held_out_clips, run
from training.evaluation.verdict import Row
from training.soundscape.library import default_data

_FOLDS = 3
_SEED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    yamnet = default_data().parents[1] / "weights" / "yamnet"
    parser.add_argument("out", type=Path, help="JSON to write, for `evaluate --baselines`")
    add_streams(parser, "models whose JSON says what is held out; default: three folds of the data")
    parser.add_argument("--yamnet", type=Path, default=yamnet, help="its folder")
    add_weights(parser)


def command(options: argparse.Namespace) -> None:
    """Score both and write their rows."""
    clips = read(options.data)
    parts = _parts(clips, options.folds)
    yamnet = YamnetListener(options.yamnet)
    rows = [_row(yamnet.name, [yamnet] * len(parts), parts, options.events)]
    trained = []
    for held in parts:
        names = {clip.recording for clip in held}
        seen = [clip for clip in publishable(clips) if clip.recording not in names]
        trained.append(ArticleListener(seen, options.weights, _SEED))
    rows.append(_row(ArticleListener.name, trained, parts, options.events))
    replace_text(options.out, msgspec.json.format(msgspec.json.encode(rows), indent=1).decode())


def _parts(clips: Sequence[Clip], models: Sequence[Path]) -> list[list[Clip]]:
    if models:
        return held_out_clips(models, clips)
    unseen = [clip for clip in clips if clip.use == "evaluate"]
    dealt = folds(publishable(clips), _FOLDS, _SEED)
    return [held + unseen[number::_FOLDS] for number, (_, held) in enumerate(dealt)]


def _row(
    name: str, listeners: Sequence[Listener], parts: Sequence[Sequence[Clip]], events: int
) -> Row:
    tested = [
        Subject(listener, tuple(part)) for listener, part in zip(listeners, parts, strict=True)
    ]
    return best_row(name, run(tested, events, clips=False))
