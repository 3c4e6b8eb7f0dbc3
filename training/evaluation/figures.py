"""The model card's pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.suite import SNR_DB
from training.evaluation.verdict import Row, Verdict, key

_WIDE = (8.0, 3.4)
_SMALLEST_RATE = 0.05
"""False alarms per hour at the left edge of the detection-error curve: one in 20 hours."""


def draw(verdict: Verdict, rows: Sequence[Row], stem: Path) -> dict[str, Path]:
    """Write one PNG a figure, ``<stem>.<figure>.png``; return figure -> path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    paths = {}
    for name, (make, size) in _FIGURES.items():
        figure = pyplot.figure(figsize=size, layout="constrained")
        make(figure, verdict, rows)
        paths[name] = stem.with_name(f"{stem.name}.{name}.png")
        part = stem.with_name(f".{stem.name}.{name}.part.png")
        figure.savefig(part, dpi=100)
        part.replace(paths[name])
        pyplot.close(figure)
    return paths


def _recall(figure: Any, verdict: Verdict, rows: Sequence[Row]) -> None:
    axes = figure.subplots(1, len(SNR_DB), sharey=True)
    for axis, (label, ratios) in zip(axes, SNR_DB.items(), strict=True):
        for row in (verdict.row, *rows):
            known = [ratio for ratio in ratios if key(label, ratio) in row.recall]
            recall = [row.recall[key(label, ratio)] for ratio in known]
            axis.plot(known, recall, marker="o", label=row.name)
        axis.set(title=label, xlabel="signal-to-noise ratio, 50-4000 Hz (dB)", ylim=(-0.03, 1.03))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("events found")
    axes[-1].legend(fontsize=7)


def _detection_error(figure: Any, verdict: Verdict, rows: Sequence[Row]) -> None:
    axis = figure.subplots()
    for label, events in verdict.events.items():
        rate = np.maximum(events.false_alarms_per_h, _SMALLEST_RATE)
        axis.step(rate, 1.0 - events.recall_curve, where="post", label=label)
    axis.set(
        xscale="log",
        xlim=(_SMALLEST_RATE, 10.0),
        ylim=(0.0, 1.0),
        xlabel="false alarms per hour",
        ylabel="events missed, all ratios together",
    )
    axis.grid(alpha=0.3, which="both")
    axis.legend()


def _roc(figure: Any, verdict: Verdict, rows: Sequence[Row]) -> None:
    axis = figure.subplots()
    for label, curve in verdict.roc.items():
        axis.plot(
            np.maximum(curve.false_positive, 1e-5),
            curve.true_positive,
            label=f"{label} (area {curve.area:.3f})",
        )
    axis.set(xscale="log", xlim=(1e-5, 1.0), xlabel="false positive rate of windows")
    axis.set(ylabel="true positive rate of windows", ylim=(0.0, 1.0))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)


def _confusion(figure: Any, verdict: Verdict, rows: Sequence[Row]) -> None:
    axis = figure.subplots()
    counts, labels = verdict.confusion.counts, verdict.confusion.labels
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axis.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for (true, called), count in np.ndenumerate(counts):
        colour = "white" if share[true, called] > 0.5 else "black"
        axis.text(called, true, str(count), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(labels)), labels, rotation=30)
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="called", ylabel="is")


def _calibration(figure: Any, verdict: Verdict, rows: Sequence[Row]) -> None:
    axis = figure.subplots()
    measured = verdict.calibration
    axis.plot((0, 1), (0, 1), color="grey", linestyle=":")
    axis.plot(measured.confidence, measured.accuracy, marker="o")
    axis.set(xlabel="highest score", ylabel="share of windows that are right")
    axis.set(xlim=(0, 1), ylim=(0, 1), title=f"expected error {measured.error:.3f}")


def _latency(figure: Any, verdict: Verdict, rows: Sequence[Row]) -> None:
    axis = figure.subplots()
    axis.hist(verdict.latencies_s, bins=np.arange(0.0, 31.0, 1.0))
    axis.set(xlabel="from an event's first sound to its alert (s)", ylabel="events")


_FIGURES: Mapping[str, tuple[Any, tuple[float, float]]] = {
    "recall": (_recall, _WIDE),
    "detection_error": (_detection_error, (5.0, 3.4)),
    "roc": (_roc, (5.0, 3.4)),
    "confusion": (_confusion, (4.2, 3.8)),
    "calibration": (_calibration, (4.0, 3.6)),
    "latency": (_latency, (5.0, 3.0)),
}
