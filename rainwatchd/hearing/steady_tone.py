"""Tells a supply's hum from an engine: tones that stay where they are, to a quarter of a hertz.

A bad power supply or a ground loop puts 50 or 60 Hz and dozens of harmonics into a microphone, and
a network that has learnt engines hears one without end. No engine keeps its speed as the mains
does: at a harmonic of some hundred hertz its lines wander over many bins within a minute.

Birds are louder than the hum below them, and come and go, where the hum stays: the mains are sought
in what is there most of the time, a low quantile of each bin's power over the last minutes.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

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

_STAYING = 0.25
"""The quantile of a bin's power over the looks that is taken for what is always there."""

_STAYING_PROMINENCE = 4.0
"""Power of a line over the median around it in that quantile, which wavers far less: 6 dB."""

_COMB_DB, _COMB_DEVIATIONS = 0.8, 6.0
"""By how much the multiples of the mains must be over those of the same spacing that lie beside
them, and over how much these differ. Of 24 ambiences, cut to 120 s, none came so far."""

_APART_HZ = 4.0
"""From a harmonic to what lies beside it."""

_LEAST = 1e-20


class SteadyTone:
    """Watches one event; a new event is a new object."""

    def __init__(self, rate_hz: int) -> None:
        self.span = round(SPAN_S * rate_hz)
        """Samples that one look takes."""
        self._rate_hz = rate_hz
        self._low = round(LOW_HZ * self.span / rate_hz)
        self._window = np.hanning(self.span).astype(np.float32)
        self.hum: str | None = None
        """What it was found to be."""
        self._looks = 0
        self._seen: Counter[int] = Counter()
        self._powers: deque[Floats] = deque(maxlen=LOOKS)

    def look(self, samples: Floats) -> str | None:
        """Take the newest `span` samples; once a hum has gone on so long, say which it is."""
        self._looks += 1
        power = _power(samples * self._window, self._rate_hz)
        self._seen.update(_tones(power, self._low))
        self._powers.append(power)
        if self._looks >= LOOKS:
            self.hum = named(self.lasting_hz()) or self._staying()
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

    def _staying(self) -> str | None:
        """Say which mains are in what is there most of the time, however loud the rest is."""
        powers = np.array(self._powers)
        # The mains wander, and a line between two bins falls into either.
        wide = np.maximum(np.maximum(powers[:, :-2], powers[:, 1:-1]), powers[:, 2:])
        staying = np.quantile(wide, _STAYING, axis=0)
        inner, around = _over_around(staying)
        found = np.flatnonzero(inner > _STAYING_PROMINENCE * around)
        lines = np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)
        first_hz, width_hz = (self._low + 1) * self._rate_hz / self.span, self._rate_hz / self.span
        lines_hz = [first_hz + float(line.mean()) * width_hz for line in lines if line.size]
        over_db = 10.0 * np.log10((inner + _LEAST) / (around + _LEAST))
        return _mains(lines_hz) or _comb(over_db, first_hz, width_hz)


def named(lasting_hz: list[float]) -> str | None:
    """Say what steady tones are made of; None where they may well be an engine's."""
    if (mains := _mains(lasting_hz)) is not None:
        return mains
    if len(lasting_hz) < OTHER_TONES:
        return None
    return f"{len(lasting_hz)} tones, the lowest of {lasting_hz[0]:.0f} Hz"


def _mains(tones_hz: Sequence[float]) -> str | None:
    """Say which mains the tones are of; None if they are of none."""
    for mains_hz in MAINS_HZ:
        off_hz = [abs(hz - mains_hz * round(hz / mains_hz)) for hz in tones_hz]
        harmonics = sum(off <= _OFF_MAINS_HZ for off in off_hz)
        if harmonics >= MAINS_TONES and harmonics > len(tones_hz) / 2:
            return f"hum of the mains, {mains_hz:.0f} Hz and its multiples"
    return None


def _comb(over_db: NDArray[Any], first_hz: float, width_hz: float) -> str | None:
    """Say which mains' multiples stand out in the mean, though few of them do alone.

    `over_db` is the level of bins over those around, `width_hz` wide, from `first_hz` on.
    """
    # One loud line is no comb.
    clipped = np.minimum(over_db, 10.0 * math.log10(_STAYING_PROMINENCE))
    wide = np.maximum(np.maximum(clipped[:-2], clipped[1:-1]), clipped[2:])
    for mains_hz in MAINS_HZ:
        multiples_hz = np.arange(mains_hz, HIGH_HZ - mains_hz / 2, mains_hz)

        def mean_at(off_hz: float, multiples_hz: NDArray[Any] = multiples_hz) -> float:
            bins = np.round((multiples_hz + off_hz - first_hz) / width_hz).astype(int) - 1
            return float(wide[bins[(bins >= 0) & (bins < wide.size)]].mean())

        others = [mean_at(off_hz) for off_hz in np.arange(_APART_HZ, mains_hz - _APART_HZ)]
        over = mean_at(0.0) - float(np.mean(others))
        if over > _COMB_DB and over > _COMB_DEVIATIONS * float(np.std(others)):
            return f"hum of the mains, {mains_hz:.0f} Hz and its multiples"
    return None


def _power(windowed: Floats, rate_hz: int) -> Floats:
    """Return the bins' powers from `LOW_HZ` to `HIGH_HZ`, and those that they are held against."""
    low, high = (round(hz * windowed.size / rate_hz) for hz in (LOW_HZ, HIGH_HZ))
    spectrum = np.fft.rfft(windowed)[low - _AROUND_BINS : high + _AROUND_BINS]
    return np.asarray(np.abs(spectrum) ** 2, np.float32)


def _over_around(power: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the powers that have enough bins to either side, and the median around each."""
    around = np.median(
        np.lib.stride_tricks.sliding_window_view(power, 2 * _AROUND_BINS + 1), axis=1
    )
    return power[_AROUND_BINS : _AROUND_BINS + around.size], around


def _tones(power: Floats, low: int) -> list[int]:
    """Return the bins in which a tone stands out; `low` is the first that is looked at."""
    inner, around = _over_around(power)
    left, right = power[_AROUND_BINS - 1 :][: around.size], power[_AROUND_BINS + 1 :][: around.size]
    peaks = (inner > _PROMINENCE * around) & (inner >= left) & (inner > right)
    return [int(bin_) + low for bin_ in np.flatnonzero(peaks)]
