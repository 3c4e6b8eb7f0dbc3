"""Every listener on the same streams, each at its own best setting for the same false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from training.evaluation.matching import LOGGING
from training.evaluation.scoring import Scored
from training.evaluation.suite import Heard, Suite
from training.evaluation.tune import MACHINES, Choice, tune_all
from training.evaluation.verdict import Row, row


def best_row(name: str, suite: Suite, false_alarms: int = 0, machines: float = MACHINES) -> Row:
    """Return the best that a listener can do on `suite` within what `tune_all` allows.

    The rule is chosen on the very streams that it is then counted on, and among readings of the
    scores (labels such as ``engine, wide``) the better one is taken: every doubt in the
    listener's favour.
    """
    land = [scored for part in suite.parts for scored in part.land]
    labels = (land or list(suite.parts[0].events.values()))[0].labels
    best: dict[str, tuple[str, Choice]] = {}
    for label in LOGGING:
        readings = [name for name in labels if name == label or name.startswith(f"{label},")]
        choices = [
            (reading, choice)
            for reading in readings
            for name, choice in tune_all(
                _reading(suite, {label: reading}), false_alarms, machines
            ).items()
            if name == label
        ]
        if choices:
            best[label] = max(choices, key=lambda choice: choice[1].recall)
    picked = _reading(suite, {label: reading for label, (reading, _) in best.items()})
    setting = "; ".join(
        f"{reading}: mean over {choice.rule.span_s:g} s, {choice.rule.min_positive_s:g} of "
        f"{choice.rule.within_s:g} s above {choice.rule.on_threshold:.3f}"
        for reading, choice in best.values()
    )
    rules = {label: choice.rule for label, (_, choice) in best.items()}
    return row(name, picked, [rules] * len(picked.parts), setting)


def _reading(suite: Suite, readings: Mapping[str, str]) -> Suite:
    """Keep one column of scores for each label in `readings`, under the label's name."""

    def pick(scored: Scored) -> Scored:
        columns = [scored.labels.index(reading) for reading in readings.values()]
        windows = tuple(
            replace(window, scores=tuple(window.scores[column] for column in columns))
            for window in scored.windows
        )
        return replace(scored, labels=tuple(readings), windows=windows)

    def picked(heard: Heard) -> Heard:
        return Heard(
            {place: pick(scored) for place, scored in heard.events.items()},
            tuple(map(pick, heard.land)),
            tuple(map(pick, heard.others)),
            tuple(map(pick, heard.bare)),
            tuple(map(pick, heard.clips)),
        )

    return Suite(tuple(map(picked, suite.parts)))
