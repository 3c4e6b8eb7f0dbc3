"""Two models on the same events: who finds more of them, and whether that may be chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from training.dataset import DataError
from training.evaluation.intervals import difference
from training.evaluation.suite import Suite
from training.evaluation.verdict import Rules, found_events


def duel(first: Suite, second: Suite, rules: Sequence[Rules], others: Sequence[Rules]) -> str:
    """Say by how much `first` under `rules` finds more than `second` under `others`.

    Each group's events at all ratios are taken together, and the interval is of the difference
    event by event: much narrower than those of the two shares. `DataError` where the two have not
    heard the same events.
    """
    mine, theirs = found_events(first, rules), found_events(second, others)
    trials: dict[str, list[tuple[str, bool, bool]]] = defaultdict(list)
    for place, findings in mine.items():
        against = theirs.get(place, [])
        if [f.truth for f in findings] != [f.truth for f in against]:
            raise DataError(
                "the models of --against were tested on other events: they must hold the same "
                "recordings out, in the same order"
            )
        trials[place[0]] += [
            (a.truth.recording, a.latency_s is not None, b.latency_s is not None)
            for a, b in zip(findings, against, strict=True)
        ]
    return ", ".join(
        f"{group} {value:+.2f} ({low:+.2f} to {high:+.2f})"
        for group, own in trials.items()
        for value, low, high in [difference(own)]
    )
