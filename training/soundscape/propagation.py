"""What lies between a sound and its recording: distance, the canopy, the housing, a microphone."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from scipy.signal import fftconvolve, lfilter

from rainwatchd.audio.samples import Floats


class Path:
    """Transforms drawn anew for each sound; audiomentations where it has them.

    audiomentations draws from Python's and numpy's shared generators, so `Path` seeds both from
    the caller's generator: one seed, one sound.
    """

    def __init__(self, rate_hz: int) -> None:
        import audiomentations

        self.rate_hz = rate_hz
        self._air = audiomentations.AirAbsorption(min_distance=20.0, max_distance=600.0, p=0.5)
        self._leaves = audiomentations.LowPassFilter(
            min_cutoff_freq=500.0, max_cutoff_freq=6500.0, min_rolloff=6, max_rolloff=18, p=0.7
        )
        self._response = audiomentations.SevenBandParametricEQ(
            min_gain_db=-8.0, max_gain_db=8.0, p=0.5
        )
        self._clipping = audiomentations.ClippingDistortion(
            min_percentile_threshold=0, max_percentile_threshold=8, p=0.05
        )

    def distance(self, samples: Floats, rng: np.random.Generator) -> Floats:
        """Air absorption (ISO 9613-1), leaves that take the highs, and scattering by trunks."""
        _seed(rng)
        heard = self._apply(self._leaves, self._apply(self._air, samples))
        if rng.random() < 0.5:
            heard = _scatter(heard, self.rate_hz, rng)
        if rng.random() < 0.4:
            heard = heard * _drift(heard.size, self.rate_hz, rng)
        return heard

    def microphone(self, samples: Floats, level_dbfs: float, rng: np.random.Generator) -> Floats:
        """Frequency response, self-noise, low cut, level and, seldom, clipping; within -1 to 1."""
        _seed(rng)
        heard = self._apply(self._response, samples)
        if rng.random() < 0.3:
            # A foam windshield and the coupling capacitor: one pole, 20 to 150 Hz.
            pole = float(np.exp(-2.0 * np.pi * rng.uniform(20.0, 150.0) / self.rate_hz))
            heard = lfilter([1.0, -1.0], [1.0, -pole], heard).astype(np.float32)
        power = float(np.mean(heard.astype(np.float64) ** 2))
        heard = heard * np.float32(10.0 ** (level_dbfs / 20.0) / np.sqrt(power + 1e-12))
        noise_dbfs = rng.uniform(-100.0, -65.0)
        noise = rng.standard_normal(heard.size, dtype=np.float32)
        heard = heard + noise * np.float32(10.0 ** (noise_dbfs / 20.0))
        return np.clip(self._apply(self._clipping, heard), -1.0, 1.0)

    def _apply(self, transform: Any, samples: Floats) -> Floats:
        transformed: Floats = transform(np.ascontiguousarray(samples), self.rate_hz)
        return transformed


def rain_on_housing(length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Drops that strike the housing: short resonant clicks at random times, peak 1."""
    clicks = np.zeros(length, np.float32)
    drops = rng.poisson(rng.uniform(2.0, 60.0) * length / rate_hz)
    clicks[rng.integers(0, length, drops)] = rng.exponential(1.0, drops)
    ring_s = rng.uniform(0.002, 0.02)
    time_s = np.arange(int(6 * ring_s * rate_hz)) / rate_hz
    tone = np.sin(2.0 * np.pi * rng.uniform(300.0, 3000.0) * time_s) * np.exp(-time_s / ring_s)
    sound = fftconvolve(clicks, tone)[:length]
    struck: Floats = (sound / (np.abs(sound).max() + 1e-9)).astype(np.float32)
    return struck


def coloured_noise(length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Wind, water and hiss: noise with a drawn slope, a drawn bump and a slow swell."""
    frequency_hz = np.fft.rfftfreq(length, 1.0 / rate_hz)
    shape = (np.maximum(frequency_hz, 20.0) / 1000.0) ** (-rng.uniform(0.0, 2.5) / 2.0)
    bump_hz = np.exp(rng.uniform(np.log(80.0), np.log(6000.0)))
    octaves = np.log2(np.maximum(frequency_hz, 20.0) / bump_hz)
    shape *= 1.0 + rng.uniform(0.0, 4.0) * np.exp(-0.5 * (octaves / rng.uniform(0.2, 1.2)) ** 2)
    phase = rng.standard_normal(shape.size) + 1j * rng.standard_normal(shape.size)
    sound = np.fft.irfft(shape * phase, length).astype(np.float32)
    if rng.random() < 0.7:
        sound *= _drift(length, rate_hz, rng)
    sound /= np.abs(sound).max() + np.float32(1e-9)
    return sound


def _scatter(samples: Floats, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Convolve with a direct path and a decaying tail: 0.1 to 1 s, 0 to -18 dB of its energy."""
    decay_s = rng.uniform(0.1, 1.0)
    length = int(decay_s * rate_hz)
    tail = rng.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail *= 10.0 ** (rng.uniform(-18.0, 0.0) / 20.0) / np.sqrt(np.sum(tail**2))
    tail[0] += 1.0
    scattered: Floats = fftconvolve(samples, tail)[: samples.size].astype(np.float32)
    return scattered


def _drift(length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Slow rise and fall of level, as wind carries a sound or a vehicle passes: 0 to -15 dB."""
    points = max(2, int(length / rate_hz * rng.uniform(0.3, 1.5)) + 2)
    level_db = rng.uniform(-15.0, 0.0, points)
    at = np.linspace(0, points - 1, length)
    return (10.0 ** (np.interp(at, np.arange(points), level_db) / 20.0)).astype(np.float32)


def _seed(rng: np.random.Generator) -> None:
    seed = int(rng.integers(2**32))
    random.seed(seed)
    np.random.seed(seed)
