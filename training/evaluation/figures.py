"""The model card's pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from training.evaluation.intervals import Share
from training.evaluation.reach import AMBIENCE_DB_A, DISTANCES_M, MACHINES, Place
from training.evaluation.suite import SNR_DB
from training.evaluation.verdict import Row, Verdict, key

_WIDE = (8.0, 3.4)
_SMALLEST_RATE = 0.05
"""False alarms per hour at the left edge of the detection-error curve: one in 20 hours."""


def draw(
    verdict: Verdict, rows: Sequence[Row], reach: Mapping[Place, Share], stem: Path
) -> dict[str, Path]:
    """Write one PNG a figure, ``<stem>.<figure>.png``; return figure -> path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    def save(name: str, size: tuple[float, float], make: Any, *what: Any) -> None:
        figure = pyplot.figure(figsize=size, layout="constrained")
        make(figure, *what)
        paths[name] = stem.with_name(f"{stem.name}.{name}.png")
        part = stem.with_name(f".{stem.name}.{name}.part.png")
        figure.savefig(part, dpi=100)
        part.replace(paths[name])
        pyplot.close(figure)

    paths: dict[str, Path] = {}
    save("recall", _WIDE, _recall, (verdict.row, *rows))
    if reach:
        save("reach", _WIDE, _reach, reach)
    save("detection_error", (5.0, 3.4), _detection_error, verdict)
    save("calibration", (4.0, 3.6), _calibration, verdict)
    if verdict.clips is not None:
        save("clips", (4.2, 3.8), _clips, verdict)
    save("latency", (5.0, 3.0), _latency, verdict)
    return paths


def _recall(figure: Any, rows: Sequence[Row]) -> None:
    groups = [name for name in SNR_DB if name != "engine, other"]
    axes = figure.subplots(1, len(groups), sharey=True)
    for axis, group in zip(axes, groups, strict=True):
        for number, row in enumerate(rows):
            known = [ratio for ratio in SNR_DB[group] if key(group, ratio) in row.recall]
            shares = [row.recall[key(group, ratio)] for ratio in known]
            _with_intervals(axis, [ratio + 0.25 * number for ratio in known], shares, row.name)
        axis.set(title=group, xlabel="signal-to-noise ratio,\n50-4000 Hz (dB)")
        axis.set_ylim(-0.03, 1.03)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("events found")
    axes[-1].legend(fontsize=7)


def _reach(figure: Any, reach: Mapping[Place, Share]) -> None:
    axes = figure.subplots(1, len(MACHINES), sharey=True)
    for axis, machine in zip(axes, MACHINES, strict=True):
        for number, level in enumerate(AMBIENCE_DB_A):
            known = [m for m in DISTANCES_M if (machine.name, m, level) in reach]
            shares = [reach[machine.name, m, level] for m in known]
            at = [metres * (1.0 + 0.02 * number) for metres in known]
            _with_intervals(axis, at, shares, f"over {level} dB(A)")
        axis.set(title=f"{machine.name}, {machine.level_db_a:g} dB(A) at 1 m", xscale="log")
        axis.set_xticks(DISTANCES_M, [str(metres) for metres in DISTANCES_M], rotation=45)
        axis.set(xlabel="distance (m)", ylim=(-0.03, 1.03))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("found")
    axes[-1].legend(fontsize=8)


def _with_intervals(axis: Any, at: Sequence[float], shares: Sequence[Share], name: str) -> None:
    values = np.array([share.value for share in shares])
    low = values - np.array([share.low for share in shares])
    high = np.array([share.high for share in shares]) - values
    # A bootstrap's interval may leave the value itself a hair outside.
    errors = np.maximum([low, high], 0.0)
    axis.errorbar(at, values, yerr=errors, marker="o", markersize=4, capsize=2, label=name)


def _detection_error(figure: Any, verdict: Verdict) -> None:
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


def _clips(figure: Any, verdict: Verdict) -> None:
    assert verdict.clips is not None
    axis = figure.subplots()
    counts, labels = verdict.clips.counts, verdict.clips.labels
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axis.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    for (true, called), count in np.ndenumerate(counts):
        colour = "white" if share[true, called] > 0.5 else "black"
        axis.text(called, true, str(count), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(labels)), labels, rotation=30)
    axis.set_yticks(range(len(labels)), labels)
    axis.set(xlabel="judged", ylabel="is", title="five-second clips")


def _calibration(figure: Any, verdict: Verdict) -> None:
    axis = figure.subplots()
    measured = verdict.calibration
    axis.plot((0, 1), (0, 1), color="grey", linestyle=":")
    axis.plot(measured.confidence, measured.accuracy, marker="o")
    axis.set(xlabel="highest score", ylabel="share of windows that are right")
    axis.set(xlim=(0, 1), ylim=(0, 1), title=f"expected error {measured.error:.3f}")


def _latency(figure: Any, verdict: Verdict) -> None:
    axis = figure.subplots()
    axis.hist(verdict.latencies_s, bins=np.arange(0.0, 31.0, 1.0))
    axis.set(xlabel="from an event's first sound to its alert (s)", ylabel="events")
