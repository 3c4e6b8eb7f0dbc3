"""At which on-threshold an alert starts, for all windows of a stream at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rainwatchd.hearing.model_spec import DecisionRule
from training.evaluation.matching import GRACE_S
from training.evaluation.scoring import Scored

Values = NDArray[np.float64]

OFF_SHARE = 0.6
"""Off-threshold over on-threshold: wide enough that a fading engine is one event, not five."""


class StartCurve:
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

    @property
    def highest(self) -> float:
        """Highest on-threshold that raises an alert anywhere."""
        return float(self._start.max(initial=0.0))

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
        below = self._smooth < on * OFF_SHARE
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
