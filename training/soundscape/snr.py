"""What a signal-to-noise ratio means here: power in 50 to 4000 Hz over the event's own span.

The band holds what is left of a chainsaw or an engine at a distance; rumble of wind below it and
insects above it would make a ratio over the whole band say little about what can be heard.
"""

from __future__ import annotations

import numpy as np

from rainwatchd.audio.samples import Floats

BAND_HZ = (50.0, 4000.0)


def band_power(samples: Floats, rate_hz: int) -> float:
    """Mean square of the part of `samples`, shape ``(n,)``, within `BAND_HZ` (Parseval)."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    frequency_hz = np.fft.rfftfreq(samples.size, 1.0 / rate_hz)
    inside = (frequency_hz >= BAND_HZ[0]) & (frequency_hz <= BAND_HZ[1])
    return float(2.0 * spectrum[inside].sum() / samples.size**2)


def gain_for(event: Floats, ambience: Floats, snr_db: float, rate_hz: int) -> float:
    """Return the factor that puts `event` at `snr_db` over `ambience` of the same length.

    ``10 log10(P(gain * event) / P(ambience)) = snr_db`` with P as `band_power` measures it.
    Raises ValueError where either of them is silent in the band.
    """
    event_power = band_power(event, rate_hz)
    ambience_power = band_power(ambience, rate_hz)
    if event_power <= 0.0 or ambience_power <= 0.0:
        raise ValueError("no power in 50-4000 Hz: a ratio to silence has no meaning")
    return float(np.sqrt(ambience_power / event_power * 10.0 ** (snr_db / 10.0)))
