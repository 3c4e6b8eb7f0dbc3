"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.evaluation.suite import EVENTS
from training.soundscape.library import default_data


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``: the labelled recordings."""
    parser.add_argument("--data", type=Path, default=default_data(), help="manifest or folder")


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add ``--weights``: what a network starts from."""
    parser.add_argument(
        "--weights",
        type=Path,
        default=default_weights(),
        help="MobileNetV2's ImageNet weights without the top; default: those beside the "
        "recordings, else Keras' own download",
    )


def add_streams(parser: argparse.ArgumentParser, folds: str) -> None:
    """Add what test streams are made of; `folds` says what models of a cross-validation do."""
    parser.add_argument("--folds", type=Path, nargs="+", default=[], metavar="MODEL", help=folds)
    add_data(parser)
    parser.add_argument("--events", type=int, default=EVENTS, help="events at each ratio")


def default_weights() -> Path | None:
    """Return the ImageNet weights beside the recordings; None where there are none."""
    folder = default_data().parents[1] / "weights"
    return next(iter(sorted(folder.glob("mobilenet_v2*.h5"))), None)
