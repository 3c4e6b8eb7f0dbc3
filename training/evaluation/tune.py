"""Choosing each class's decision rule on validation streams for a stated number of false alarms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import msgspec
import numpy as np
from numpy.typing import NDArray

from rainwatchd.hearing.model_spec import DecisionRule
from training.evaluation.matching import GRACE_S, LOGGING
from training.evaluation.scoring import Scored
from training.evaluation.suite import Suite

Values = NDArray[np.float64]

_SPANS_S = (1.0, 2.0, 3.0, 5.0, 8.0)
_M_OF_N_S = ((1.0, 1.0), (2.0, 3.0), (3.0, 5.0), (4.0, 8.0))
"""Time above the on-threshold within a span that starts an event."""

_LASTING_S = ((4.0, 8.0),)
"""What ships asks for four seconds of eight: a ranger minds two seconds less than an alarm for
nothing, and ambience never runs out of short sounds that a validation does not hold. Rainforest
Connection asks for four windows in a minute."""

_OFF_SHARE = 0.6
"""Off-threshold over on-threshold: wide enough that a fading engine is one event, not five."""

_PROMPT_S = 4.0
"""An alert within this time of the first sound is soon enough."""

_RECALL_PER_SECOND = 0.02
"""What each further second costs: of fifty events, one more may be missed for it."""

_LOWEST, _HIGHEST = 0.005, 0.999
"""On-thresholds that are tried."""

_ROUNDS = 24


_STORMS_PER_HOUR = 2.0
"""Nobody drives out for a storm, and surf or a waterfall may pass for rain now and then."""


@dataclass(frozen=True)
class Choice:
    """A rule and what it does on the streams that it was chosen on."""

    rule: DecisionRule
    recall: float
    """Share of the class's own events that its own alerts find."""
    false_alarms: int
    latency_s: float
    """Median, from the event's first sound to the alert; nan when none was found."""


def tune_all(suite: Suite, false_alarms: int = 1) -> dict[str, Choice]:
    """Choose a rule for each class that raises alerts and that the listener knows."""
    labels = suite.ambience[0].labels
    choices = {
        label: tune(label, suite.of(label), suite.ambience, false_alarms, _LASTING_S)
        for label in LOGGING
        if label in labels and suite.of(label)
    }
    if "storm" in labels:
        allowed = round(_STORMS_PER_HOUR * suite.ambience_h)
        choices["storm"] = tune("storm", suite.ambience, suite.ambience, allowed, _LASTING_S)
    return choices


def tune(
    label: str,
    events: Sequence[Scored],
    ambience: Sequence[Scored],
    false_alarms: int = 1,
    m_of_n_s: Sequence[tuple[float, float]] = _M_OF_N_S,
) -> Choice:
    """Return the rule that finds most events of `label` with at most `false_alarms` in `ambience`.

    For each way of smoothing, the on-threshold is put in the middle between the lowest that
    keeps the false alarms and the highest that finds as many events: what lies between makes no
    difference here, and the middle is safest elsewhere. `ambience` may hold stretches of `label`
    itself; alerts there are right.
    """
    choices = [
        _choose(
            [_Curve(scored, label, span_s, m_s, n_s) for scored in events],
            [_Curve(scored, label, span_s, m_s, n_s) for scored in ambience],
            false_alarms,
            DecisionRule(span_s=span_s, min_positive_s=m_s, within_s=n_s),
        )
        for span_s, (m_s, n_s) in product(_SPANS_S, m_of_n_s)
    ]
    return max(choices, key=lambda choice: (choice.false_alarms <= false_alarms, _worth(choice)))


def _worth(choice: Choice) -> float:
    late_s = 0.0 if np.isnan(choice.latency_s) else max(0.0, choice.latency_s - _PROMPT_S)
    return choice.recall - _RECALL_PER_SECOND * late_s


