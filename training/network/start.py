"""Where a network starts from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.dataset import DataError


@dataclass(frozen=True)
class Start:
    """Weights that a network starts from."""

    imagenet: Path | None = None
    """MobileNetV2's without the top; None: Keras' own."""
    trained: Mapping[float, Path] = field(default_factory=dict)
    """A whole network's, by its window in seconds, where one was trained before."""


def trained_before(before: Path, windows_s: Sequence[float]) -> Start:
    """Find what the run in folder `before`, or that weights file, has trained.

    Raises `DataError` where a window's weights are not there.
    """
    if before.is_dir():
        found: Mapping[float, Path] = {
            length: before / f"window-of-{length:g}-s" / "trained.weights.h5"
            for length in windows_s
        }
    else:
        found = {windows_s[-1]: before}
    missing = [path for path in found.values() if not path.is_file()]
    if missing:
        raise DataError(
            f"--from {before}: {missing[0]} isn't there; give the folder of a finished run with "
            "the same windows, or a weights file"
        )
    if len(found) < len(windows_s):
        raise DataError(f"--from {before}: one file for {len(windows_s)} windows; give a folder")
    return Start(trained=found)
