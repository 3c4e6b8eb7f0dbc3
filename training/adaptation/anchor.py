"""The anchor: features of what the model was trained on, so that a site's labels let it forget
nothing."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rainwatchd.errors import ModelError
from rainwatchd.whole import write_whole
from training.adaptation.heads import Values

SUFFIX = ".anchor.npz"

_PARTS = (0.4, 0.2)
"""Shares that are fitted and that choose; the rest proves."""


@dataclass(frozen=True)
class Anchor:
    """Windows of the training data."""

    features: Values
    """Shape ``(n, heads, features)``."""
    label: NDArray[np.int64]
    """Place of each window's class in the model's labels, shape ``(n,)``."""
    trunk: str
    """See `Heads.trunk`."""

    def part(self, name: str) -> Anchor:
        """Return ``fit``, ``choose`` or ``prove``: no window is in two of them."""
        count = self.label.size
        first, second = round(_PARTS[0] * count), round(sum(_PARTS) * count)
        rows = {
            "fit": slice(0, first),
            "choose": slice(first, second),
            "prove": slice(second, count),
        }[name]
        return Anchor(self.features[rows], self.label[rows], self.trunk)

    def write(self, path: Path) -> None:
        """Keep it in half precision; the file appears whole or not at all."""
        out = io.BytesIO()
        np.savez_compressed(
            out,
            features=self.features.astype(np.float16),
            label=self.label.astype(np.uint8),
            trunk=np.array(self.trunk),
        )
        write_whole(path, out.getvalue())


def read_anchor(path: Path, trunk: str) -> Anchor:
    """Read an anchor that belongs to a model's trunk; raise `ModelError` where it does not."""
    remake = "make it by `python -m training anchor`"
    try:
        with np.load(path, allow_pickle=False) as kept:
            anchor = Anchor(
                kept["features"].astype(np.float64),
                kept["label"].astype(np.int64),
                str(kept["trunk"]),
            )
    except FileNotFoundError as error:
        raise ModelError(f"{path}: the model's anchor is missing; {remake}") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise ModelError(f"{path}: the anchor is damaged ({error}); {remake}") from error
    if anchor.trunk != trunk:
        raise ModelError(f"{path}: this anchor belongs to another network; {remake}")
    return anchor


def anchor_of(model: Path) -> Path:
    """Return where a model's anchor lies: beside it, under its name."""
    return model.with_name(model.stem + SUFFIX)
