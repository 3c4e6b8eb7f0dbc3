"""The loudest moments that raised no alert, so that a threshold can also come down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rainwatchd.decision.events import Event
from rainwatchd.decision.smoothing import Ema, Mean
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.hearing.window import Window

_FLOOR = 0.5
"""Share of the off-threshold under which nothing is worth a look."""

_LONGEST_S = 30.0
"""What lasts longer is told of after this time, and not again before it has ended."""


@dataclass(frozen=True)
class NearMiss:
    """A sound whose smoothed score rose and raised no alert; samples at the model's rate."""

    label: str
    start: int
    peak: int
    """Where the window with the highest smoothed score ends."""
    end: int
    peak_score: float


class NearMisses:
    """Follows each class's smoothed score beside the decision."""

    def __init__(
        self,
        labels: Sequence[str],
        rules: Mapping[str, DecisionRule],
        rate_hz: int,
        step_s: float,
    ) -> None:
        self._tracks = {
            label: _Track(label, index, rules[label], rate_hz, step_s)
            for index, label in enumerate(labels)
            if label in rules
        }

    def alerted(self, event: Event) -> None:
        """Take note that an alert was raised: this sound is none of these."""
        self._tracks[event.label].alerted = True

    def push(self, window: Window) -> Iterator[NearMiss]:
        """Take the next window, after its events; yield what has passed."""
        for track in self._tracks.values():
            miss = track.push(window)
            if miss is not None:
                yield miss


class _Track:
    """One class."""

    def __init__(
        self, label: str, index: int, rule: DecisionRule, rate_hz: int, step_s: float
    ) -> None:
        self.alerted = False
        self._label = label
        self._index = index
        self._floor = _FLOOR * rule.off_threshold
        self._longest = round(_LONGEST_S * rate_hz)
        self._smooth = (Ema if rule.smoothing == "ema" else Mean)(rule.span_s, rate_hz, step_s)
        self._start: int | None = None
        self._peak = 0
        self._peak_score = 0.0
        self._told = False

    def push(self, window: Window) -> NearMiss | None:
        score = self._smooth.push(window.end, window.scores[self._index])
        if not score >= self._floor:  # NaN neither
            miss = self._miss(window.end)
            self._start, self._told, self.alerted = None, False, False
            return miss
        if self._start is None:
            self._start, self._peak_score = window.start, 0.0
        if score > self._peak_score:
            self._peak, self._peak_score = window.end, score
        if window.end - self._start >= self._longest:
            miss = self._miss(window.end)
            self._told = True
            return miss
        return None

    def _miss(self, end: int) -> NearMiss | None:
        if self._start is None or self._told or self.alerted:
            return None
        return NearMiss(self._label, self._start, self._peak, end, self._peak_score)
