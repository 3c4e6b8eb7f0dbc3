"""Alerts against what was really there: what was found, how late, and what was a false alarm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rainwatchd.hearing.model_spec import DecisionRule
from training.evaluation.scoring import Scored
from training.evaluation.streams import Truth

LOGGING = ("chainsaw", "engine")
"""Either of these sends a ranger out, so an alert of one finds an event of the other."""

GRACE_S = 5.0
"""An alert may come this long after its event has ended: smoothing looks back."""


@dataclass(frozen=True)
class Alert:
    """One event that the decision announced; times in seconds from the start of the stream."""

    label: str
    detected_s: float
    """Where the stream stood when the onset was published."""
    onset_s: float
    offset_s: float
    score: float


@dataclass(frozen=True)
class Finding:
    """What became of one true event."""

    truth: Truth
    latency_s: float | None
    """From the event's first sound to the first alert of a logging class; None: missed."""
    label: str | None
    """Class of that alert."""


@dataclass(frozen=True)
class Matched:
    """All of one stream."""

    findings: tuple[Finding, ...]
    false_alarms: tuple[Alert, ...]
    duration_s: float

    @property
    def recall(self) -> float:
        """Share of the events that were found."""
        found = sum(finding.latency_s is not None for finding in self.findings)
        return found / len(self.findings) if self.findings else float("nan")


def alerts(scored: Scored, rules: Mapping[str, DecisionRule]) -> list[Alert]:
    """Run the daemon's decision and pair each onset with its offset."""
    rate_hz = scored.stream.rate_hz
    detected: dict[str, float] = {}
    made = []
    for event in scored.events(rules):
        if event.phase == "onset":
            detected[event.label] = event.detected_at / rate_hz
        elif event.phase == "offset" and event.end is not None:
            made.append(
                Alert(
                    event.label,
                    detected.pop(event.label),
                    event.start / rate_hz,
                    event.end / rate_hz,
                    event.peak_score,
                )
            )
    return sorted(made, key=lambda alert: alert.detected_s)


def match(truth: Sequence[Truth], made: Sequence[Alert], duration_s: float) -> Matched:
    """Match alerts to events by when they were raised.

    An event is found by the first alert raised from its onset until `GRACE_S` after its offset:
    of any logging class where it is one of them, otherwise of its own. An alert raised at no
    such event is a false alarm. An alert that began before an event and merely goes on doesn't
    find it.
    """
    findings = []
    right: set[Alert] = set()
    for event in truth:
        wanted = LOGGING if event.label in LOGGING else (event.label,)
        timely = [
            alert
            for alert in made
            if alert.label in wanted
            and event.onset_s < alert.detected_s <= event.offset_s + GRACE_S
        ]
        right.update(timely)
        latency_s = timely[0].detected_s - event.onset_s if timely else None
        findings.append(Finding(event, latency_s, timely[0].label if timely else None))
    wrong = tuple(alert for alert in made if alert not in right)
    return Matched(tuple(findings), wrong, duration_s)
