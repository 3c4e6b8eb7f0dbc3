"""Trailing averages of a class's scores over a span in seconds."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol

from rainwatchd.hearing.model_spec import DecisionRule


class Average(Protocol):
    """Takes scores in the order of their windows."""

    def push(self, end: int, score: float) -> float:
        """Take the score of the window that ended at sample `end`; return the average."""


def steps_in(span_s: float, step_s: float) -> int:
    """Return how many steps make up a span, to the nearest, at least one."""
    # A hair less than a half, so that no rounding error decides whether 3.5 becomes 3 or 4.
    return max(1, math.ceil(span_s / step_s - 0.5 - 1e-6))


class Mean:
    """Mean of the scores whose windows ended within the last `span_s`."""

    def __init__(self, span_s: float, rate_hz: int, step_s: float) -> None:
        # The edge lies between two windows, where no rounding of the step can move one across.
        self._span = (steps_in(span_s, step_s) - 0.5) * step_s * rate_hz
        self._ends: deque[int] = deque()
        self._scores: deque[float] = deque()

    def push(self, end: int, score: float) -> float:
        """Take the score of the window that ended at sample `end`; return the mean."""
        ends, scores = self._ends, self._scores
        while ends and ends[0] <= end - self._span:
            ends.popleft()
            scores.popleft()
        ends.append(end)
        scores.append(score)
        return sum(scores) / len(scores)


class Ema:
    """Exponential moving average with the delay of a mean over `span_s`: time constant span/2.

    Divided by the sum of its weights, so that the first scores count fully instead of being
    pulled towards zero.
    """

    def __init__(self, span_s: float, rate_hz: int, step_s: float) -> None:
        self._per_sample = -2.0 / max(1.0, span_s * rate_hz)
        self._weight = 1.0 - math.exp(self._per_sample * step_s * rate_hz)
        self._total = 0.0
        self._weights = 0.0
        self._end = 0

    def push(self, end: int, score: float) -> float:
        """Take the score of the window that ended at sample `end`; return the average."""
        keep = math.exp(self._per_sample * (end - self._end))
        self._end = end
        self._total = self._total * keep + self._weight * score
        self._weights = self._weights * keep + self._weight
        return self._total / self._weights


def average(rule: DecisionRule, rate_hz: int, step_s: float) -> Average:
    """Return the average that `rule` asks for."""
    kind = Ema if rule.smoothing == "ema" else Mean
    return kind(rule.span_s, rate_hz, step_s)
