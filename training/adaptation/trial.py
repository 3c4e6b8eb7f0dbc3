"""Whether adapted heads may serve: what they do with what they have not learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
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
"""Recordings that must raise no alert: fewer say nothing of what was held out. They are of
`PARTS` occasions at least."""

_MAY_FALL = 0.01
"""Recall on the anchor falls by less than this, or by a single window."""

_MAY_MISS = 0.1
"""Of the real sounds over held-out clips at most this share more is missed, or one."""

_CLIPS_SHARE = 0.6
"""How heavy the clips are; the mixes over them are the rest, each class as heavy as any other."""

_AROUND_S = 4.0
"""Beside a sound that was judged, this much is taken with it where nothing was there."""


Score = Callable[[Values], Values]
"""Makes scores ``(n, labels)`` of features."""


@dataclass(frozen=True)
class Example:
    """A labelled recording as the model's trunk hears it."""

    labelled: Labelled
    heard: Heard
    over: tuple[Example, ...] = ()
    """Real sounds laid over it."""

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
    over: int = 0
    """Real sounds over quiet recordings that weren't taken for their class without them."""
    over_found: int = 0
    """Of these, with an alert of their class."""


@dataclass(frozen=True)
class Trial:
    """What adapted heads do, beside what the old ones did."""

    weights: Weights
    before: Held
    after: Held
    recall_before: Mapping[str, tuple[int, int]]
    recall_after: Mapping[str, tuple[int, int]]

    @property
    def pointless(self) -> bool:
        """Whether the old heads were silent on all that must raise no alert."""
        return self.before.windows == 0

    @property
    def objections(self) -> list[str]:
        """Why these heads must not serve; empty if they may."""
        said = []
        if not self.after.windows < self.before.windows or self.after.alarms > self.before.alarms:
            said.append("false alarms on held-out recordings do not fall")
        if self.after.found < self.before.found:
            said.append("fewer of the held-out real sounds are found")
        missed = self.before.over_found - self.after.over_found
        if missed > 1 and missed > _MAY_MISS * self.before.over:
            said.append("fewer real sounds over the held-out recordings are found")
        for label, (found, count) in self.recall_before.items():
            lost = found - self.recall_after[label][0]
            if lost > 1 and lost >= _MAY_FALL * count:
                said.append(
                    f"recall of {label} on the anchor falls by {100 * lost / count:.1f} points "
                    f"({lost} of {count} windows; a single one may be lost, or less than "
                    f"{100 * _MAY_FALL:.0f} point)"
                )
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

    def scorer(weights: Weights) -> Score:
        return lambda features: heads.scores(logits_of(features, weights))

    before, after = Held(), Held()
    for held_out in divided(examples):
        new = fitted([example for example in examples if example not in held_out])
        for example in held_out:
            taken_for = _alerts(example.heard, scorer(old), spec)
            _count(example, scorer(old), spec, before, taken_for)
            _count(example, scorer(new), spec, after, taken_for)
    weights = fitted(examples)
    proof = anchor.part("prove")

    def recalls(tried: Weights) -> dict[str, tuple[int, int]]:
        found = recall(heads, tried, proof, thresholds)
        return {spec.labels[place]: counts for place, counts in found.items() if counts[1]}

    return Trial(weights, before, after, recalls(old), recalls(weights))


def divided(examples: Sequence[Example]) -> list[list[Example]]:
    """Deal the recordings out into `PARTS`, each kind evenly, those of one occasion together."""
    occasions: dict[str, list[Example]] = {}
    for example in sorted(examples, key=lambda one: (one.labelled.label, one.labelled.path)):
        occasions.setdefault(example.labelled.occasion, []).append(example)
    parts: list[list[Example]] = [[] for _ in range(PARTS)]
    # The largest first, so that the small ones fill up what is left uneven.
    for together in sorted(occasions.values(), key=len, reverse=True):
        counts = Counter(example.labelled.label for example in together)
        label = counts.most_common(1)[0][0]
        min(parts, key=lambda part: (_count_of(label, part), len(part))).extend(together)
    return [part for part in parts if part]


def _count_of(label: str, examples: Sequence[Example]) -> int:
    return sum(example.labelled.label == label for example in examples)


def windows_of(examples: Sequence[Example], spec: ModelSpec) -> Windows:
    """Return the labelled windows of recordings, each recording as heavy as any other."""
    classes: dict[str, list[Example]] = {}
    for mix in [mix for example in examples for mix in example.over]:
        classes.setdefault(mix.labelled.label, []).append(mix)
    share = _CLIPS_SHARE if classes else 1.0
    groups = [(examples, share)]
    groups += [(mixes, (1.0 - share) / len(classes)) for mixes in classes.values()]
    features, labels, weights = [], [], []
    for group, whole in groups:
        for example in group:
            chosen = example.chosen()
            count = int(chosen.sum())
            features.append(example.heard.features[chosen])
            labels.append(np.full(count, spec.labels.index(example.labelled.label)))
            weights.append(np.full(count, whole / (len(group) * count)))
    return Windows(np.concatenate(features), np.concatenate(labels), np.concatenate(weights))


def _count(
    example: Example, score: Score, spec: ModelSpec, held: Held, taken_for: Set[str]
) -> None:
    """Count into `held` what becomes of a recording.

    `taken_for` is what the old ones took it for: a saw over it would be found for nothing.
    """
    scores = score(example.heard.features)
    chosen = example.chosen()
    over = {
        label: scores[:, spec.labels.index(label)] >= rule.on_threshold
        for label, rule in spec.decision.items()
    }
    if example.quiet:
        held.quiet += 1
        held.windows += int((np.any(list(over.values()), axis=0) & chosen).sum())
        held.alarms += bool(_alerts(example.heard, score, spec))
        for mix in example.over:
            label = mix.labelled.label
            if label not in taken_for:
                held.over += 1
                held.over_found += label in _alerts(mix.heard, score, spec)
    elif example.labelled.label in over:
        held.real += 1
        held.found += bool((over[example.labelled.label] & chosen).any())


def _alerts(heard: Heard, score: Score, spec: ModelSpec) -> set[str]:
    """Return the classes of the alerts that a recording raises."""
    scores = score(heard.features)
    alerts = set()
    rate_hz = spec.sample_rate_hz
    decision = Decision(spec.labels, spec.decision, rate_hz, spec.step_s)
    for start_s, end_s, row in zip(heard.start_s, heard.end_s, scores.tolist(), strict=True):
        window = Window(round(start_s * rate_hz), round(end_s * rate_hz), tuple(row), 0.0)
        alerts |= {event.label for event in decision.push(window) if event.phase == "onset"}
    return alerts
