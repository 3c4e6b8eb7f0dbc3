"""The int8 model that ships loses nothing to its float twin, which is kept for the tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import PACKAGED
from training.dataset import read
from training.evaluation.matching import alerts, match
from training.evaluation.scoring import DaemonListener, Scored, score
from training.evaluation.streams import event_streams

RECORDINGS = Path(__file__).parent / "recordings"
FLOAT = Path(__file__).parent / "models" / "rainwatch-float.onnx"
"""The same network in float32, its weights stored in half precision; see the Makefile."""

HALF_A_POINT = 0.005
RATIOS_DB = {"chainsaw": (0.0, -10.0), "engine": (10.0, 0.0)}


class _Twins:
    """Scores every window with both files and gives the scores of both, one after the other."""

    def __init__(self) -> None:
        self._files = (Classifier(PACKAGED), Classifier(FLOAT))
        self.spec = self._files[0].spec

    def scores(self, log_mel: Floats) -> tuple[float, ...]:
        return tuple(score for file in self._files for score in file.scores(log_mel))


def _of_one(scored: Scored, first: int) -> Scored:
    windows = [
        replace(window, scores=window.scores[first : first + 4]) for window in scored.windows
    ]
    return replace(scored, windows=tuple(windows))


@pytest.mark.slow
def test_int8_loses_at_most_half_a_point_of_recall_to_fp32_at_the_working_point() -> None:
    twins = _Twins()
    listener = DaemonListener(twins, "both")
    clips = read(RECORDINGS)
    beds = [clip for clip in clips if clip.label in ("background", "storm")]
    found: tuple[list[bool], list[bool]] = ([], [])
    differences = []
    for label, ratios_db in RATIOS_DB.items():
        events = [clip for clip in clips if clip.label == label]
        streams = event_streams(
            events, beds, ratios_db=ratios_db, slots=50, rate_hz=listener.rate_hz, seed=5
        )
        for stream in streams.values():
            both = score(listener, stream)
            scores = np.array([window.scores for window in both.windows])
            differences.append(np.abs(scores[:, :4] - scores[:, 4:]).mean())
            for mine, first in zip(found, (0, 4), strict=True):
                made = alerts(_of_one(both, first), twins.spec.decision)
                matched = match(stream.truth, made, stream.duration_s)
                mine += [finding.latency_s is not None for finding in matched.findings]
    assert 0.3 < np.mean(found[1]) < 1.0
    assert np.mean(found[0]) >= np.mean(found[1]) - HALF_A_POINT
    assert np.mean(differences) < 0.02
