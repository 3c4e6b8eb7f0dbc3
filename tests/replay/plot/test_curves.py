"""The curves of scores leave blank what was not recorded."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from rainwatchd.hearing.window import Window
from rainwatchd.replay.plot.curves import Curves
from tests.tiny_model import SPEC

RATE_HZ = SPEC.sample_rate_hz


def test_a_gap_is_not_bridged() -> None:
    curves = Curves(SPEC, SPEC.decision)
    scores = tuple(1.0 / len(SPEC.labels) for _ in SPEC.labels)
    for start_s in (0, 1, 2, 200, 201):
        start = start_s * RATE_HZ
        curves.push(Window(start, start + round(SPEC.window_s * RATE_HZ), scores, -40.0), 1.0)
    axes = Figure().subplots()
    curves.draw(axes, dict.fromkeys(SPEC.decision, "black"))
    thin, thick = axes.get_lines()[:2]
    for line in (thin, thick):
        blank = np.isnan(np.asarray(line.get_ydata(), float))
        assert list(blank) == [False, False, False, True, False, False]
