"""Tells a supply's hum from an engine: tones that stay where they are, to a quarter of a hertz.

A bad power supply or a ground loop puts 50 or 60 Hz and dozens of harmonics into a microphone, and
a network that has learnt engines hears one without end. No engine keeps its speed as the mains
does: at a harmonic of some hundred hertz its lines wander over many bins within a minute.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats

LOOK_EVERY_S = 10.0
"""Between two looks: sound that has nothing in common with the last, and next to no work."""

LOOKS = 30
"""Five minutes of looks before anything is said."""

LASTING = 0.9
"""Share of the looks in which a tone must be there: a bird may cover it for a moment."""

MAINS_HZ = (50.0, 60.0)
MAINS_TONES = 3
"""Lasting harmonics that make a hum of the mains, if they are most of what lasts."""

OTHER_TONES = 8
"""Lasting tones that no engine has, whatever they are multiples of: an inverter, a clock."""

_OFF_MAINS_HZ = 0.6
"""How far a harmonic may be from its place: the mains wander, and a bin is 0.25 Hz."""

LOW_HZ, HIGH_HZ = 45.0, 1000.0
"""Where harmonics are told apart and the mains' own wandering stays within a bin."""

SPAN_S = 4.0
"""Of sound in one look: bins of 0.25 Hz."""

_PROMINENCE = 20.0
"""Power of a tone over the median of the bins around it: 13 dB, which noise hardly reaches."""

_AROUND_BINS = 40
"""10 Hz to either side, where that median is taken."""


class SteadyTone:
    """Watches one event; a new event is a new object."""

    def __init__(self, rate_hz: int) -> None:
        self.span = round(SPAN_S * rate_hz)
        """Samples that one look takes."""
        self._rate_hz = rate_hz
        self._window = np.hanning(self.span).astype(np.float32)
        self.hum: str | None = None
        """What it was found to be."""
        self._looks = 0
        self._seen: Counter[int] = Counter()

    def look(self, samples: Floats) -> str | None:
        """Take the newest `span` samples; once a hum has gone on so long, say which it is."""
        self._looks += 1
        for tone in tones(samples * self._window, self._rate_hz):
            self._seen[tone] += 1
        if self._looks >= LOOKS:
            self.hum = named(self.lasting_hz())
        return self.hum

    def lasting_hz(self) -> list[float]:
        """Return the tones that are there in nearly every look, each once."""
        width_hz = self._rate_hz / self.span
        found: list[int] = []
        for tone in sorted(self._seen):
            # The mains wander, and a line between two bins falls into either.
            near = sum(self._seen[other] for other in (tone - 1, tone, tone + 1))
            if near >= LASTING * self._looks and (not found or tone - found[-1] > 2):
                found.append(tone)
        return [tone * width_hz for tone in found]


def named(lasting_hz: list[float]) -> str | None:
    """Say what steady tones are made of; None where they may well be an engine's."""
    for mains_hz in MAINS_HZ:
        off_hz = [abs(hz - mains_hz * round(hz / mains_hz)) for hz in lasting_hz]
        harmonics = sum(off <= _OFF_MAINS_HZ for off in off_hz)
        if harmonics >= MAINS_TONES and harmonics > len(lasting_hz) / 2:
            return f"hum of the mains, {mains_hz:.0f} Hz and its multiples"
    if len(lasting_hz) < OTHER_TONES:
        return None
    return f"{len(lasting_hz)} tones, the lowest of {lasting_hz[0]:.0f} Hz"


def tones(windowed: Floats, rate_hz: int) -> list[int]:
    """Return the bins, each ``rate_hz / samples`` wide, in which a tone stands out."""
    low, high = (round(hz * windowed.size / rate_hz) for hz in (LOW_HZ, HIGH_HZ))
    power = np.abs(np.fft.rfft(windowed)[low - _AROUND_BINS : high + _AROUND_BINS]) ** 2
    around: NDArray[np.float64] = np.median(
        np.lib.stride_tricks.sliding_window_view(power, 2 * _AROUND_BINS + 1), axis=1
    )
    inner = power[_AROUND_BINS : _AROUND_BINS + around.size]
    left, right = power[_AROUND_BINS - 1 :][: around.size], power[_AROUND_BINS + 1 :][: around.size]
    peaks = (inner > _PROMINENCE * around) & (inner >= left) & (inner > right)
    return [int(bin_) + low for bin_ in np.flatnonzero(peaks)]
