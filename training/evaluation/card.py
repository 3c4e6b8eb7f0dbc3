"""The Markdown model card: what the model is, how good it is, what it was made of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rainwatchd.hearing.model_file import ModelFile
from training.dataset import Clip, publishable
from training.evaluation.matching import LOGGING
from training.evaluation.suite import SNR_DB
from training.evaluation.verdict import Row, Verdict, found_by_group, key

_FIGURE_TITLES = {
    "recall": "Events found against signal-to-noise ratio",
    "detection_error": "Events missed against false alarms",
    "roc": "Windows: true against false positives",
    "confusion": "Clips: what they are against what they are called",
    "calibration": "Calibration",
    "latency": "Time from an event's first sound to its alert",
}


@dataclass(frozen=True)
class Card:
    """What a model card is written from."""

    model: ModelFile
    verdict: Verdict
    others: Sequence[Row]
    """Lines for comparison, on the same streams."""
    figures: Mapping[str, Path]
    clips: Sequence[Clip]
    """All labelled data; those whose use is ``train`` are listed."""
    notes: str
    """Markdown that goes in as it is: ablations, limits."""

    def write(self, path: Path) -> None:
        """Write the card to `path` and the attributions beside it, whole or not at all."""
        attribution = path.with_name(f"{path.stem}.attribution.md")
        pictures = "\n\n".join(
            f"![{title}]({self.figures[name].name})" for name, title in _FIGURE_TITLES.items()
        )
        parts = [
            _head(self.model),
            _accuracy(self.verdict, self.others),
            _details(self.verdict),
            pictures,
            self.notes.strip(),
            _data(self.clips, self.model, attribution.name),
        ]
        replace_text(attribution, _attribution(self.clips))
        replace_text(path, "\n\n".join(text for text in parts if text) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the whole new one."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _head(model: ModelFile) -> str:
    spec = model.spec
    rules = "\n".join(
        f"| {label} | {rule.smoothing} over {rule.span_s:g} s | {rule.on_threshold:.3f} | "
        f"{rule.off_threshold:.3f} | {rule.min_positive_s:g} of {rule.within_s:g} s | "
        f"{rule.release_s:g} s |"
        for label, rule in spec.decision.items()
    )
    return f"""# Model card: {spec.name} {spec.version}

`{model.path.name}`, {model.size_bytes / 1e6:.1f} MB, SHA-256 `{model.digest}`

Hears {", ".join(label for label in spec.labels if label in spec.decision)} against forest
background. Input: log-mel decibels, {spec.n_mels} bands of {spec.fmin_hz:g} to {spec.fmax_hz:g} Hz,
{spec.window_frames} frames ({spec.window_s:g} s) at {spec.sample_rate_hz} Hz, one window each
{spec.step_s:g} s. Output: one score for each of {", ".join(spec.labels)}.

| class | smoothing | on | off | starts after | ends after |
|---|---|---|---|---|---|
{rules}"""


def _accuracy(verdict: Verdict, others: Sequence[Row]) -> str:
    columns = [(label, ratio) for label, ratios in SNR_DB.items() for ratio in ratios]
    head = " | ".join(f"{label} {ratio:+g}" for label, ratio in columns)
    lines = []
    for row in (verdict.row, *others):
        recall = " | ".join(_figure(row.recall.get(key(*column))) for column in columns)
        alarms = " / ".join(f"{row.false_alarms.get(label, 0)}" for label in LOGGING)
        late = "-" if row.latency_s is None else f"{row.latency_s:.1f} s"
        lines.append(f"| {row.name} | {recall} | {alarms} | {late} |")
    settings = "\n".join(
        f"- {row.name}: {row.setting}." for row in (verdict.row, *others) if row.setting
    )
    counted = next(iter(verdict.findings.values()), ())
    return f"""## Accuracy on recordings that it was not trained on

Share of events found; {len(counted)} events at each signal-to-noise ratio (dB, within 50 to
4000 Hz, over the event), one a minute, 12 to 25 s long, half of them with a low-pass of 1 to
8 kHz for distance. An alert of either logging class counts as found. False alarms
({" / ".join(LOGGING)}) are counted in {verdict.row.ambience_h:.1f} hours of background,
storm and other recordings, joined end to end.

