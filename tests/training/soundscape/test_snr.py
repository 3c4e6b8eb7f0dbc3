import numpy as np
import pytest

from training.soundscape.snr import band_power, gain_for

RATE_HZ = 16000


def tone(hz: float, amplitude: float = 1.0) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)


def test_a_tone_in_the_band_has_half_its_amplitude_squared() -> None:
    assert band_power(tone(1000.0, 0.5), RATE_HZ) == pytest.approx(0.125, rel=1e-5)


@pytest.mark.parametrize("hz", [20.0, 4500.0, 7000.0])
def test_what_is_outside_the_band_does_not_count(hz: float) -> None:
    assert band_power(tone(hz), RATE_HZ) < 1e-9


@pytest.mark.parametrize("snr_db", [-18.0, 0.0, 7.5])
def test_the_gain_gives_the_ratio(snr_db: float) -> None:
    rng = np.random.default_rng(1)
    event, ambience = rng.normal(size=(2, RATE_HZ)).astype(np.float32)
    ambience += 50 * tone(20.0)
    scaled = np.float32(gain_for(event, ambience, snr_db, RATE_HZ)) * event
    ratio = band_power(scaled, RATE_HZ) / band_power(ambience, RATE_HZ)
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=1e-3)


def test_a_ratio_to_silence_is_refused() -> None:
    with pytest.raises(ValueError, match="silence"):
        gain_for(tone(1000.0), np.zeros(RATE_HZ, np.float32), 0.0, RATE_HZ)
