"""What one run of training may hear, and what it must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.dataset.clip import LICENCES, Clip, DataError, publishable
from training.dataset.screen import screened
from training.dataset.split import folds, split_by_recording

SEED = 1
"""Of every division and drawing of a run: the same recordings are held out under both licences."""

_OWN_SHARE = 0.15


@dataclass(frozen=True)
class Division:
    """What a run may hear, and what it must not."""

    usable: Sequence[Clip]
    """Everything that the licence allows; what is mixed."""
    training: Sequence[Clip]
    validation: Sequence[Clip]
    """What loss and accuracy are measured on."""
    held_out: Sequence[Clip]


def divide(clips: Sequence[Clip], licence: str, fold: int | None, count: int) -> Division:
    """Divide what may train a model under `licence`; held-out recordings are never used.

    They are drawn from all that may train any model, whatever the licence asked for, so that
    models under both licences are measured on the same recordings. Without a fold nothing is held
    out and validation repeats a part of the training clips: it then shows that the run is sound,
    not how good it is.
    """
    all_uses = publishable(clips, "non-commercial")
    usable = screened(publishable(all_uses, licence))
    if not usable:
        allowed = ", ".join(LICENCES[licence][1])
        raise DataError(
            f"no recording may train a model under --licence {licence}: their use must be "
            f"{allowed}, or the licence another"
        )
    if fold is None:
        shares = {"training": 1.0 - _OWN_SHARE, "validation": _OWN_SHARE}
        return Division(usable, usable, split_by_recording(usable, shares, SEED)["validation"], [])
    if not 1 <= fold <= count:
        raise DataError(f"--fold is {fold}; allowed: 1 to {count} (--parts)")
    rest, held_out = folds(all_uses, count, SEED)[fold - 1]
    return Division(usable, screened(publishable(rest, licence)), held_out, held_out)
