"""What a suite of scores comes to: recall, two ledgers of false alarms, latency, and what for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from rainwatchd.hearing.model_spec import DecisionRule
from training.evaluation.curves import Calibration, Roc, calibration, roc
from training.evaluation.event_metrics import EventMetrics, event_metrics
from training.evaluation.intervals import Share, median, most_per_day, share
from training.evaluation.kinds import MACHINES
from training.evaluation.matching import LOGGING, Finding, alerts, match
from training.evaluation.short_clips import ClipFigures, judge_clips
from training.evaluation.suite import Place, Suite

Rules = Mapping[str, DecisionRule]

BARE = "bare"
"""Column of recordings as they are, between those of ratios."""

EVERY_MACHINE = "all of them"


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the comparison: a listener at one setting. Nothing untested is in it."""

    name: str
    recall: dict[str, Share]
    """``chainsaw +10 dB`` -> events that an alert of either logging class found."""
    kinds: dict[str, dict[str, Share]]
    """Kind of engine -> `BARE` or ``+10 dB`` -> found."""
    land_h: float
    land_alarms: dict[str, int]
    """Label -> false alarms in `land_h`."""
    machines: dict[str, Share]
    """Kind of what must raise no alert, the machines' `EVERY_MACHINE` among them -> recordings
    that raise one of either logging class."""
    machines_as_recorded: Share | None
    """`EVERY_MACHINE`, where short recordings aren't looped."""
    latency_s: tuple[float, float, float] | None
    """Median with its interval, from an event's first sound to its alert."""
    setting: str = ""

    def a_day(self, label: str) -> float:
        """Upper bound on the land's false alarms a day."""
        return most_per_day(self.land_alarms[label], self.land_h)


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
    false_alarms: tuple[FalseAlarm, ...]
    """In the land."""
    latencies_s: tuple[float, ...]
    """Of every event that was found."""
    clips: ClipFigures | None
    roc: Mapping[str, Roc]
    calibration: Calibration
    events: Mapping[str, EventMetrics]

    @property
    def metrics(self) -> dict[str, float]:
        """The figures that the model file carries."""
        row = self.row
        named = {
            "recall_" + name.replace(" dB", "db").replace(",", "").replace(" ", "_"): found.value
            for name, found in row.recall.items()
        }
        alarms = {f"{label}_land_alarms": float(n) for label, n in row.land_alarms.items()}
        rest = {"land_h": round(row.land_h, 3)}
        if row.latency_s is not None:
            rest["onset_latency_s"] = round(row.latency_s[0], 2)
        if EVERY_MACHINE in row.machines:
            rest["other_machines_share"] = row.machines[EVERY_MACHINE].value
        return named | alarms | rest | {"calibration_error": round(self.calibration.error, 4)}


def key(group: str, snr_db: float) -> str:
    """Name of one column of the comparison."""
    return f"{group} {snr_db:+g} dB"


def row(name: str, suite: Suite, rules: Sequence[Rules], setting: str = "") -> Row:
    """Count what `rules`, one set for each part of `suite`, find and raise for nothing."""
    findings = found_events(suite, rules)
    wrong = _false_alarms(suite, rules)
    others = list(_others(suite, rules))
    late = [(f.truth.recording, f.latency_s) for f in _all(findings) if f.latency_s is not None]
    machines: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for kind, recording, raised, _ in others:
        machines[kind].append((recording, raised))
        if kind in MACHINES:
            machines[EVERY_MACHINE].append((recording, raised))
    as_recorded = [(recording, soon) for kind, recording, _, soon in others if kind in MACHINES]
    return Row(
        name=name,
        recall={key(*place): share(_hits(found)) for place, found in findings.items()},
        kinds=_by_kind(suite, rules, findings),
        land_h=suite.land_h,
        land_alarms={
            label: sum(alarm.label == label for alarm in wrong)
            for label in (*LOGGING, "storm")
            if all(label in own for own in rules)
        },
        machines={
            kind: share(machines[kind])
            for kind in (*MACHINES, EVERY_MACHINE, *sorted(set(machines) - set(MACHINES)))
            if kind in machines
        },
        machines_as_recorded=share(as_recorded) if as_recorded else None,
        latency_s=median(late) if late else None,
        setting=setting,
    )


