import numpy as np
import pytest

from training.soundscape.outdoors import (
    a_weighted_power,
    a_weighting_db,
    air_absorption_db_per_m,
    foliage_db,
    spreading_db,
)

OCTAVES_HZ = np.array([63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0])
# The standard's tables are of exact mid-band frequencies.
EXACT_HZ = 1000.0 * 10.0 ** (0.3 * np.arange(-4.0, 4.0))


@pytest.mark.parametrize(
    ("temperature_c", "humidity_percent", "db_per_km"),
    [
        (10, 70, [0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117.0]),
        (20, 70, [0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6]),
        (30, 70, [0.1, 0.3, 1.0, 3.1, 7.4, 12.7, 23.1, 59.3]),
        (15, 20, [0.3, 0.6, 1.2, 2.7, 8.2, 28.2, 88.8, 202.0]),
        (15, 50, [0.1, 0.5, 1.2, 2.2, 4.2, 10.8, 36.2, 129.0]),
        (15, 80, [0.1, 0.3, 1.1, 2.4, 4.1, 8.3, 23.7, 82.8]),
    ],
)
def test_air_absorbs_what_the_standards_table_says(
    temperature_c: float, humidity_percent: float, db_per_km: list[float]
) -> None:
    """Values: ISO 9613-2:1996, table 2, which is made of ISO 9613-1."""
    loss = 1000 * air_absorption_db_per_m(EXACT_HZ, temperature_c, humidity_percent)
    np.testing.assert_allclose(loss, db_per_km, rtol=0.006, atol=0.05)


def test_the_a_weighting_is_the_standards() -> None:
    """Values: IEC 61672-1:2013, table 3, rounded there to 0.1 dB."""
    wanted = [-26.2, -16.1, -8.6, -3.2, 0.0, 1.2, 1.0, -1.1]
    np.testing.assert_allclose(a_weighting_db(EXACT_HZ), wanted, atol=0.06)


def test_a_tone_weighs_what_its_frequency_does() -> None:
    tone = np.sin(2 * np.pi * 125 * np.arange(16000) / 16000).astype(np.float32)
    power = a_weighted_power(tone, 16000)
    assert 10 * np.log10(power / 0.5) == pytest.approx(-16.2, abs=0.2)


def test_foliage_takes_highs_first_and_no_more_beyond_its_edge() -> None:
    near, far, further = (foliage_db(OCTAVES_HZ, distance) for distance in (100, 200, 1000))
    np.testing.assert_allclose(near[[3, 7]], [5.0, 12.0])
    assert (np.diff(near) > 0).all()
    np.testing.assert_array_equal(far, further)
    assert spreading_db(1.0) == 0.0
    assert spreading_db(500.0) == pytest.approx(54.0, abs=0.05)
