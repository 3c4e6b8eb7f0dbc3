"""Fitting the heads again: a site's windows against what the model must not forget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.adaptation.anchor import Anchor
from training.adaptation.heads import Heads, Values, pool, softmax

_STEPS = 150
_RATE = 0.01
_MOMENTS = (0.9, 0.999)
"""Adam (Kingma and Ba 2015) over all windows at once."""

_KEEP = 0.05
"""Penalty on the distance to the old weights, in features of unit variance."""

_MARGIN = 0.02
"""Of a class's windows on the anchor, more than before are to be found on the part that chooses:
as much falls by chance on the part that proves."""

_LONGEST_SHIFT = 4.0
"""Of a class's logit, to find as much as before."""

Weights = list[tuple[Values, Values]]


@dataclass(frozen=True)
class Windows:
    """A site's labelled windows."""

    features: Values
    """Shape ``(n, heads, features)``."""
    label: NDArray[np.int64]
    weight: Values
    """How much each counts; sums to 1, each recording as much as any other."""


def logits_of(features: Values, weights: Weights) -> list[Values]:
    """Return each head's logits of features ``(n, heads, features)``."""
    return [features[:, place] @ weight + bias for place, (weight, bias) in enumerate(weights)]


def fit(heads: Heads, anchor: Anchor, site: Windows, strength: float) -> Weights:
    """Return new weights: cross-entropy on the site's labels, `strength` times as heavy as the
    old scores on the anchor, which stay the target there."""
    old: Weights = [(head.weight, head.bias) for head in heads.heads]
    fitted = anchor.part("fit")
    scale = [_widths(fitted.features[:, place])[:, np.newaxis] for place in range(len(old))]
    features = np.concatenate([fitted.features, site.features]).astype(np.float32)
    target = np.concatenate(
        [
            heads.scores(logits_of(fitted.features, old)),
            np.eye(heads.merge.shape[1])[site.label],
        ]
    )
    share = np.concatenate(
        [np.full(fitted.label.size, 1.0 / fitted.label.size), strength * site.weight]
    )
    inputs: list[Any] = [
        np.ascontiguousarray(features[:, place] / scale[place].T.astype(np.float32))
        for place in range(len(old))
    ]
    before = logits_of(features.astype(np.float64), old)
    moved = [_Moved(weight, bias) for weight, bias in old]
    for step in range(1, _STEPS + 1):
        logits = [
            base + rows @ change.weight.astype(np.float32) + change.bias
            for base, rows, change in zip(before, inputs, moved, strict=True)
        ]
        slopes = _slopes(heads, logits, target, share)
        for rows, slope, change in zip(inputs, slopes, moved, strict=True):
            pull = 2.0 * _KEEP * change.weight
            change.step(step, rows.T @ slope.astype(np.float32) + pull, slope.sum(axis=0))
    return [
        (weight + change.weight / width, bias + change.bias)
        for (weight, bias), change, width in zip(old, moved, scale, strict=True)
    ]


def _widths(features: Values) -> Values:
    """Return each feature's deviation, shape ``(features,)``.

    One that the anchor hardly has gets that of a common one: divided by its own, the least move
    would be a weight of thousands, and the first sound that has it would score 1.
    """
    deviations: Values = features.std(axis=0)
    common = float(np.median(deviations[deviations > 0.0])) if deviations.any() else 1.0
    widths: Values = np.maximum(deviations, common)
    return widths


class _Moved:
    """How far a head has moved from its old weights, in features of unit variance."""

    def __init__(self, weight: Values, bias: Values) -> None:
        self._parts = [np.zeros_like(weight), np.zeros_like(bias)]
        self._first = [np.zeros_like(part) for part in self._parts]
        self._second = [np.zeros_like(part) for part in self._parts]

    @property
    def weight(self) -> Values:
        return self._parts[0]

    @property
    def bias(self) -> Values:
        return self._parts[1]

    def step(self, number: int, *slopes: Values) -> None:
        """Go one step down; `number` counts from 1."""
        decays = [1.0 - moment**number for moment in _MOMENTS]
        for place, slope in enumerate(slopes):
            first, second = self._first[place], self._second[place]
            first += (1.0 - _MOMENTS[0]) * (slope - first)
            second += (1.0 - _MOMENTS[1]) * (slope**2 - second)
            size = np.sqrt(second / decays[1]) + 1e-8
            self._parts[place] -= _RATE * first / decays[0] / size


def _slopes(heads: Heads, logits: Sequence[Values], target: Values, share: Values) -> list[Values]:
    """Return the loss's derivative by each head's logits, ``(n, classes)``.

    With p a head's softmax, m its merged scores and s the pooled ones, the cross-entropy against
    t has the derivative (s - t)_l p_k / (heads m_l) by the logit k that counts for label l.
    """
    shares = [softmax(values) for values in logits]
    merged = [values @ heads.merge for values in shares]
    off = (pool(merged) - target) * share[:, np.newaxis] / len(logits)
    return [
        (off / np.maximum(whole, 1e-12)) @ heads.merge.T * part
        for part, whole in zip(shares, merged, strict=True)
    ]


def recall(
    heads: Heads, weights: Weights, anchor: Anchor, thresholds: dict[int, float]
) -> dict[int, tuple[int, int]]:
    """Return for each class how many of its windows reach its threshold, and of how many."""
    scores = heads.scores(logits_of(anchor.features, weights))
    return {
        place: (
            int(((anchor.label == place) & (scores[:, place] >= on)).sum()),
            int((anchor.label == place).sum()),
        )
        for place, on in thresholds.items()
    }


def restored(
    heads: Heads, weights: Weights, anchor: Anchor, thresholds: dict[int, float]
) -> Weights:
    """Return the weights with the bias of each class that is found less often than before raised
    until it is found as often, and `_MARGIN` more.

    On the anchor's part that chooses, at the old thresholds; a bias is never lowered.
    """
    chosen = anchor.part("choose")
    old: Weights = [(head.weight, head.bias) for head in heads.heads]
    for place, on in thresholds.items():
        found, count = recall(heads, old, chosen, {place: on})[place]
        if recall(heads, weights, chosen, {place: on})[place][0] >= found:
            continue
        wanted = min(count, found + math.ceil(_MARGIN * count))
        low, high = 0.0, _LONGEST_SHIFT
        for _ in range(8):
            middle = (low + high) / 2
            shifted = _shifted(heads, weights, place, middle)
            enough = recall(heads, shifted, chosen, {place: on})[place][0] >= wanted
            low, high = (low, middle) if enough else (middle, high)
        weights = _shifted(heads, weights, place, high)
    return weights


def _shifted(heads: Heads, weights: Weights, place: int, shift: float) -> Weights:
    return [(weight, bias + shift * heads.merge[:, place]) for weight, bias in weights]
