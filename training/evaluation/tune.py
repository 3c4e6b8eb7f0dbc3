"""Choosing each class's decision rule for a stated number of false alarms in the land.

Two conditions hold: alarms in the land, which a device hears all day, and the share of other
machines' recordings that raise one. Nothing that a figure is reported on may be chosen on: see
`cross_fit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import msgspec
import numpy as np
from numpy.typing import NDArray

from rainwatchd.hearing.model_spec import DecisionRule
from training.evaluation.kinds import MACHINES as KINDS
from training.evaluation.matching import LOGGING
from training.evaluation.scoring import Scored
from training.evaluation.start_curve import OFF_SHARE, StartCurve
from training.evaluation.suite import Suite

Values = NDArray[np.float64]

_SPANS_S = (1.0, 2.0, 3.0, 5.0, 8.0)
_M_OF_N_S = ((2.0, 3.0), (3.0, 5.0), (4.0, 8.0))
"""Time above the on-threshold within a span that starts an event. Never one window: ambience does
not run out of short sounds that no validation holds."""

_ALERT_M_OF_N_S = ((3.0, 5.0),)
"""What ships asks for three seconds of five; `training/notes.md` has longer and shorter ones."""

_STORM_M_OF_N_S = ((4.0, 8.0),)
"""Nobody drives out for a storm, so it may take its time."""

_PROMPT_S = 4.0
"""An alert within this time of the first sound is soon enough."""

_RECALL_PER_SECOND = 0.02
"""What each further second costs: of fifty events, one more may be missed for it."""

_LOWEST, _HIGHEST = 0.005, 0.999
"""On-thresholds that are tried."""

_ROUNDS = 24

_STORMS_PER_HOUR = 0.25
"""Surf or a waterfall may pass for rain now and then; a quarter of what is promised, since other
hours bring other sounds: half of it brought 10 and 5 false storms in 8.8 other hours, a quarter
3 and 4."""

MACHINES = 0.05
"""Share of other machines' recordings that may raise an alert, of all logging classes together."""

_GROUPS = {"chainsaw": ("chainsaw",), "engine": ("engine", "passing", "engine, other")}
"""Events that each logging class is to find."""

RECALL_THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""On-thresholds of the curves that the model file carries."""


@dataclass(frozen=True)
class Choice:
    """A rule and what it does on the streams that it was chosen on."""

    rule: DecisionRule
    recall: float
    """Share of the class's own events that its own alerts find."""
    false_alarms: int
    """In the land."""
    latency_s: float
    """Median, from the event's first sound to the alert; nan when none was found."""
    machines: float = float("nan")
    """Share of other machines' recordings that raise an alert of this class; nan: none there."""


def tune_all(suite: Suite, false_alarms: int = 0, machines: float = MACHINES) -> dict[str, Choice]:
    """Choose a rule for each class that raises alerts and that the listener knows.

    `false_alarms` are allowed for each logging class in all of the suite's land.
    """
    land = [scored for part in suite.parts for scored in part.land]
    events = {
        label: [s for part in suite.parts for name in groups for s in part.of(name)]
        for label, groups in _GROUPS.items()
    }
    lone = [s for part in suite.parts for s in part.others if s.stream.truth[0].kinds[0] in KINDS]
    labels = (land or [s for own in events.values() for s in own])[0].labels
    choices = {
        label: tune(
            label,
            own,
            land,
            false_alarms,
            _ALERT_M_OF_N_S,
            machines=lone,
            machines_share=machines / len(_GROUPS),
        )
        for label, own in events.items()
        if label in labels and own
    }
    if "storm" in labels and land:
        allowed = int(_STORMS_PER_HOUR * suite.land_h)
        choices["storm"] = tune("storm", land, land, allowed, _STORM_M_OF_N_S)
    return choices


def cross_fit(
    suite: Suite, false_alarms: int = 0, machines: float = MACHINES
) -> list[dict[str, DecisionRule]]:
    """Return rules for each part of `suite` that were chosen on all of the others."""
    return [
        {
            label: choice.rule
            for label, choice in tune_all(suite.without(n), false_alarms, machines).items()
        }
        for n in range(len(suite.parts))
    ]


