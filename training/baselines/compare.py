"""Every listener on the same streams, each at its own best setting for the same false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from training.evaluation.matching import LOGGING
from training.evaluation.scoring import Scored
from training.evaluation.suite import Suite
from training.evaluation.tune import Choice, tune
from training.evaluation.verdict import Row, row


def best_row(name: str, suite: Suite, false_alarms: int = 1) -> Row:
    """Return the best that a listener can do on `suite` with at most `false_alarms` a class.

    The rule is chosen on the very streams that it is then counted on, and among readings of the
    scores (labels such as ``engine, wide``) the better one is taken: every doubt in the
    listener's favour.
    """
    best: dict[str, tuple[str, Choice]] = {}
    labels = suite.ambience[0].labels
    for label in LOGGING:
        if not suite.of(label):
            continue
        readings = [name for name in labels if name == label or name.startswith(f"{label},")]
        choices = []
        for reading in readings:
            picked = _reading(suite, {label: reading})
            choices.append((reading, tune(label, picked.of(label), picked.ambience, false_alarms)))
        best[label] = max(choices, key=lambda choice: choice[1].recall)
    picked = _reading(suite, {label: reading for label, (reading, _) in best.items()})
    setting = "; ".join(
        f"{reading}: mean over {choice.rule.span_s:g} s, {choice.rule.min_positive_s:g} of "
        f"{choice.rule.within_s:g} s above {choice.rule.on_threshold:.3f}"
        for reading, choice in best.values()
    )
    return row(name, picked, {label: choice.rule for label, (_, choice) in best.items()}, setting)


def _reading(suite: Suite, readings: Mapping[str, str]) -> Suite:
    """Keep one column of scores for each label in `readings`, under the label's name."""

    def pick(scored: Scored) -> Scored:
        columns = [scored.labels.index(reading) for reading in readings.values()]
        windows = tuple(
            replace(window, scores=tuple(window.scores[column] for column in columns))
            for window in scored.windows
        )
        return replace(scored, labels=tuple(readings), windows=windows)

    return Suite(
        {place: tuple(map(pick, group)) for place, group in suite.events.items()},
        tuple(map(pick, suite.ambience)),
        tuple(map(pick, suite.clips)),
    )
