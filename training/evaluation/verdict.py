"""What a suite of scores comes to: recall, false alarms, latency, and the figures behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from rainwatchd.hearing.model_spec import DecisionRule
from training.evaluation.curves import Calibration, Confusion, Roc, calibration, confusion, roc
from training.evaluation.event_metrics import EventMetrics, event_metrics
from training.evaluation.matching import LOGGING, Finding, alerts, match
from training.evaluation.suite import Suite


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the comparison: a listener at one setting."""

    name: str
    recall: dict[str, float]
    """``chainsaw +10 dB`` -> share of the events that an alert of either logging class found."""
    false_alarms: dict[str, int]
    """Label -> alerts in all of the ambience."""
    ambience_h: float
    latency_s: float | None
    """Median, from an event's first sound to its alert."""
    setting: str = ""


@dataclass(frozen=True)
class FalseAlarm:
    """An alert that should not have been."""

    label: str
    recording: str
    """What was playing."""
    clip_label: str
    score: float


@dataclass(frozen=True)
class Verdict:
    """Everything that the model card says in figures."""

    row: Row
    findings: Mapping[tuple[str, float], tuple[Finding, ...]]
    false_alarms: tuple[FalseAlarm, ...]
    confusion: Confusion
    roc: Mapping[str, Roc]
    calibration: Calibration
    events: Mapping[str, EventMetrics]

    @property
    def latencies_s(self) -> list[float]:
        """Of every event that was found."""
        return [
            finding.latency_s
            for group in self.findings.values()
            for finding in group
            if finding.latency_s is not None
        ]

    @property
    def metrics(self) -> dict[str, float]:
        """The figures that the model file carries."""
        named = {
            "recall_" + key.replace(" dB", "db").replace(" ", "_"): round(value, 4)
            for key, value in self.row.recall.items()
        }
        alarms = {
            f"{label}_false_alarms_per_h": round(count / self.row.ambience_h, 4)
            for label, count in self.row.false_alarms.items()
            if self.row.ambience_h
        }
        rest = {"ambience_h": round(self.row.ambience_h, 3)} | (
            {} if self.row.latency_s is None else {"onset_latency_s": round(self.row.latency_s, 2)}
        )
        return named | alarms | rest | {"calibration_error": round(self.calibration.error, 4)}


def key(label: str, snr_db: float) -> str:
    """Name of one column of the comparison."""
    return f"{label} {snr_db:+g} dB"


def row(name: str, suite: Suite, rules: Mapping[str, DecisionRule], setting: str = "") -> Row:
    """Count what `rules` find and what they raise for nothing."""
    findings = _findings(suite, rules)
    late = [
        finding.latency_s
        for group in findings.values()
        for finding in group
        if finding.latency_s is not None
    ]
    wrong = _false_alarms(suite, rules)
    return Row(
        name=name,
        recall={
            key(label, snr_db): sum(f.latency_s is not None for f in group) / len(group)
            for (label, snr_db), group in findings.items()
        },
        false_alarms={
            label: sum(alarm.label == label for alarm in wrong)
            for label in LOGGING
            if label in rules
        },
        ambience_h=suite.ambience_h,
        latency_s=float(np.median(late)) if late else None,
        setting=setting,
    )


def judge(name: str, suite: Suite, rules: Mapping[str, DecisionRule]) -> Verdict:
    """Return everything there is to say about a suite of the daemon's own model."""
    streams = [scored for group in suite.events.values() for scored in group]
    everything = [*streams, *suite.ambience, *suite.clips]
    ruled = [label for label in everything[0].labels if label in rules]
    return Verdict(
        row=row(name, suite, rules, "shipped rules"),
        findings=_findings(suite, rules),
        false_alarms=tuple(_false_alarms(suite, rules)),
        confusion=confusion([*suite.ambience, *suite.clips]),
        roc={label: roc(label, everything) for label in everything[0].labels},
        calibration=calibration(everything),
        events=event_metrics(everything, rules, ruled),
    )


def _findings(
    suite: Suite, rules: Mapping[str, DecisionRule]
) -> dict[tuple[str, float], tuple[Finding, ...]]:
    return {
        place: tuple(
            finding
            for scored in group
            for finding in match(
                scored.stream.truth, alerts(scored, rules), scored.stream.duration_s
            ).findings
        )
        for place, group in suite.events.items()
    }


def _false_alarms(suite: Suite, rules: Mapping[str, DecisionRule]) -> list[FalseAlarm]:
    wrong = []
    for scored in suite.ambience:
        truth = scored.stream.truth
        ends = np.array([clip.offset_s for clip in truth])
        made = match(truth, alerts(scored, rules), scored.stream.duration_s)
        for alarm in made.false_alarms:
            middle_s = (alarm.onset_s + alarm.detected_s) / 2
            clip = truth[min(int(np.searchsorted(ends, middle_s)), len(truth) - 1)]
            wrong.append(FalseAlarm(alarm.label, clip.recording, clip.label, alarm.score))
    return wrong


def found_by_group(findings: Sequence[Finding]) -> dict[str, tuple[int, int]]:
    """Group -> (found, events), by distance and by collection: a mean over all may hide one."""
    counts: dict[str, tuple[int, int]] = {}
    for finding in findings:
        truth = finding.truth
        for group in ("highs taken off" if truth.far else "as recorded", truth.source):
            found, total = counts.get(group, (0, 0))
            counts[group] = (found + (finding.latency_s is not None), total + 1)
    return counts
