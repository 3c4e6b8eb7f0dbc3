"""The shipped models on real engines: a truck and a diesel in a forest are found, by either."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from rainwatchd.audio.samples import Floats
from rainwatchd.config.options import Config
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import OPEN, PACKAGED
from rainwatchd.replay.replay import Found, Replay
from training.soundscape.looping import looped

RECORDINGS = Path(__file__).parent / "recordings"
FOREST = RECORDINGS / "background" / "bird_whizz_forest_birds.ogg"
RATE_HZ = 16000
LEVEL = 0.02
ABOVE = 10.0 ** (10.0 / 20.0)
"""Ten decibels."""


def at_level(path: Path, duration_s: float, level: float) -> Floats:
    """Play a recording for so long, with this root mean square."""
    sound, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    mono: Floats = soxr.resample(sound.mean(axis=1), rate_hz, RATE_HZ).astype(np.float32)
    whole = looped([mono], round(duration_s * RATE_HZ), 0.0, RATE_HZ)
    scaled: Floats = whole * np.float32(level / np.sqrt(np.mean(whole**2)))
    return scaled


@pytest.mark.parametrize("model", [PACKAGED, OPEN], ids=["default", "open"])
@pytest.mark.parametrize(
    "engine", ["esc50_3-128160-A", "esc50_5-243783-A"], ids=["truck", "diesel"]
)
def test_an_idling_engine_in_a_forest_is_found(model: Path, engine: str, tmp_path: Path) -> None:
    scene = at_level(FOREST, 45.0, LEVEL)
    scene[12 * RATE_HZ : 32 * RATE_HZ] += at_level(
        RECORDINGS / "engine" / f"{engine}.ogg", 20.0, LEVEL * ABOVE
    )
    path = tmp_path / "forest.wav"
    soundfile.write(path, scene, RATE_HZ, subtype="FLOAT")
    heard = Replay(Config(), "x").hear(path, Classifier(model))
    found = [item for item in heard if isinstance(item, Found) and item.end_s is not None]
    assert [item.detection.label for item in found] == ["engine"]
    assert found[0].start_s == pytest.approx(12.0, abs=8.0)
