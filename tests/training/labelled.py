"""Small labelled data made of tones and noise, which the stand-in model can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from rainwatchd.hearing.window import Window
from tests.sounds import scene
from training.dataset import Clip
from training.evaluation.scoring import Scored
from training.evaluation.streams import Stream, Truth
from training.evaluation.suite import Heard, Place, Suite

RATE_HZ = 16000
LABELS = ("background", "chainsaw", "engine", "storm")


def write_tones(folder: Path, recordings: int = 2) -> Path:
    """Write class folders: pure tones of 6 s for what alerts, 20 s of noise for the rest."""
    for number in range(recordings):
        for label in LABELS[1:]:
            write(folder / label / f"{number}.wav", scene(RATE_HZ, (label, 6.0)))
        noise = np.random.default_rng(number).normal(0.0, 0.05, 20 * RATE_HZ)
        write(folder / "background" / f"{number}.wav", noise)
    return folder


def write(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz)
    return path


def clip(recording: str, label: str, source: str = "field", **more: object) -> Clip:
    return Clip(Path(f"{recording}.wav"), recording, label, label, source, 5.0, **more)  # type: ignore[arg-type]


def scored(
    scores: Sequence[Sequence[float]],
    truth: Sequence[tuple[str, float, float]] = (),
    labels: tuple[str, ...] = LABELS,
    window_s: int = 4,
    kinds: tuple[str, ...] = (),
    name: str | None = None,
) -> Scored:
    """One window a second, the first ending at `window_s`."""
    windows = tuple(
        Window(number * RATE_HZ, (number + window_s) * RATE_HZ, tuple(row), -40.0)
        for number, row in enumerate(scores)
    )
    stream = Stream(
        "made up",
        RATE_HZ,
        float(len(scores) + window_s - 1),
        tuple(
            Truth(label, on, off, name or f"{label} {on}", "made up", kinds=kinds)
            for label, on, off in truth
        ),
        lambda: iter(()),
    )
    return Scored(stream, labels, 1.0, windows)


def one_class(values: Sequence[float] | np.ndarray, label: str = "chainsaw") -> list[list[float]]:
    """Rows of scores where one class has `values` and background the rest."""
    rows = []
    for value in values:
        row = [0.0] * len(LABELS)
        row[LABELS.index(label)] = value
        row[0] = 1.0 - value
        rows.append(row)
    return rows


def suite(
    events: Mapping[Place, Scored] | None = None,
    land: Scored | None = None,
    others: Sequence[Scored] = (),
    bare: Sequence[Scored] = (),
) -> Suite:
    """What one model heard."""
    quiet = () if land is None else (land,)
    return Suite((Heard(events or {}, quiet, tuple(others), tuple(bare), ()),))
