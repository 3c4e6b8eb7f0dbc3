"""What a sound loses on its way through a forest, and how loud an ear would call it.

Levels are in dB re 20 uPa, frequencies in Hz, shape ``(n,)``; losses are positive dB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats

Values = NDArray[np.floating[Any]]

_REFERENCE_K = 293.15
_TRIPLE_POINT_K = 273.16
_REFERENCE_KPA = 101.325

FOLIAGE_HZ = (63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
FOLIAGE_DB_PER_M = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.09, 0.12)
"""Dense foliage, by octave bands: ISO 9613-2:1996, table A.1."""

FOLIAGE_MOST_M = 200.0
"""What is further goes over the foliage, says the standard, and loses no more."""


def spreading_db(distance_m: float) -> float:
    """Loss of a point source in the free field against 1 m: 20 lg r."""
    return 20.0 * float(np.log10(distance_m))


def air_absorption_db_per_m(
    frequency_hz: Values, temperature_c: float, humidity_percent: float
) -> Values:
    """Absorption by air at 101.325 kPa: ISO 9613-1:1993, equations (3) to (5), B.2 and B.3."""
    kelvin = temperature_c + 273.15
    ratio = kelvin / _REFERENCE_K
    saturation = 10.0 ** (-6.8346 * (_TRIPLE_POINT_K / kelvin) ** 1.261 + 4.6151)
    molar_percent = humidity_percent * saturation
    oxygen_hz = 24.0 + 4.04e4 * molar_percent * (0.02 + molar_percent) / (0.391 + molar_percent)
    nitrogen_hz = ratio**-0.5 * (
        9.0 + 280.0 * molar_percent * np.exp(-4.170 * (ratio ** (-1.0 / 3.0) - 1.0))
    )
    square = np.asarray(frequency_hz, float) ** 2
    oxygen = 0.01275 * np.exp(-2239.1 / kelvin) / (oxygen_hz + square / oxygen_hz)
    nitrogen = 0.1068 * np.exp(-3352.0 / kelvin) / (nitrogen_hz + square / nitrogen_hz)
    loss: Values = 8.686 * square * (1.84e-11 * ratio**0.5 + ratio**-2.5 * (oxygen + nitrogen))
    return loss


def foliage_db(frequency_hz: Values, distance_m: float) -> Values:
    """Loss by dense foliage on the whole way, at most `FOLIAGE_MOST_M` of it."""
    octave = np.log2(np.maximum(frequency_hz, FOLIAGE_HZ[0]))
    per_m = np.interp(octave, np.log2(FOLIAGE_HZ), FOLIAGE_DB_PER_M)
    loss: Values = per_m * min(distance_m, FOLIAGE_MOST_M)
    return loss


def a_weighting_db(frequency_hz: Values) -> Values:
    """Gain of the A-weighting: IEC 61672-1:2013, annex E; 0 dB at 1 kHz."""
    square = np.maximum(np.asarray(frequency_hz, float), 1e-3) ** 2
    response = (12194.0**2 * square**2) / (
        (square + 20.6**2)
        * np.sqrt((square + 107.7**2) * (square + 737.9**2))
        * (square + 12194.0**2)
    )
    gain: Values = 20.0 * np.log10(response) + 2.0
    return gain


def a_weighted_power(samples: Floats, rate_hz: int) -> float:
    """Mean square of `samples`, shape ``(n,)``, after the A-weighting (Parseval)."""
    power = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    gain = 10.0 ** (a_weighting_db(np.fft.rfftfreq(samples.size, 1.0 / rate_hz)) / 10.0)
    return float(2.0 * (power * gain).sum() / samples.size**2)
