"""Distance takes the highs; the microphone keeps the level that was asked for."""

from __future__ import annotations

import numpy as np

from rainwatchd.audio.samples import Floats
from training.soundscape.propagation import Path, coloured_noise, rain_on_housing

RATE_HZ = 16000


def _white(seed: int) -> Floats:
    return np.random.default_rng(seed).standard_normal(RATE_HZ).astype(np.float32) * 0.1


def _tilt_db(samples: Floats) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    hertz = np.fft.rfftfreq(samples.size, 1 / RATE_HZ)
    return float(10 * np.log10(power[hertz > 4000].mean() / power[hertz < 800].mean()))


def test_distance_takes_the_highs_and_never_adds_them() -> None:
    path = Path(RATE_HZ)
    tilts = [_tilt_db(path.distance(_white(i), np.random.default_rng(i))) for i in range(30)]
    assert np.median(tilts) < -6.0
    assert max(tilts) < 3.0


def test_one_seed_gives_one_sound() -> None:
    heard = [Path(RATE_HZ).distance(_white(1), np.random.default_rng(9)) for _ in range(2)]
    np.testing.assert_array_equal(heard[0], heard[1])


def test_the_microphone_sets_the_level() -> None:
    path = Path(RATE_HZ)
    for seed, level_dbfs in enumerate((-50.0, -30.0, -20.0)):
        heard = path.microphone(_white(seed), level_dbfs, np.random.default_rng(seed))
        assert np.abs(heard).max() <= 1.0
        assert abs(10 * np.log10(np.mean(heard**2)) - level_dbfs) < 3.0


def test_made_up_ambience_is_sound() -> None:
    for make in (rain_on_housing, coloured_noise):
        sounds = [make(RATE_HZ, RATE_HZ, np.random.default_rng(seed)) for seed in range(8)]
        for sound in sounds:
            assert sound.shape == (RATE_HZ,)
            assert np.isfinite(sound).all()
            assert np.abs(sound).max() <= 1.0
        assert any(np.abs(sound).max() > 0.9 for sound in sounds)
