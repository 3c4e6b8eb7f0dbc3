"""A supply's hum under the forest is told from engines and saws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.steady_tone import LOOK_EVERY_S, LOOKS, SteadyTone

RATE_HZ = 16_000
RECORDINGS = Path(__file__).parents[1] / "recordings"
DURATION_S = LOOKS * LOOK_EVERY_S
ENGINES = ("engine/ibm_max_car_engine", "engine/esc50_3-119455-A", "engine/forest_wise_pajero_idle")
AMBIENCES = ("background/quietsleep_forest-night-insects", "background/bird_whizz_forest_birds")
SAWS = ("chainsaw/esc10_freesound-19898", "chainsaw/esc10_008_4-169127-B")


def recording(name: str) -> Floats:
    samples, rate_hz = soundfile.read(RECORDINGS / f"{name}.ogg", dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return mono if rate_hz == RATE_HZ else np.asarray(soxr.resample(mono, rate_hz, RATE_HZ))


def buzz(at_s: np.ndarray, mains_hz: float) -> np.ndarray:
    """Mains that wander by 0.04 Hz, with two dozen harmonics."""
    phase = 2 * np.pi * (mains_hz * at_s + 0.04 * 97 / (2 * np.pi) * np.sin(at_s / 97))
    return np.asarray(sum(np.sin(k * phase + k) / k**0.7 for k in range(1, 25)))


def verdict(look_at: list[Floats]) -> str | None:
    watch = SteadyTone(RATE_HZ)
    said = [watch.look(samples) for samples in look_at]
    assert not any(said[: LOOKS - 1])
    return said[-1]


def looks() -> list[np.ndarray]:
    """The seconds of each look."""
    span = np.arange(4 * RATE_HZ) / RATE_HZ
    return [number * LOOK_EVERY_S + span for number in range(LOOKS)]


@pytest.mark.parametrize(
    ("bed", "mains_hz", "below_db"),
    [
        ("quietsleep_forest-night-insects", 50, 25),
        ("quietsleep_forest-night-insects", 60, 10),
        ("bird_whizz_forest_birds", 50, 30),
        ("bird_whizz_forest_birds", 60, 30),
    ],
)
def test_a_buzz_below_the_night_or_birds_is_a_hum(bed: str, mains_hz: int, below_db: int) -> None:
    night = recording(f"background/{bed}")
    level = np.sqrt(np.mean(night**2)) * 10 ** (-below_db / 20)
    heard = []
    for at_s in looks():
        around = np.take(night, (at_s * RATE_HZ).astype(int), mode="wrap")
        hum = buzz(at_s, mains_hz)
        heard.append((around + level * hum / np.sqrt(np.mean(hum**2))).astype(np.float32))
    assert verdict(heard) == f"hum of the mains, {mains_hz} Hz and its multiples"


@pytest.mark.parametrize("name", [*ENGINES, *SAWS, *AMBIENCES])
def test_engines_saws_and_the_forest_are_not(name: str) -> None:
    # No recording lasts five minutes. Repeated as it is, a recording is steadier than any engine;
    # so its speed wanders by half a percent, as a governor lets it.
    samples, heard = recording(name), []
    for at_s in looks():
        wandered_s = at_s + 0.005 * 23 / (2 * np.pi) * np.sin(2 * np.pi * at_s / 23)
        at = (wandered_s * RATE_HZ) % (samples.size - 1)
        heard.append(np.interp(at, np.arange(samples.size), samples).astype(np.float32))
    assert verdict(heard) is None
