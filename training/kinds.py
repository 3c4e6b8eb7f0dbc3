"""Kinds of sound, finer than the classes that are reported: a helicopter is not a bird.

A network that must also tell the kinds apart learns more of each than that it is no engine; the
kinds' scores are added up to classes before the model leaves the training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rainwatchd.features import Floats
from training.dataset import Clip

LABELS = ("background", "chainsaw", "engine", "storm")
"""The classes of a model's scores."""

_FEWEST = 5
"""Recordings that make a kind of its own; what is rarer is learned as its class alone."""


@dataclass(frozen=True)
class Kinds:
    """The kinds in the order of a network's outputs, each ``class`` or ``class/sub_label``."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of kinds."""
        return len(self.names)

    @property
    def classes(self) -> tuple[int, ...]:
        """Of each kind, the index in `LABELS`; what is ``other`` must raise no alert."""
        return tuple(_class(name) for name in self.names)

    def of(self, clip: Clip) -> int:
        """Return the kind of a clip: by its whole sub-label, its first word, or its class."""
        return next(self.names.index(name) for name in _names(clip) if name in self.names)

    def plain(self, label: str) -> int:
        """Return the kind of what is of class `label` and no more is known of."""
        return self.names.index(label)

    def target(self, kind: int, bed: int, snr_db: float) -> Floats:
        """Return what to learn of a sound at `snr_db` over a `bed`, shape ``(kinds,)``, sum 1.

        Below -10 dB even a listener doubts; a saw or an engine at -18 dB is believed for 60 %.
        """
        belief = min(1.0, max(0.6, 1.0 + (snr_db + 10.0) / 20.0))
        wanted = np.zeros(len(self.names), np.float32)
        wanted[bed] = 1.0 - belief
        wanted[kind] += belief
        return wanted

    def merged(self, of_kinds: Floats) -> Floats:
        """Add up kinds to classes: ``(n, kinds)`` to ``(n, classes)``."""
        return of_kinds @ self.matrix

    @property
    def matrix(self) -> Floats:
        """Which kind is of which class: 0 or 1, shape ``(kinds, classes)``."""
        return np.eye(len(LABELS), dtype=np.float32)[list(self.classes)]


def kinds_of(clips: Sequence[Clip]) -> Kinds:
    """Return the classes themselves, and each kind that `clips` hold enough recordings of."""
    whole = _frequent({clip.recording: _names(clip)[0] for clip in clips})
    rest = [clip for clip in clips if _names(clip)[0] not in whole]
    first_words = _frequent({clip.recording: _names(clip)[1] for clip in rest})
    return Kinds((*LABELS, "other", *sorted(whole | first_words)))


def _frequent(name_of: Mapping[str, str]) -> set[str]:
    return {name for name, count in Counter(name_of.values()).items() if count >= _FEWEST}


def _names(clip: Clip) -> tuple[str, ...]:
    whole = f"{clip.label}/{clip.sub_label}"
    return whole, whole.split("_", maxsplit=1)[0], clip.label


def _class(name: str) -> int:
    label = name.split("/", maxsplit=1)[0]
    return LABELS.index(label) if label in LABELS else LABELS.index("background")
