"""The Markdown model card: how good the model is, where it ends, what it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rainwatchd.decision.clip_judgement import UNMEASURED_THRESHOLD
from rainwatchd.hearing.model_file import ModelFile
from rainwatchd.whole import write_whole
from training.dataset import Clip
from training.evaluation import tables
from training.evaluation.intervals import Share
from training.evaluation.reach import Place
from training.evaluation.verdict import Row, Verdict

_FIGURE_TITLES = {
    "recall": "Events found against signal-to-noise ratio",
    "reach": "Found against distance",
    "detection_error": "Events missed against false alarms",
    "calibration": "Calibration",
    "clips": "Five-second clips: what they are against what they are judged",
    "latency": "Time from an event's first sound to its alert",
}


@dataclass(frozen=True)
class Card:
    """What a model card is written from."""

    model: ModelFile
    verdict: Verdict
    others: Sequence[Row]
    """Lines for comparison, on the same streams."""
    reach: Mapping[Place, Share]
    figures: Mapping[str, Path]
    trained_on: Sequence[Clip]
    """What a model of this licence may be trained on; each is attributed."""
    notes: str
    """Markdown: where it ends."""
    quantised: str = ""
    """One line on what int8 loses."""
    against: str = ""
    """One line on how it does against another model."""

    def write(self, path: Path) -> None:
        """Write the card to `path` and the attributions beside it, whole or not at all."""
        attribution = path.with_name(f"{path.stem}.attribution.md")
        pictures = " ".join(
            f"![{_FIGURE_TITLES[name]}]({figure.name})" for name, figure in self.figures.items()
        )
        verdict = self.verdict
        parts = [
            _head(self.model),
            tables.accuracy([verdict.row, *self.others]),
            self.against,
            tables.engines(verdict.row),
            tables.others(verdict.row),
            _false_alarms(verdict),
            tables.short_clips(verdict.clips),
            tables.reach(self.reach),
            pictures,
            self.notes.strip(),
            _what_it_is(self.model, self.quantised),
            _data(self.trained_on, self.model, attribution.name),
        ]
        write_whole(attribution, _attribution(self.trained_on).encode())
        write_whole(path, ("\n\n".join(text for text in parts if text) + "\n").encode())


def _head(model: ModelFile) -> str:
    spec = model.spec
    licence = spec.licence or "not stated"
    heard = ", ".join(label for label in spec.labels if label in spec.decision)
    told = tables.filled(
        f"""`{model.path.name}`, {model.size_bytes / 1e6:.1f} MB, licence {licence}. Hears {heard}
        against forest background."""
    )
    return f"# Model card: {spec.name} {spec.version}\n\n{told}"


def _false_alarms(verdict: Verdict) -> str:
    counts: dict[str, int] = defaultdict(int)
    for alarm in verdict.false_alarms:
        if alarm.label != "storm":
            counts[f"{alarm.label} during `{alarm.recording}` ({alarm.clip_label})"] += 1
    named = "; ".join(
        what if count == 1 else f"{what}, {count} times" for what, count in sorted(counts.items())
    )
    return tables.filled(f"False alarms in the land: {named}.") if named else ""


def _what_it_is(model: ModelFile, quantised: str) -> str:
    spec = model.spec
    rules = "\n".join(
        f"| {label} | {rule.smoothing} over {rule.span_s:g} s | {rule.on_threshold:.3f} | "
        f"{rule.off_threshold:.3f} | {rule.min_positive_s:g} of {rule.within_s:g} s | "
        f"{rule.release_s:g} s | {spec.clip_thresholds.get(label, UNMEASURED_THRESHOLD):.2f} |"
        for label, rule in spec.decision.items()
    )
    told = tables.filled(
        f"""Input: log-mel decibels, {spec.n_mels} bands of {spec.fmin_hz:g} to {spec.fmax_hz:g} Hz,
        {spec.window_frames} frames ({spec.window_s:g} s) at {spec.sample_rate_hz} Hz, one window
        each {spec.step_s:g} s. Output: one score for each of {", ".join(spec.labels)}.
        {quantised}"""
    )
    return f"""## What it is

{told}

| class | smoothing | on | off | starts after | ends after | five-second clip |
|---|---|---|---|---|---|---|
{rules}"""


def _data(used: Sequence[Clip], model: ModelFile, attribution: str) -> str:
    minutes: dict[str, float] = defaultdict(float)
    for clip in used:
        minutes[clip.label] += clip.duration_s / 60
    amounts = ", ".join(f"{label} {amount:.0f} min" for label, amount in sorted(minutes.items()))
    stated = ", ".join(f"{name} {value}" for name, value in model.spec.training_data.items())
    sources = len({clip.source for clip in used})
    return tables.filled(
        f"""Trained on {amounts} of {sources} collections. {stated}. Who made the recordings:
        [{attribution}]({attribution})."""
    )


def _attribution(used: Sequence[Clip]) -> str:
    groups: dict[tuple[str, str, str], list[Clip]] = defaultdict(list)
    for clip in used:
        groups[clip.source, clip.license, clip.license_checked].append(clip)
    parts = ["# Recordings that the model was trained on\n"]
    for (source, licence, checked), own in sorted(groups.items()):
        minutes = sum(clip.duration_s for clip in own) / 60
        labels = ", ".join(sorted({clip.label for clip in own}))
        parts.append(f"\n## {source}: {licence or 'licence not stated'} (checked {checked})\n\n")
        parts.append(f"{len(own)} clips, {minutes:.1f} minutes: {labels}.\n\n")
        names = sorted({clip.attribution for clip in own if clip.attribution})
        parts += [f"- {name}\n" for name in names]
    return "".join(parts)
