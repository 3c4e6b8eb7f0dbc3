"""Sounds that the stand-in model takes for one thing or another."""

from __future__ import annotations

import numpy as np

from rainwatchd.audio.samples import Floats

HZ = {"chainsaw": 1000.0, "engine": 150.0, "storm": 3500.0}


def scene(rate_hz: int, *parts: tuple[str | None, float]) -> Floats:
    """Lay parts of (label or None, seconds) after one another over faint noise."""
    pieces = []
    for label, duration_s in parts:
        seconds = np.arange(round(duration_s * rate_hz)) / rate_hz
        hz = 0.0 if label is None else HZ[label]
        pieces.append(0.2 * np.sin(2 * np.pi * hz * seconds))
    sound = np.concatenate(pieces)
    noise = np.random.default_rng(7).normal(0.0, 1e-3, sound.size)
    return (sound + noise).astype(np.float32)