def recall_by_threshold(
    suite: Suite, rules: Mapping[str, DecisionRule]
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Return label -> ratio in dB -> (on-threshold, share of its events that its alerts find).

    What else a rule says stays as it is. Engines are those of the group ``engine``.
    """
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for label in (label for label in LOGGING if label in rules):
        rule = rules[label]
        for name, snr_db in suite.places:
            if name != label:
                continue
            streams = [p.events[name, snr_db] for p in suite.parts if (name, snr_db) in p.events]
            peaks = np.concatenate([_curve(scored, label, rule).peaks() for scored in streams])
            curves.setdefault(label, {})[f"{snr_db:+g}"] = [
                (on, round(float((peaks >= on).mean()), 4)) for on in RECALL_THRESHOLDS
            ]
    return curves


def tune(
    label: str,
    events: Sequence[Scored],
    land: Sequence[Scored],
    false_alarms: int = 0,
    m_of_n_s: Sequence[tuple[float, float]] = _M_OF_N_S,
    *,
    machines: Sequence[Scored] = (),
    machines_share: float = MACHINES,
) -> Choice:
    """Return the rule that finds most events of `label` within what is allowed.

    At most `false_alarms` in `land`, and alerts in at most `machines_share` of `machines`, one
    recording each. For each way of smoothing, the on-threshold is put in the middle between the
    lowest that keeps both and the highest that finds as many events: what lies between makes no
    difference here, and the middle is safest elsewhere. `land` may hold stretches of `label`
    itself; alerts there are right.
    """
    choices = []
    for span_s, (m_s, n_s) in product(_SPANS_S, m_of_n_s):
        rule = DecisionRule(span_s=span_s, min_positive_s=m_s, within_s=n_s)
        loud, quiet, lone = (
            [_curve(scored, label, rule) for scored in group] for group in (events, land, machines)
        )
        highest = np.sort([curve.highest for curve in lone])[::-1]
        least = float(highest[int(machines_share * highest.size)]) if lone else 0.0
        choice = _choose(loud, quiet, least, false_alarms, rule)
        raised = float((highest >= choice.rule.on_threshold).mean()) if lone else float("nan")
        choices.append(replace(choice, machines=raised))
    return max(choices, key=lambda choice: (choice.false_alarms <= false_alarms, _worth(choice)))


def _worth(choice: Choice) -> float:
    late_s = 0.0 if np.isnan(choice.latency_s) else max(0.0, choice.latency_s - _PROMPT_S)
    return choice.recall - _RECALL_PER_SECOND * late_s


def _choose(
    loud: Sequence[StartCurve],
    quiet: Sequence[StartCurve],
    least: float,
    allowed: int,
    rule: DecisionRule,
) -> Choice:
    peaks = np.concatenate([curve.peaks() for curve in loud])
    low, high = _LOWEST, _HIGHEST
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        count = sum(curve.false_alarms(middle) for curve in quiet)
        low, high = (low, middle) if count <= allowed else (middle, high)
    # What the loudest machine that may not be heard reaches is still too low.
    high = min(_HIGHEST, max(high, least + 2.0**-_ROUNDS))
    found = peaks >= high
    on = (high + min(_HIGHEST, float(peaks[found].min()))) / 2 if found.any() else high
    # Rounded up, so that the rule as it is written keeps the false alarms too.
    on = float(np.ceil(on * 1e4) / 1e4)
    latencies = np.concatenate([curve.latencies_s(on) for curve in loud])
    rule = msgspec.structs.replace(rule, on_threshold=on, off_threshold=round(on * OFF_SHARE, 4))
    return Choice(
        rule,
        float(found.mean()) if found.size else float("nan"),
        sum(curve.false_alarms(on) for curve in quiet),
        float(np.median(latencies)) if latencies.size else float("nan"),
    )


def _curve(scored: Scored, label: str, rule: DecisionRule) -> StartCurve:
    return StartCurve(scored, label, rule.span_s, rule.min_positive_s, rule.within_s)
