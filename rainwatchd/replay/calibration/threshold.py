"""The lowest on-threshold that keeps a site's ambience to a number of alarms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from rainwatchd.decision.decision import Decision
from rainwatchd.decision.smoothing import steps_in
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.hearing.window import Window
from rainwatchd.replay.calibration.ambience import Stretch, Values

HIGHEST = 0.9999
"""A threshold must be below 1."""

LASTING_S = 3600.0
"""An event that goes on counts again after each hour, or the cheapest would be one that never
ends and hides every saw behind it."""

_RATE_HZ = 1000
"""The decision counts samples; a recording's times are known to the millisecond."""

_DIGITS = 1e4


@dataclass(frozen=True)
class Alarm:
    """An event that a rule makes of the ambience; seconds into its recording."""

    stretch: int
    """Which of the stretches."""
    start_s: float
    end_s: float
    peak_score: float


class Curve:
    """One class's smoothed score over all stretches, and what a threshold makes of it."""

    def __init__(
        self, stretches: Sequence[Stretch], column: int, rule: DecisionRule, step_s: float
    ) -> None:
        self._rule = rule
        self._step_s = step_s
        self._stretches = stretches
        self.smoothed = [stretch.smoothed(column, rule, step_s) for stretch in stretches]

    def alarms(self, on_threshold: float) -> list[Alarm]:
        """Return the events that the decision makes with the rule at this on-threshold."""
        return [
            alarm
            for number in range(len(self._stretches))
            for alarm in self._alarms_of(number, on_threshold)
        ]

    def count(self, on_threshold: float) -> int:
        """Return how many alarms count; see `LASTING_S`."""
        alarms = self.alarms(on_threshold)
        return sum(1 + int((alarm.end_s - alarm.start_s) // LASTING_S) for alarm in alarms)

    def lowest(self, allowed: int, floor: float) -> float | None:
        """Return the lowest on-threshold from `floor` on with at most `allowed` alarms.

        It lies right above the score that would have started one more. None where no threshold
        below 1 does it.
        """
        if self.count(floor) <= allowed:
            return floor
        starts = np.concatenate([self._starting_scores(scores) for scores in self.smoothed])
        levels = np.unique(np.ceil((starts[starts >= floor] + 1e-9) * _DIGITS) / _DIGITS)
        levels = levels[levels <= HIGHEST]
        if not levels.size or self.count(float(levels[-1])) > allowed:
            return None
        low, high = -1, levels.size - 1
        while high - low > 1:
            middle = (low + high) // 2
            few = self.count(float(levels[middle])) <= allowed
            low, high = (low, middle) if few else (middle, high)
        return float(levels[high])

    def _starting_scores(self, scores: Values) -> Values:
        """Return, window by window, the highest on-threshold that would start an event there."""
        within = steps_in(self._rule.within_s, self._step_s)
        enough = steps_in(min(self._rule.min_positive_s, self._rule.within_s), self._step_s)
        padded = np.concatenate((np.full(within - 1, -1.0), scores))
        windows = np.lib.stride_tricks.sliding_window_view(padded, within)
        ranked: Values = np.partition(windows, within - enough, axis=1)[:, within - enough]
        return ranked

    def _alarms_of(self, number: int, on_threshold: float) -> list[Alarm]:
        rule = at_threshold(self._rule, on_threshold)
        scores, stretch = self.smoothed[number], self._stretches[number]
        places = self._places(scores, rule)
        if not places.size:
            return []
        # The scores are smoothed already.
        plain = msgspec.structs.replace(rule, smoothing="mean", span_s=0.0)
        decision = Decision(["class"], {"class": plain}, _RATE_HZ, self._step_s)
        events = []
        for place in places.tolist():
            start, end = (
                round(_RATE_HZ * float(edge_s[place]))
                for edge_s in (stretch.start_s, stretch.end_s)
            )
            events += decision.push(Window(start, end, (float(scores[place]),), 0.0))
        events += decision.finish("end_of_stream")
        return [
            Alarm(number, event.start / _RATE_HZ, event.end / _RATE_HZ, event.peak_score)
            for event in events
            if event.end is not None
        ]

    def _places(self, scores: Values, rule: DecisionRule) -> NDArray[np.intp]:
        """Return the windows that can matter: those that could hold an event, and what follows."""
        if not (scores >= rule.on_threshold).any():
            return np.zeros(0, np.intp)
        after_s = rule.release_s + rule.refractory_s + rule.within_s
        after = steps_in(after_s, self._step_s) + 1
        near = np.flatnonzero(scores >= rule.off_threshold)
        reach = np.zeros(scores.size + 1, np.intp)
        np.add.at(reach, near, 1)
        np.add.at(reach, np.minimum(near + after, scores.size), -1)
        return np.flatnonzero(np.cumsum(reach)[:-1] > 0)


def at_threshold(rule: DecisionRule, on_threshold: float) -> DecisionRule:
    """Return `rule` with another on-threshold; the off-threshold keeps its share of it."""
    off = rule.off_threshold * on_threshold / rule.on_threshold
    off = max(1.0, math.floor(off * _DIGITS)) / _DIGITS
    return msgspec.structs.replace(rule, on_threshold=on_threshold, off_threshold=off)
