"""What a calibration says: hours, peaks, and for each class what changed, promises and costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rainwatchd.audio.formats import printable
from rainwatchd.hearing.model_file import ModelFile
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.replay.calibration.ambience import Ambience
from rainwatchd.replay.calibration.peaks import Peak
from rainwatchd.replay.calibration.promise import cost, days_wanted, most_expected
from rainwatchd.replay.calibration.threshold import Curve

SITE = "+site"
"""Ends the name of a model whose heads were fitted again: its recall table is its parent's."""

_LASTING_S = 600.0
"""A sound that goes on for longer is worth a line."""


@dataclass(frozen=True)
class Choice:
    """The rule of one class before and after."""

    label: str
    curve: Curve
    before: DecisionRule
    after: DecisionRule


def print_hours(heard: Ambience, quiet: Ambience, real: Sequence[Peak]) -> None:
    """Print how much ambience there is, and what was left out."""
    print(f"{quiet.days * 24:.1f} hours of ambience in {len(quiet.stretches)} recordings")
    if heard.silent_s:
        print(f"left out: {heard.silent_s / 60:.1f} minutes in which every sample is zero")
    if real:
        numbers = ", ".join(str(peak.number) for peak in real)
        print(f"left out as real: peaks {numbers}, {(heard.days - quiet.days) * 24:.1f} hours")


def print_peaks(listed: Sequence[Peak], out: Path) -> None:
    """Print the highest peaks with their numbers."""
    print(f"\nthe highest peaks, to listen to in {out / 'peaks'}")
    print("   no  score  class       at       file")
    for peak in listed:
        place = f"{clock(peak.peak_s)}  {peak.file}"
        print(f"{peak.number:5}  {peak.score:.3f}  {peak.label:10}  {place}")


def print_choice(choice: Choice, model: ModelFile, quiet: Ambience, per_day: float) -> None:
    """Print what changed for a class, what can be promised, and what it costs."""
    before, after = choice.before, choice.after
    days, alarms = quiet.days, choice.curve.count(after.on_threshold)
    own = after.on_threshold == model.spec.decision[choice.label].on_threshold
    owned = " (the model's own)" if own else ""
    print(f"\n{choice.label}")
    print(
        f"  on_threshold {before.on_threshold:g} -> {after.on_threshold:g}"
        f"{owned}, "
        f"off_threshold {before.off_threshold:g} -> {after.off_threshold:g}"
    )
    print(f"  alarms in this ambience: {choice.curve.count(before.on_threshold)} -> {alarms}")
    bound = most_expected(alarms) / days
    shown = f"{bound:.2g}" if bound < 10.0 else f"{bound:.0f}"
    print(f"  promise: at most {shown} a day (95 %, {alarms} in {days * 24:.1f} hours)")
    more_h = 24.0 * (days_wanted(alarms, per_day) - days)
    if more_h > 0:
        print(f"  {more_h:.0f} more hours without another alarm would promise {per_day:g} a day")
    _print_longest(choice, quiet)
    tables = model.spec.recall_by_threshold.get(choice.label)
    if tables:
        parent = " (measured before the model was adapted)" if SITE in model.name else ""
        said = "; ".join(cost(tables, before.on_threshold, after.on_threshold))
        print(f"  recall{parent}: {said}")
    else:
        print(f"  what that costs in recall is unknown: {model.name} carries no table of it")


def _print_longest(choice: Choice, quiet: Ambience) -> None:
    alarms = choice.curve.alarms(choice.before.on_threshold)
    longest = max(alarms, key=lambda alarm: alarm.end_s - alarm.start_s, default=None)
    if longest is None or longest.end_s - longest.start_s < _LASTING_S:
        return
    file = printable(quiet.stretches[longest.stretch].path)
    print(
        f"  one sound lasts from {clock(longest.start_s)} to {clock(longest.end_s)} in {file}: "
        "if it is real, mark its peak by --true"
    )


def clock(seconds: float) -> str:
    """Write seconds into a recording as hours, minutes and seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
