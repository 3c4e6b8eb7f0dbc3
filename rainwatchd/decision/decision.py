"""Scores to events: smoothing, hysteresis, M-of-N onset, release. Pure: no clock, no I/O.

Every span is in seconds of audio and every window stands for one step of it, so a changed step
changes no meaning. A class goes through these stages:

* its score is smoothed over ``span_s``: before the span is full, over what has been heard;
* an event starts once the smoothed score was at or above the on-threshold in windows worth
  ``min_positive_s`` within the last ``within_s``;
* it ends once the smoothed score stayed below the off-threshold for ``release_s``;
* for ``refractory_s`` after that the class starts no other event.

A gap in the audio shorter than ``release_s`` leaves an event open; a longer one ends it with the
reason ``gap``. A gap's length counts from the last window before it, so that a microphone which
fails again before it has filled a window does not keep an event open for ever. After a gap longer
than ``span_s`` the smoothing begins anew: nothing is averaged over what nobody heard.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from rainwatchd.decision.events import EndReason, Event, Phase
from rainwatchd.decision.smoothing import average, steps_in
from rainwatchd.errors import ModelError
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.hearing.window import Window


class Decision:
    """Turns the windows of one stream into events.

    `labels` name the scores of a window; a label without a rule is background. `step_s` is the
    time from one window to the next. With `update_s` an event that lasts is reported again at
    that interval.
    """

    def __init__(
        self,
        labels: Sequence[str],
        rules: Mapping[str, DecisionRule],
        rate_hz: int,
        step_s: float,
        update_s: float | None = None,
    ) -> None:
        unknown = sorted(set(rules) - set(labels))
        if unknown:
            raise ModelError(
                f"decision: no label {unknown[0]!r}; the model has {', '.join(labels)}"
            )
        update = None if update_s is None else round(update_s * rate_hz)
        self._tracks = [
            _Track(label, index, rules[label], rate_hz=rate_hz, step_s=step_s, update=update)
            for index, label in enumerate(labels)
            if label in rules
        ]
        self._heard_from = 0
        self._heard_to = 0

    def push(self, window: Window) -> list[Event]:
        """Take the next window; return what it changes, in the order of the labels."""
        self._heard_to = window.end
        events = [track.push(window, self._heard_from) for track in self._tracks]
        return [event for event in events if event is not None]

    def gap(self, start: int, end: int) -> list[Event]:
        """Take note that the samples from `start` to `end` were lost."""
        self._heard_from = end
        events = [track.gap(self._heard_to, end) for track in self._tracks]
        return [event for event in events if event is not None]

    def finish(self, reason: EndReason) -> list[Event]:
        """End what is still open; the stream is over."""
        events = [track.close(self._heard_to, self._heard_to, reason) for track in self._tracks]
        return [event for event in events if event is not None]


def least_windows(rule: DecisionRule, step_s: float) -> int:
    """Return how many windows above the on-threshold an event takes."""
    return steps_in(min(rule.min_positive_s, rule.within_s), step_s)


class _Positive(NamedTuple):
    """A window at or above the on-threshold."""

    end: int
    sound_start: int
    score: float
    level_dbfs: float


@dataclass
class _Open:
    """An event that has started and not ended."""

    start: int
    sound_end: int
    last_above: int
    peak_score: float
    level_dbfs: float
    next_update: float
    seq: int = 0
    score_sum: float = 0.0
    windows: int = 0

    def follow(self, window: Window, score: float, sound_end: int) -> None:
        self.last_above = window.end
        self.sound_end = max(self.sound_end, sound_end)
        self.peak_score = max(self.peak_score, score)
        self.level_dbfs = max(self.level_dbfs, window.level_dbfs)
        self.score_sum += score
        self.windows += 1


class _Track:
    """One class."""

    def __init__(
        self,
        label: str,
        index: int,
        rule: DecisionRule,
        *,
        rate_hz: int,
        step_s: float,
        update: int | None,
    ) -> None:
        self._label = label
        self._index = index
        self._rule = rule
        self._new_average = partial(average, rule, rate_hz, step_s)
        self._smooth = self._new_average()
        self._span = rule.span_s * rate_hz
        self._half_span = round(self._span / 2)
        self._step = round(step_s * rate_hz)
        self._within = (steps_in(rule.within_s, step_s) - 0.5) * step_s * rate_hz
        self._enough = least_windows(rule, step_s)
        self._release = rule.release_s * rate_hz
        self._refractory = rule.refractory_s * rate_hz
        self._update = math.inf if update is None else update
        self._positives: deque[_Positive] = deque()
        self._open: _Open | None = None
        self._sound_from = 0
        self._quiet_until = 0.0

    def push(self, window: Window, heard_from: int) -> Event | None:
        score = self._smooth.push(window.end, window.scores[self._index])
        # The sound as it was half a window and half the smoothing span ago is what made the score.
        heard = (window.start + window.end) // 2 - self._half_span
        if self._open is None:
            return self._listen(window, score, heard, heard_from)
        return self._follow(self._open, window, score, heard)

    def gap(self, heard_to: int, end: int) -> Event | None:
        if end - heard_to > self._span:
            self._smooth = self._new_average()
        if end - heard_to < self._release:
            return None
        return self.close(heard_to, end, "gap")

    def close(self, heard_to: int, now: int, reason: EndReason) -> Event | None:
        """End the open event, at its last sound or, where that went on, at the last window."""
        event = self._open
        if event is None:
            return None
        end = heard_to if event.last_above == heard_to else event.sound_end
        self._open = None
        self._sound_from = end
        self._quiet_until = now + self._refractory
        return self._report("offset", event, now, end, reason)

    def _listen(self, window: Window, score: float, heard: int, heard_from: int) -> Event | None:
        positives = self._positives
        while positives and positives[0].end <= window.end - self._within:
            positives.popleft()
        if not score >= self._rule.on_threshold:  # NaN neither
            return None
        start = max(heard, heard_from, self._sound_from)
        positives.append(_Positive(window.end, start, score, window.level_dbfs))
        if len(positives) < self._enough or window.end < self._quiet_until:
            return None
        start = positives[0].sound_start
        event = _Open(
            start=start,
            sound_end=start + self._step,
            last_above=window.end,
            peak_score=max(positive.score for positive in positives),
            level_dbfs=max(positive.level_dbfs for positive in positives),
            next_update=window.end + self._update,
        )
        event.follow(window, score, heard)
        positives.clear()
        self._open = event
        return self._report("onset", event, window.end, None, None)

    def _follow(self, event: _Open, window: Window, score: float, heard: int) -> Event | None:
        if score >= self._rule.off_threshold:
            event.follow(window, score, heard)
        elif window.end - event.last_above >= self._release:
            return self.close(window.end, window.end, "released")
        if window.end < event.next_update:
            return None
        event.next_update += self._update
        return self._report("update", event, window.end, None, None)

    def _report(
        self, phase: Phase, event: _Open, now: int, end: int | None, reason: EndReason | None
    ) -> Event:
        seq = event.seq
        event.seq += 1
        return Event(
            phase=phase,
            label=self._label,
            seq=seq,
            start=event.start,
            end=end,
            score=event.score_sum / event.windows,
            peak_score=event.peak_score,
            level_dbfs=event.level_dbfs,
            detected_at=now,
            end_reason=reason,
        )
