"""The int8 model that ships finds what its fp32 twin finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rainwatchd.classifier import Classifier
from rainwatchd.events import Window
from rainwatchd.features import Floats
from rainwatchd.model_file import PACKAGED
from training.dataset import read
from training.scoring import DaemonListener
from training.streams import Stream, event_streams

RECORDINGS = Path(__file__).parent / "recordings"
RATIOS_DB = {"chainsaw": (0.0, -10.0), "engine": (10.0, 0.0)}
HALF_A_POINT = 0.005


class _Twins:
    """Scores every window with both files and gives the scores of both, one after the other."""

    def __init__(self) -> None:
        self._files = (Classifier(PACKAGED), Classifier(PACKAGED.with_stem("rainwatch-fp32")))
        self.spec = self._files[0].spec

    def scores(self, log_mel: Floats) -> tuple[float, ...]:
        return tuple(score for file in self._files for score in file.scores(log_mel))


@pytest.mark.slow
def test_int8_is_within_half_a_point_of_fp32_at_the_working_point() -> None:
    twins = _Twins()
    listener = DaemonListener(twins, "both")
    clips = read(RECORDINGS)
    beds = [clip for clip in clips if clip.label in ("background", "storm")]
    heard: list[tuple[Stream, Window, str]] = []
    for label, ratios_db in RATIOS_DB.items():
        events = [clip for clip in clips if clip.label == label]
        streams = event_streams(
            events, beds, ratios_db=ratios_db, slots=8, rate_hz=listener.rate_hz, seed=5
        )
        for stream in streams.values():
            heard += [(stream, window, label) for window in listener.windows(stream.blocks())]
    found = []
    differences = []
    for stream, window, label in heard:
        end_s = window.end / stream.rate_hz
        if not any(truth.onset_s + 4.0 < end_s < truth.offset_s for truth in stream.truth):
            continue
        column = twins.spec.labels.index(label)
        pair = np.array(window.scores).reshape(2, -1)[:, column]
        found.append(pair >= twins.spec.decision[label].on_threshold)
        differences.append(abs(np.subtract(*pair)))
    recall = np.mean(found, axis=0)
    assert len(found) > 300
    assert recall[1] > 0.2
    assert abs(recall[0] - recall[1]) <= HALF_A_POINT
    assert np.mean(differences) < 0.02