def judge(
    name: str,
    suite: Suite,
    rules: Sequence[Rules],
    clip_thresholds: Sequence[Mapping[str, float]],
    setting: str = "",
) -> Verdict:
    """Return everything there is to say about a suite of the daemon's own model."""
    everything = [s for part in suite.parts for s in (*part.events.values(), *part.land)]
    everything = everything or [s for part in suite.parts for s in (*part.bare, *part.others)]
    ruled = [label for label in everything[0].labels if all(label in own for own in rules)]
    findings = _all(found_events(suite, rules))
    return Verdict(
        row=row(name, suite, rules, setting),
        false_alarms=tuple(_false_alarms(suite, rules)),
        latencies_s=tuple(f.latency_s for f in findings if f.latency_s is not None),
        clips=judge_clips([part.clips for part in suite.parts], clip_thresholds),
        roc={label: roc(label, everything) for label in everything[0].labels},
        calibration=calibration(everything),
        events=event_metrics(everything, rules[0], ruled),
    )


def found_events(suite: Suite, rules: Sequence[Rules]) -> dict[Place, list[Finding]]:
    """Return what became of every event at each place, in the order of the parts."""
    found: dict[Place, list[Finding]] = {place: [] for place in suite.places}
    for part, own in zip(suite.parts, rules, strict=True):
        for place, scored in part.events.items():
            stream = scored.stream
            found[place] += match(stream.truth, alerts(scored, own), stream.duration_s).findings
    return found


def _by_kind(
    suite: Suite, rules: Sequence[Rules], findings: Mapping[Place, Sequence[Finding]]
) -> dict[str, dict[str, Share]]:
    trials: dict[str, dict[str, list[tuple[str, bool]]]] = defaultdict(lambda: defaultdict(list))
    for part, own in zip(suite.parts, rules, strict=True):
        for scored in part.bare:
            truth = scored.stream.truth[0]
            found = any(alert.label in LOGGING for alert in alerts(scored, own))
            for kind in truth.kinds:
                trials[kind][BARE].append((truth.recording, found))
    for (_, snr_db), own_findings in findings.items():
        for finding in own_findings:
            for kind in finding.truth.kinds:
                hit = (finding.truth.recording, finding.latency_s is not None)
                trials[kind][f"{snr_db:+g} dB"].append(hit)
    return {
        kind: {column: share(own) for column, own in columns.items()}
        for kind, columns in trials.items()
    }


def _others(suite: Suite, rules: Sequence[Rules]) -> Iterator[tuple[str, str, bool, bool]]:
    """Yield kind, recording, whether an alert came, and whether one came before its end."""
    for part, own in zip(suite.parts, rules, strict=True):
        for scored in part.others:
            truth = scored.stream.truth[0]
            raised = [alert for alert in alerts(scored, own) if alert.label in LOGGING]
            soon = any(alert.detected_s <= truth.offset_s for alert in raised)
            yield truth.kinds[0], truth.recording, bool(raised), soon


def _false_alarms(suite: Suite, rules: Sequence[Rules]) -> list[FalseAlarm]:
    wrong = []
    for part, own in zip(suite.parts, rules, strict=True):
        for scored in part.land:
            truth = scored.stream.truth
            ends = np.array([clip.offset_s for clip in truth])
            made = match(truth, alerts(scored, own), scored.stream.duration_s)
            for alarm in made.false_alarms:
                middle_s = (alarm.onset_s + alarm.detected_s) / 2
                clip = truth[min(int(np.searchsorted(ends, middle_s)), len(truth) - 1)]
                wrong.append(FalseAlarm(alarm.label, clip.recording, clip.label, alarm.score))
    return wrong


def _all(findings: Mapping[Place, Sequence[Finding]]) -> list[Finding]:
    return [finding for group in findings.values() for finding in group]


def _hits(findings: Sequence[Finding]) -> list[tuple[str, bool]]:
    return [(finding.truth.recording, finding.latency_s is not None) for finding in findings]