def _choose(
    loud: Sequence[_Curve], quiet: Sequence[_Curve], allowed: int, rule: DecisionRule
) -> Choice:
    peaks = np.concatenate([curve.peaks() for curve in loud])
    low, high = _LOWEST, _HIGHEST
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        count = sum(curve.false_alarms(middle) for curve in quiet)
        low, high = (low, middle) if count <= allowed else (middle, high)
    found = peaks >= high
    on = (high + min(_HIGHEST, float(peaks[found].min()))) / 2 if found.any() else high
    # Rounded up, so that the rule as it is written keeps the false alarms too.
    on = float(np.ceil(on * 1e4) / 1e4)
    latencies = np.concatenate([curve.latencies_s(on) for curve in loud])
    rule = msgspec.structs.replace(rule, on_threshold=on, off_threshold=round(on * _OFF_SHARE, 4))
    return Choice(
        rule,
        float(found.mean()) if found.size else float("nan"),
        sum(curve.false_alarms(on) for curve in quiet),
        float(np.median(latencies)) if latencies.size else float("nan"),
    )


class _Curve:
    """One class's smoothed score over a stream, and the level at which an event would start.

    The same figures as `rainwatchd.decision.decision` makes window by window, for all windows at
    once: a search over thresholds needs them many times. A test holds the two together.
    """

    def __init__(self, scored: Scored, label: str, span_s: float, m_s: float, n_s: float) -> None:
        column = scored.labels.index(label)
        rate_hz = scored.stream.rate_hz
        self._end_s = np.array([window.end for window in scored.windows]) / rate_hz
        scores = np.array([window.scores[column] for window in scored.windows])
        self._smooth = _trailing(scores, round(span_s / scored.step_s), np.nanmean)
        enough = max(1, round(min(m_s, n_s) / scored.step_s))
        self._start = _trailing(
            self._smooth,
            round(n_s / scored.step_s),
            lambda values, axis: np.sort(np.nan_to_num(values, nan=-1.0), axis)[:, -enough],
        )
        self._release = round(DecisionRule().release_s / scored.step_s)
        self._pause = round(DecisionRule().refractory_s / scored.step_s)
        self._minute = round(60.0 / scored.step_s)
        self._truth = [truth for truth in scored.stream.truth if truth.label == label]

    def peaks(self) -> Values:
        """Highest on-threshold that still finds each event, in the order of the truth."""
        return np.array([self._start[inside].max(initial=0.0) for inside in self._inside()])

    def latencies_s(self, on: float) -> Values:
        """From the onset of each found event to its alert."""
        late = []
        for truth, inside in zip(self._truth, self._inside(), strict=True):
            above = self._end_s[inside & (self._start >= on)]
            if above.size:
                late.append(above[0] - truth.onset_s)
        return np.array(late)

    def false_alarms(self, on: float) -> int:
        """Alerts raised outside the label's own stretches at this on-threshold.

        One that goes on counts again each minute, or the cheapest would be one that never ends.
        """
        own = np.zeros(self._end_s.size, bool)
        for inside in self._inside():
            own |= inside
        starts = np.flatnonzero(self._start >= on)
        below = self._smooth < on * _OFF_SHARE
        count = at = 0
        while at < self._end_s.size:
            later = starts[np.searchsorted(starts, at) :]
            if not later.size:
                break
            at = int(later[0])
            start, quiet = at, 0
            while at < self._end_s.size and quiet < self._release:
                at += 1
                quiet = quiet + 1 if at < self._end_s.size and below[at] else 0
            if not own[start]:
                count += 1 + (at - start) // self._minute
            at += self._pause
        return count

    def _inside(self) -> list[NDArray[np.bool_]]:
        return [
            (self._end_s > truth.onset_s) & (self._end_s <= truth.offset_s + GRACE_S)
            for truth in self._truth
        ]


def _trailing(values: Values, count: int, reduce: Callable[..., Values]) -> Values:
    """Apply `reduce` over the last `count` values at every place; fewer at the start."""
    padded = np.concatenate((np.full(max(1, count) - 1, np.nan), values))
    windows = np.lib.stride_tricks.sliding_window_view(padded, max(1, count))
    return reduce(windows, axis=1)
