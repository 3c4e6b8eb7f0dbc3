"""Command-line options that several commands share."""

from __future__ import annotations

import argparse
import shutil
import urllib.request
from pathlib import Path

from training.dataset import LICENCES, DataError
from training.evaluation.suite import EVENTS
from training.evaluation.tune import MACHINES
from training.soundscape.library import default_data

_IMAGENET = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
_IMAGENET_URL = (
    f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{_IMAGENET}"
)
_PATIENCE_S = 20.0


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``: the labelled recordings."""
    parser.add_argument(
        "--data",
        type=Path,
        default=default_data(),
        help="manifest, or folder: class folders (chainsaw/, engine/, storm/, background/, "
        "other/), ESC-50 or UrbanSound8K; default: %(default)s",
    )


def add_licence(parser: argparse.ArgumentParser) -> None:
    """Add ``--licence``: what the model is to be used for, which says what may train it."""
    parser.add_argument(
        "--licence",
        choices=sorted(LICENCES),
        default="non-commercial",
        help="what the model may be used for; open leaves out recordings that are for "
        "non-commercial use (use: train-nc); default: %(default)s",
    )


def add_weights(parser: argparse.ArgumentParser) -> None:
    """Add ``--weights``: what a network starts from."""
    parser.add_argument(
        "--weights",
        type=Path,
        default=default_weights(),
        help="MobileNetV2's ImageNet weights without the top; default: those beside the "
        "recordings, else Keras' own, downloaded once (9 MB)",
    )


def add_streams(parser: argparse.ArgumentParser, folds: str) -> None:
    """Add what test streams are made of; `folds` says what models of a cross-validation do."""
    parser.add_argument("--folds", type=Path, nargs="+", default=[], metavar="MODEL", help=folds)
    add_data(parser)
    parser.add_argument(
        "--events",
        type=int,
        default=EVENTS,
        help="chainsaws at each ratio, more of engines; default: %(default)s",
    )
    parser.add_argument(
        "--scores",
        type=Path,
        default=Path("build") / "scores",
        help="folder where scores are kept by model and stream, so that a second run takes "
        "seconds; delete it when the code that makes streams has changed",
    )


def add_allowances(parser: argparse.ArgumentParser) -> None:
    """Add what rules may raise for nothing where they are chosen."""
    parser.add_argument(
        "--false-alarms", type=int, default=0, help="allowed for each class in all of the land"
    )
    parser.add_argument(
        "--machines",
        type=float,
        default=MACHINES,
        help="share of other machines' recordings that may raise an alert; default: %(default)s",
    )


def default_weights() -> Path | None:
    """Return the ImageNet weights beside the recordings; None where there are none."""
    folder = default_data().parents[1] / "weights"
    return next(iter(sorted(folder.glob("mobilenet_v2*.h5"))), None)


def imagenet_weights(given: Path | None) -> Path:
    """Return a file of ImageNet weights, fetched where there is none; `DataError` in seconds.

    What is downloaded lies where Keras looks for it.
    """
    if given is not None:
        if not given.is_file():
            raise DataError(f"--weights {given}: no such file; leave it out to download them")
        return given
    kept = Path.home() / ".keras" / "models" / _IMAGENET
    if not kept.is_file():
        part = kept.with_suffix(".part")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with (
                urllib.request.urlopen(_IMAGENET_URL, timeout=_PATIENCE_S) as source,
                part.open("wb") as file,
            ):
                shutil.copyfileobj(source, file)
            part.rename(kept)
        except OSError as error:
            raise DataError(
                f"MobileNetV2's ImageNet weights can't be downloaded ({error}); fetch "
                f"{_IMAGENET_URL} elsewhere and name the file by --weights"
            ) from error
    return kept