| | {head} | false alarms | latency |
|---|{"---|" * (len(columns) + 2)}
{chr(10).join(lines)}

{settings}

Listeners other than the shipped rules were given their best threshold and smoothing on these very
streams, for at most one false alarm a class; the notes below say what the shipped rules were
chosen on."""


def _details(verdict: Verdict) -> str:
    wrong = "\n".join(
        f"- {alarm.label} during `{alarm.recording}` ({alarm.clip_label}), score {alarm.score:.2f}"
        for alarm in verdict.false_alarms
        if alarm.label in LOGGING
    )
    storms = sum(alarm.label not in LOGGING for alarm in verdict.false_alarms)
    groups: dict[str, list[str]] = defaultdict(list)
    for (label, ratio), findings in verdict.findings.items():
        for group, (found, total) in found_by_group(findings).items():
            groups[f"{label}, {group}"].append(f"{found}/{total} at {ratio:+g}")
    heard = "\n".join(
        f"| {name} | {', '.join(values)} |" for name, values in sorted(groups.items())
    )
    matrix = verdict.confusion
    classes = "\n".join(
        f"| {label} | {_figure(matrix.precision(label))} | {_figure(matrix.recall(label))} | "
        f"{verdict.roc[label].area:.3f} | {_events(verdict, label)} |"
        for label in matrix.labels
    )
    late = verdict.latencies_s
    latency = (
        f"Median {np.median(late):.1f} s, nine of ten within {np.quantile(late, 0.9):.1f} s."
        if late
        else "No event was found."
    )
    return f"""### False alarms

{wrong or "None of the logging classes."}

Storm alerts outside recordings labelled storm (waterfalls, surf and light rain among them):
{storms}.

### Latency

{latency}

### Found, by distance and collection

| events of | found |
|---|---|
{heard}

### Clips, windows and events

Precision and recall are of whole clips by their mean scores; area is under the ROC of windows;
the event figures are sed_scores_eval's (intersection-based, 0.3 / 0.3; PSDS up to 10 false alarms
an hour), all ratios and the ambience together. Expected calibration error
{verdict.calibration.error:.3f}.

| class | precision | recall | ROC area | event F1 | event precision | event recall | PSDS |
|---|---|---|---|---|---|---|---|
{classes}"""


def _events(verdict: Verdict, label: str) -> str:
    events = verdict.events.get(label)
    if events is None:
        return "- | - | - | -"
    return " | ".join(
        f"{value:.2f}" for value in (events.f1, events.precision, events.recall, events.psds)
    )


def _data(clips: Sequence[Clip], model: ModelFile, attribution: str) -> str:
    used = publishable(clips)
    minutes: dict[str, float] = defaultdict(float)
    sources: dict[str, list[Clip]] = defaultdict(list)
    for clip in used:
        minutes[clip.label] += clip.duration_s / 60
        sources[clip.source].append(clip)
    amounts = ", ".join(f"{label} {amount:.1f} min" for label, amount in sorted(minutes.items()))
    lines = "\n".join(
        f"| {source} | {len(group)} | {sum(clip.duration_s for clip in group) / 60:.1f} | "
        f"{', '.join(sorted({clip.label for clip in group}))} | "
        f"{', '.join(sorted({clip.license for clip in group if clip.license}))} |"
        for source, group in sorted(sources.items())
    )
    stated = ", ".join(f"{name} {value}" for name, value in model.spec.training_data.items())
    return f"""## Data

{amounts}. {stated}. Who made the recordings: [{attribution}]({attribution}).

| collection | clips | minutes | classes | licences |
|---|---|---|---|---|
{lines}"""


def _attribution(clips: Sequence[Clip]) -> str:
    groups: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for clip in publishable(clips):
        if clip.attribution:
            groups[clip.source, clip.license, clip.license_checked].add(clip.attribution)
    parts = ["# Recordings that the model was trained on\n"]
    for (source, licence, checked), names in sorted(groups.items()):
        parts.append(f"\n## {source}: {licence} (checked {checked})\n\n")
        parts += [f"- {name}\n" for name in sorted(names)]
    return "".join(parts)


def _figure(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.2f}"
