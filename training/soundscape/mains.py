"""Noise that the device's own supply makes, and its neighbours': hum, buzz, whine and clicks.

It stands under a recording for as long as the device runs, so to a listener that knows only engines
it is an engine for ever. Steady lines at 50 or 60 Hz, their multiples up to 3 kHz, the whine of a
switching regulator, the ticks of a fence or a dimmer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats

Values = NDArray[np.float64]

_MAINS_HZ = (50.0, 60.0)
_DRIFT = 0.004
"""How far a frequency strays: generators in the bush keep it badly, grids within 0.4 %."""

_HIGHEST_HZ = 3000.0
_WHINE_HZ = (180.0, 3900.0)
_CLICKS_HZ = (0.5, 130.0)


def mains_noise(length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Draw one of the four kinds, float32 of shape ``(length,)``; its level says nothing."""
    kinds: tuple[Callable[..., Floats], ...] = (_hum, _buzz, _whine, _clicks)
    sound = kinds[rng.choice(4, p=(0.3, 0.4, 0.15, 0.15))](length, rate_hz, rng)
    if rng.random() < 0.2:
        # A relay or a thermostat.
        first, last = np.sort(rng.integers(0, length, 2))
        sound[first:last] *= np.float32(rng.uniform(0.0, 0.3))
    return sound


def _phase(base_hz: float, length: int, rate_hz: int, rng: np.random.Generator) -> Values:
    """Turns of a line that wanders slowly about `base_hz`, float64."""
    knots = np.cumsum(rng.normal(0.0, 0.3, 6))
    wander = np.interp(np.linspace(0, 5, length), np.arange(6), knots)
    drift = rng.uniform(0.0, _DRIFT) if rng.random() < 0.7 else 0.0
    turns: Values = np.cumsum(base_hz * (1.0 + drift * np.tanh(wander))) / rate_hz
    return turns


def _harmonics(
    length: int, rate_hz: int, numbers: Values, levels_db: Values, rng: np.random.Generator
) -> Floats:
    turns = _phase(float(rng.choice(_MAINS_HZ)), length, rate_hz, rng)
    sound = np.zeros(length, np.float32)
    for number, level_db in zip(numbers, levels_db, strict=True):
        sound += np.float32(10.0 ** (level_db / 20.0)) * np.sin(
            2.0 * np.pi * (number * turns + rng.random())
        ).astype(np.float32)
    return sound


def _hum(length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Three or four lines, as a ground loop's."""
    numbers: Values = np.arange(1.0, rng.integers(2, 6))
    return _harmonics(length, rate_hz, numbers, rng.normal(-6.0 * np.log2(numbers), 5.0), rng)


def _buzz(length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Every multiple, or every second, up to 3 kHz, as a rectifier's or a lamp's."""
    step = float(rng.choice((1, 2)))
    highest = rng.uniform(600.0, _HIGHEST_HZ) / _MAINS_HZ[0]
    numbers: Values = np.arange(float(rng.choice((1, 2))), highest, step)
    fall_db = rng.uniform(0.0, 7.0)
    return _harmonics(length, rate_hz, numbers, rng.normal(-fall_db * np.log2(numbers), 4.0), rng)


def _whine(length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """One to three tones anywhere, now and then with the mains about them."""
    sound = np.zeros(length, np.float32)
    low, high = np.log(_WHINE_HZ)
    for _ in range(rng.integers(1, 4)):
        turns = _phase(float(np.exp(rng.uniform(low, high))), length, rate_hz, rng)
        tone = np.sin(2.0 * np.pi * turns)
        if rng.random() < 0.4:
            beat_hz = float(rng.choice((100.0, 120.0)))
            tone *= 1.0 + 0.5 * np.sin(2.0 * np.pi * beat_hz * np.arange(length) / rate_hz)
        sound += np.float32(10.0 ** (rng.uniform(-12.0, 0.0) / 20.0)) * tone.astype(np.float32)
    return sound


def _clicks(length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Short pulses at an even pace, each ringing a little."""
    low, high = np.log(_CLICKS_HZ)
    pace_hz = float(np.exp(rng.uniform(low, high)))
    if rng.random() < 0.5:
        pace_hz = float(rng.choice((50.0, 60.0, 100.0, 120.0)))
    turns = _phase(pace_hz, length, rate_hz, rng) + rng.random()
    pulses = (np.diff(np.floor(turns), prepend=np.floor(turns[0])) > 0).astype(np.float64)
    span = np.arange(round(0.02 * rate_hz))
    ring_hz = rng.uniform(200.0, 3500.0)
    ring = np.exp(-span / (rng.uniform(0.0003, 0.004) * rate_hz)) * np.cos(
        2.0 * np.pi * ring_hz * span / rate_hz
    )
    size = length + span.size
    ringing = np.fft.irfft(np.fft.rfft(pulses, size) * np.fft.rfft(ring, size), size)[:length]
    clicks: Floats = ringing.astype(np.float32)
    return clicks
