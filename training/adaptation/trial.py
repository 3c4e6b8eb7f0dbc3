"""Whether adapted heads may serve: what they do with what they have not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rainwatchd.decision.decision import Decision
from rainwatchd.hearing.model_spec import ModelSpec
from rainwatchd.hearing.window import Window
from training.adaptation.anchor import Anchor
from training.adaptation.features import Heard
from training.adaptation.fitting import Weights, Windows, fit, logits_of, recall, restored
from training.adaptation.heads import Heads, Values
from training.adaptation.labels import BACKGROUND, Labelled

PARTS = 3
"""Each is held out once while the others are learned."""

LEAST = 5
"""Recordings that must raise no alert: fewer say nothing of what was held out."""

_MAY_FALL = 0.01
"""Recall on the anchor falls by less than this, or by one window where there are few."""

_AROUND_S = 4.0
"""Beside a sound that was judged, this much is taken with it where nothing was there."""


@dataclass(frozen=True)
class Example:
    """A labelled recording as the model's trunk hears it."""

    labelled: Labelled
    heard: Heard

    @property
    def quiet(self) -> bool:
        """Whether it must raise no alert."""
        return self.labelled.label == BACKGROUND

    def chosen(self) -> np.ndarray:
        """Return which windows carry the label, shape ``(n,)`` of bool."""
        middle_s = (self.heard.start_s + self.heard.end_s) / 2
        if self.labelled.sound_s is None:
            return np.ones(middle_s.size, bool)
        first_s, last_s = self.labelled.sound_s
        around_s = _AROUND_S if self.quiet else 0.0
        inside = (middle_s >= first_s - around_s) & (middle_s <= last_s + around_s)
        if not inside.any():
            inside[np.abs(middle_s - (first_s + last_s) / 2).argmin()] = True
        return inside


@dataclass
class Held:
    """What happens on held-out recordings."""

    quiet: int = 0
    windows: int = 0
    """Of the quiet recordings, at or over the threshold of any class that alerts."""
    alarms: int = 0
    """Quiet recordings that raise an alert."""
    real: int = 0
    found: int = 0
    """Recordings of real sounds with a window of their class over its threshold."""


@dataclass(frozen=True)
class Trial:
    """What adapted heads do, beside what the old ones did."""

    weights: Weights
    before: Held
    after: Held
    recall_before: Mapping[str, tuple[int, int]]
    recall_after: Mapping[str, tuple[int, int]]

    @property
    def objections(self) -> list[str]:
        """Why these heads must not serve; empty if they may."""
        said = []
        if not self.after.windows < self.before.windows or self.after.alarms > self.before.alarms:
            said.append("false alarms on held-out recordings do not fall")
        if self.after.found < self.before.found:
            said.append("fewer of the held-out real sounds are found")
        for label, (found, count) in self.recall_before.items():
            lost = found - self.recall_after[label][0]
            if lost > 1 and lost >= _MAY_FALL * count:
                said.append(f"recall of {label} on the anchor falls by {lost / count:.3f}")
        return said


def attempt(
    heads: Heads, spec: ModelSpec, anchor: Anchor, examples: Sequence[Example], strength: float
) -> Trial:
    """Fit on parts of the examples and try the rest; then fit on all and try the anchor."""
    thresholds = {
        spec.labels.index(label): rule.on_threshold for label, rule in spec.decision.items()
    }
    old: Weights = [(head.weight, head.bias) for head in heads.heads]

    def fitted(chosen: Sequence[Example]) -> Weights:
        new = fit(heads, anchor, windows_of(chosen, spec), strength)
        return restored(heads, new, anchor, thresholds)

    before, after = Held(), Held()
    for held_out in divided(examples):
        new = fitted([example for example in examples if example not in held_out])
        for example in held_out:
            _count(example, heads, old, spec, before)
            _count(example, heads, new, spec, after)
    weights = fitted(examples)
    proof = anchor.part("prove")

    def recalls(tried: Weights) -> dict[str, tuple[int, int]]:
        found = recall(heads, tried, proof, thresholds)
        return {spec.labels[place]: counts for place, counts in found.items() if counts[1]}

    return Trial(weights, before, after, recalls(old), recalls(weights))


def divided(examples: Sequence[Example]) -> list[list[Example]]:
    """Deal the recordings out into `PARTS`, each kind evenly."""
    ordered = sorted(examples, key=lambda example: (example.labelled.label, example.labelled.path))
    return [part for first in range(PARTS) if (part := ordered[first::PARTS])]


def windows_of(examples: Sequence[Example], spec: ModelSpec) -> Windows:
    """Return the labelled windows of recordings, each recording as heavy as any other."""
    features, labels, weights = [], [], []
    for example in examples:
        chosen = example.chosen()
        count = int(chosen.sum())
        features.append(example.heard.features[chosen])
        labels.append(np.full(count, spec.labels.index(example.labelled.label)))
        weights.append(np.full(count, 1.0 / (len(examples) * count)))
    return Windows(np.concatenate(features), np.concatenate(labels), np.concatenate(weights))


def _count(example: Example, heads: Heads, weights: Weights, spec: ModelSpec, held: Held) -> None:
    scores = heads.scores(logits_of(example.heard.features, weights))
    chosen = example.chosen()
    over = {
        label: scores[:, spec.labels.index(label)] >= rule.on_threshold
        for label, rule in spec.decision.items()
    }
    if example.quiet:
        held.quiet += 1
        held.windows += int((np.any(list(over.values()), axis=0) & chosen).sum())
        held.alarms += _alerts(example.heard, scores, spec)
    elif example.labelled.label in over:
        held.real += 1
        held.found += bool((over[example.labelled.label] & chosen).any())


def _alerts(heard: Heard, scores: Values, spec: ModelSpec) -> bool:
    rate_hz = spec.sample_rate_hz
    decision = Decision(spec.labels, spec.decision, rate_hz, spec.step_s)
    for start_s, end_s, row in zip(heard.start_s, heard.end_s, scores.tolist(), strict=True):
        window = Window(round(start_s * rate_hz), round(end_s * rate_hz), tuple(row), 0.0)
        if any(event.phase == "onset" for event in decision.push(window)):
            return True
    return False
