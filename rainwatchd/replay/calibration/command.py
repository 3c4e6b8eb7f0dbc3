"""Choose the thresholds for a site from hours of its own sound.

Writes a folder: ``decision.yaml`` to paste into the configuration, ``peaks/`` to listen to,
``scores/`` that make a second try quick.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rainwatchd.audio.files.times import utc_offset
from rainwatchd.config.options import load
from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.model_file import ModelFile, read_model
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec
from rainwatchd.replay.calibration import ambience as hearing
from rainwatchd.replay.calibration.ambience import Ambience
from rainwatchd.replay.calibration.peaks import (
    Peak,
    PeakList,
    highest,
    without,
    write_clips,
)
from rainwatchd.replay.calibration.summary import Choice, print_choice, print_hours, print_peaks
from rainwatchd.replay.calibration.threshold import Curve, at_threshold
from rainwatchd.replay.folders import find_recordings
from rainwatchd.whole import write_whole

_WEATHER = ("storm",)
"""What ambience holds by nature, and nobody is sent out for: calibrated only when named."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="ambience of the site")
    parser.add_argument(
        "--false-alarms-per-day",
        type=_rate,
        default=1.0,
        metavar="K",
        help="of each class (default: 1)",
    )
    parser.add_argument(
        "--true",
        type=_numbers,
        default=[],
        metavar="N,N",
        help="peaks of the last run that were what they were taken for; they are remembered",
    )
    parser.add_argument("--classes", nargs="+", default=[], metavar="CLASS", help="only these")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the YAML file")
    parser.add_argument("--model", type=Path, metavar="FILE", help="instead of the configured one")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("calibration"),
        metavar="FOLDER",
        help="default: calibration",
    )
    parser.add_argument(
        "--utc-offset",
        type=utc_offset,
        metavar="+HH:MM",
        help="of recordings whose names tell a local time, such as -04:00 (default: UTC)",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="recordings at a time")


def run(options: argparse.Namespace) -> int:
    """Calibrate; exit status 1 if a recording could not be heard."""
    config = load(options.config)
    model = read_model(options.model or config.model_path)
    rules = config.rules(model.spec)
    labels = _labels(options.classes, model.spec)
    rules_file = options.out / "decision.yaml"
    # What an earlier run chose must not pass for this one's.
    rules_file.unlink(missing_ok=True)
    peaks = PeakList(options.out)
    known = peaks.mark(options.true)
    recordings = find_recordings(options.paths)
    heard = hearing.hear(
        recordings,
        config,
        model,
        options.out / "scores",
        jobs=options.jobs or len(os.sched_getaffinity(0)),
        progress_on=sys.stderr,
    )
    for complaint in heard.complaints:
        print(f"rainwatchd: {complaint}", file=sys.stderr)
    quiet = _quiet(heard, known, rules)
    curves = {
        label: Curve(quiet.stretches, model.spec.labels.index(label), rules[label], quiet.step_s)
        for label in labels
    }
    listed = highest(curves, quiet.stretches, known)
    real = [peak for peak in known if peak.real]
    peaks.write(_together(known, listed))
    channel = config.audio.channel_number
    failed = write_clips(options.out, [*real, *listed], model, channel, options.utc_offset)
    for complaint in failed:
        print(f"rainwatchd: {complaint}", file=sys.stderr)
    print_hours(heard, quiet, real)
    print_peaks(listed, options.out)
    allowed = int(options.false_alarms_per_day * quiet.days)
    chosen = {}
    for label, curve in curves.items():
        on = curve.lowest(allowed, model.spec.decision[label].on_threshold)
        if on is None:
            raise RainwatchError(
                f"{label}: no threshold below 1 keeps this ambience to {allowed} alarms; listen to "
                f"{options.out / 'peaks'}: mark what is real by --true, or adapt the model"
            )
        chosen[label] = at_threshold(rules[label], on)
        choice = Choice(label, curve, rules[label], chosen[label])
        print_choice(choice, model, quiet, options.false_alarms_per_day)
    _write_rules(rules_file, chosen, model)
    print(f"\nfor the configuration: {rules_file}")
    return 1 if heard.complaints or failed else 0


def _labels(classes: Sequence[str], spec: ModelSpec) -> list[str]:
    unknown = [label for label in classes if label not in spec.decision]
    if unknown:
        raise RainwatchError(
            f"--classes {unknown[0]}: {spec.name} raises alerts of {', '.join(spec.decision)}"
        )
    return list(classes) or [label for label in spec.decision if label not in _WEATHER]


def _quiet(heard: Ambience, known: Sequence[Peak], rules: Mapping[str, DecisionRule]) -> Ambience:
    """Return the ambience without what was marked as real."""
    span_s = max(rule.span_s for rule in rules.values())
    left = [without(stretch, known, span_s) for stretch in heard.stretches]
    quiet = replace(heard, stretches=tuple(stretch for stretch in left if stretch.end_s.size))
    if not quiet.stretches:
        raise RainwatchError("nothing to calibrate on: all of it was marked as real")
    return quiet


def _together(known: Sequence[Peak], listed: Sequence[Peak]) -> list[Peak]:
    """Return every peak that has a number, so that none is given twice."""
    newest = {peak.number: peak for peak in [*listed, *(old for old in known if old.real)]}
    return [
        ({old.number: old for old in known} | newest)[number]
        for number in sorted({peak.number for peak in known} | set(newest))
    ]


def _write_rules(file: Path, rules: Mapping[str, DecisionRule], model: ModelFile) -> None:
    lines = [f"# By rainwatchd calibrate for {model.name}, {model.digest[:12]}.", "decision:"]
    for label, rule in rules.items():
        lines += [
            f"  {label}:",
            f"    on_threshold: {rule.on_threshold:g}",
            f"    off_threshold: {rule.off_threshold:g}",
        ]
    write_whole(file, ("\n".join(lines) + "\n").encode())


def _rate(text: str) -> float:
    rate = float(text)
    if not 0.0 < rate <= 1000.0:
        raise argparse.ArgumentTypeError(f"{text}; allowed: above 0, at most 1000")
    return rate


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.replace(",", " ").split()]
