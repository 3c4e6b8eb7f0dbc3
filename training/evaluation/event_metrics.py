"""Event metrics by sed_scores_eval (Ebbers et al. 2022): independent of our own matching."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainwatchd.decision.smoothing import Ema, Mean
from rainwatchd.hearing.model_spec import DecisionRule
from training.evaluation.scoring import Scored
from training.evaluation.streams import Truth

_TOLERANCE = 0.3
"""Share of a detection that must lie on events, and of an event that detections must cover."""

_ADJACENT_S = 0.01

_WORST_PER_HOUR = 10.0
"""Rates of false alarms above this are of no use to anyone and don't count in the PSDS."""


@dataclass(frozen=True)
class EventMetrics:
    """Intersection-based figures of one label."""

    precision: float
    recall: float
    f1: float
    """At the rule's on-threshold."""
    psds: float
    """Area under recall against false alarms per hour, up to `_WORST_PER_HOUR`, 0 to 1."""
    recall_curve: NDArray[np.float64]
    false_alarms_per_h: NDArray[np.float64]
    """The detection-error curve, over all thresholds."""


def event_metrics(
    groups: Sequence[Scored], rules: Mapping[str, DecisionRule], labels: Sequence[str]
) -> dict[str, EventMetrics]:
    """Return the metrics of each of `labels`, from scores smoothed as its rule says.

    A label that stands in none of `groups` has no recall, and is left out.
    """
    present = {event.label for scored in groups for event in scored.stream.truth}
    labels = [label for label in labels if label in present]
    if not labels:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sed_scores_eval import intersection_based
        from sed_scores_eval.base_modules.scores import create_score_dataframe

    tables: dict[str, Any] = {}
    truth: dict[str, list[tuple[float, float, str]]] = {}
    durations: dict[str, float] = {}
    for number, scored in enumerate(groups):
        name = f"{number:04d}"
        edges_s, smooth = _smoothed(scored, rules, labels)
        tables[name] = create_score_dataframe(smooth, edges_s, list(labels))
        truth[name] = _stretches(scored.stream.truth, labels)
        durations[name] = max(scored.stream.duration_s, float(edges_s[-1]))
    tolerance = {"dtc_threshold": _TOLERANCE, "gtc_threshold": _TOLERANCE}
    thresholds = {label: rules[label].on_threshold for label in labels}
    f1, precision, recall, _ = intersection_based.fscore(tables, truth, thresholds, **tolerance)
    _, each, _, curves = intersection_based.psds(
        tables, truth, durations, max_efpr=_WORST_PER_HOUR, **tolerance
    )
    return {
        label: EventMetrics(
            float(precision[label]),
            float(recall[label]),
            float(f1[label]),
            float(each[label]),
            np.asarray(curves[label][0]),
            np.asarray(curves[label][1]),
        )
        for label in labels
    }


def _stretches(truth: Sequence[Truth], labels: Sequence[str]) -> list[tuple[float, float, str]]:
    """Join what follows at once: recordings of one class end to end are one long event."""
    joined: list[tuple[float, float, str]] = []
    for event in truth:
        if event.label not in labels:
            continue
        if joined and joined[-1][2] == event.label and event.onset_s - joined[-1][1] < _ADJACENT_S:
            joined[-1] = (joined[-1][0], event.offset_s, event.label)
        else:
            joined.append((event.onset_s, event.offset_s, event.label))
    return joined


def _smoothed(
    scored: Scored, rules: Mapping[str, DecisionRule], labels: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smoothed scores, one row a step, and the steps' edges where their sound is."""
    rate_hz = scored.stream.rate_hz
    smooth = np.empty((len(scored.windows), len(labels)))
    for place, label in enumerate(labels):
        rule = rules[label]
        filtered = (Ema if rule.smoothing == "ema" else Mean)(rule.span_s, rate_hz, scored.step_s)
        column = scored.labels.index(label)
        smooth[:, place] = [filtered.push(w.end, w.scores[column]) for w in scored.windows]
    half_span_s = sum(rules[label].span_s for label in labels) / len(labels) / 2
    window = scored.windows[0]
    first_s = max(0.0, (window.start + window.end) / 2 / rate_hz - half_span_s)
    return first_s + np.arange(len(scored.windows) + 1.0) * scored.step_s, smooth
