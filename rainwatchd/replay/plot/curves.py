"""Scores over time: of each window, and smoothed as the decision compares them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from matplotlib.axes import Axes

from rainwatchd.decision.smoothing import Average, average
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec
from rainwatchd.hearing.window import Window

LONG_S = 600.0
"""A longer recording shows the maxima of minutes instead of curves; no more than this is kept."""

_GREY = "#80868b"


class Curves:
    """One curve a class that alerts.

    A smoothed score tells of the sound half a smoothing span before the middle of its window, as
    in the decision; so an event begins and ends where its curve crosses the thresholds.
    """

    def __init__(self, spec: ModelSpec, rules: Mapping[str, DecisionRule]) -> None:
        self._rate_hz = spec.sample_rate_hz
        self._rules = rules
        self._indices = [spec.labels.index(label) for label in rules]
        self._averages: list[Average] = []
        self._end = 0
        self._times_s: list[float] = []
        self._scores: list[list[float]] = [[] for _ in rules]
        self._smoothed: list[list[tuple[float, float]]] = [[] for _ in rules]

    def push(self, window: Window, step_s: float) -> list[tuple[float, float]]:
        """Take a window; return time and smoothed score of each class."""
        rules = self._rules.values()
        if self._times_s and window.start > self._end:
            self._break()
        self._end = window.end
        if not self._averages:
            self._averages = [average(rule, self._rate_hz, step_s) for rule in rules]
        middle_s = (window.start + window.end) / 2 / self._rate_hz
        scores = [window.scores[index] for index in self._indices]
        smoothed = [
            (max(0.0, middle_s - rule.span_s / 2), each.push(window.end, score))
            for each, rule, score in zip(self._averages, rules, scores, strict=True)
        ]
        if middle_s <= LONG_S:
            self._times_s.append(middle_s)
            for curve, score in enumerate(scores):
                self._scores[curve].append(score)
                self._smoothed[curve].append(smoothed[curve])
        return smoothed

    def _break(self) -> None:
        """Leave a gap blank."""
        self._times_s.append(math.nan)
        for scores, smoothed in zip(self._scores, self._smoothed, strict=True):
            scores.append(math.nan)
            smoothed.append((math.nan, math.nan))

    def draw(self, axes: Axes, colours: Mapping[str, str]) -> None:
        """Draw all curves and their thresholds."""
        marker = "o" if len(self._times_s) == 1 else None
        dash = 4.0
        for curve, (label, rule) in enumerate(self._rules.items()):
            colour = colours[label]
            axes.plot(self._times_s, self._scores[curve], color=colour, lw=0.8, alpha=0.5)
            times_s, smoothed = zip(*self._smoothed[curve], strict=True)
            axes.plot(times_s, smoothed, marker=marker, color=colour, lw=1.8, label=label)
            # Classes often share a threshold: their dashes take turns.
            dashes = (dash * curve, (dash, dash * max(1, len(self._rules) - 1)))
            axes.axhline(rule.on_threshold, color=colour, lw=1.2, ls=dashes)
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel("score")
        axes.grid(axis="y", color="#e6e6e6", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        said = "thick: smoothed, as alerts are decided; thin: each window; dashed: the threshold"
        axes.set_title(said, loc="left", fontsize=9, color=_GREY)
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 0.99),
            ncols=len(self._rules),
            frameon=False,
            fontsize=9,
            borderaxespad=0.0,
        )
