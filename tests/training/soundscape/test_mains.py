"""Noise of the mains: steady lines where the supply puts them, in every kind finite and seeded."""

from __future__ import annotations

import numpy as np

from training.soundscape.mains import mains_noise

RATE_HZ = 16000


def test_one_generator_state_gives_the_same_noise() -> None:
    first, again = (mains_noise(8000, RATE_HZ, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert first.shape == (8000,)


def test_most_of_it_is_lines_at_multiples_of_the_mains() -> None:
    on_lines = 0
    for seed in range(40):
        sound = mains_noise(4 * RATE_HZ, RATE_HZ, np.random.default_rng(seed))
        assert np.isfinite(sound).all()
        assert np.abs(sound).max() > 0.0
        power = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
        hz = np.fft.rfftfreq(sound.size, 1 / RATE_HZ)
        near = np.zeros(hz.size, bool)
        for mains_hz in (50.0, 60.0):
            multiple = np.rint(hz / mains_hz)
            near |= (multiple > 0) & (np.abs(hz - multiple * mains_hz) < 1.0 + 0.004 * hz)
        assert power[hz < 4500.0].sum() > 0.9 * power.sum()
        on_lines += power[near & (hz < 1000.0)].sum() > 0.6 * power.sum()
    assert on_lines >= 20
