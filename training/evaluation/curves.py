"""Figures of merit of window scores: ROC and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.scoring import Scored

Values = NDArray[np.float64]

_BINS = 10


@dataclass(frozen=True)
class Roc:
    """Rates at every threshold, from the strictest to the most lenient."""

    false_positive: Values
    true_positive: Values

    @property
    def area(self) -> float:
        """Area under the curve."""
        return float(np.trapezoid(self.true_positive, self.false_positive))


@dataclass(frozen=True)
class Calibration:
    """How often windows that were scored p are right; bins without windows are left out."""

    confidence: Values
    accuracy: Values
    count: Values

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al. 2015): mean |accuracy - confidence|."""
        weight = self.count / self.count.sum()
        return float((weight * np.abs(self.accuracy - self.confidence)).sum())


def targets(scored: Scored) -> NDArray[np.int64]:
    """Index of the label that stands in the middle of each window; background elsewhere."""
    _, middle_s = _table(scored)
    target = np.full(middle_s.size, _column(scored.labels, "background"))
    for truth in scored.stream.truth:
        inside = (middle_s >= truth.onset_s) & (middle_s < truth.offset_s)
        target[inside] = _column(scored.labels, truth.label)
    return target


def roc(label: str, groups: Sequence[Scored]) -> Roc:
    """Return the ROC of one label's score against all other windows of `groups`."""
    column = groups[0].labels.index(label)
    score = np.concatenate([_table(scored)[0][:, column] for scored in groups])
    positive = np.concatenate([targets(scored) == column for scored in groups])
    order = np.argsort(-score, kind="stable")
    score, positive = score[order], positive[order]
    # One point for each distinct score: ties cannot be told apart by any threshold.
    last = np.flatnonzero(np.append(np.diff(score) != 0, True))
    hits = np.cumsum(positive)[last]
    misses = last + 1 - hits
    return Roc(
        np.concatenate(([0.0], misses / max(1, int((~positive).sum())))),
        np.concatenate(([0.0], hits / max(1, int(positive.sum())))),
    )


def calibration(groups: Sequence[Scored]) -> Calibration:
    """Compare each window's highest score with whether its label is right, in ten bins."""
    scores = np.concatenate([_table(scored)[0] for scored in groups])
    right = scores.argmax(axis=1) == np.concatenate([targets(scored) for scored in groups])
    confidence = scores.max(axis=1)
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    filled = np.unique(bins)
    return Calibration(
        np.array([confidence[bins == number].mean() for number in filled]),
        np.array([right[bins == number].mean() for number in filled]),
        np.array([(bins == number).sum() for number in filled], float),
    )


def _table(scored: Scored) -> tuple[Values, Values]:
    """Scores, shape ``(windows, labels)``, and each window's middle in seconds."""
    scores = np.array([window.scores for window in scored.windows], float)
    middle = np.array([(window.start + window.end) / 2 for window in scored.windows])
    return scores, middle / scored.stream.rate_hz


def _column(labels: tuple[str, ...], label: str) -> int:
    return labels.index(label) if label in labels else labels.index("background")
