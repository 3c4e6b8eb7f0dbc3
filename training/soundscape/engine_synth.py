"""A procedural engine: training material where recordings are few; never test data.

The sound of a piston engine is a train of exhaust pulses at the firing rate (revolutions per
second times cylinders over two, for a four-stroke), uneven from cylinder to cylinder (which
gives the half orders), coloured by the exhaust's resonances, over intake and tyre noise that
breathes with the pulses (Baldan et al. 2015, "Physically informed car engine sound synthesis").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from rainwatchd.audio.samples import Floats

_UPDATE_HZ = 50
"""Rate at which revolutions and load are drawn before they are interpolated to samples."""


@dataclass(frozen=True)
class Machine:
    """What is drawn once per engine."""

    label: str
    cylinders: int
    strokes: int
    idle_rpm: float
    top_rpm: float
    unevenness: float
    """Spread of the cylinders' pulse heights."""
    noise: float
    """Level of breath and tyre noise against the pulses."""
    resonances_hz: tuple[float, ...]


def draw_machine(label: str, rng: np.random.Generator) -> Machine:
    """Draw an engine: truck, car, motorcycle, generator or boat; or a two-stroke saw."""
    if label == "chainsaw":
        cylinders, strokes, idle, top = 1, 2, rng.uniform(2400, 3500), rng.uniform(8000, 13500)
    else:
        cylinders, strokes, idle, top = [
            (4, 4, rng.uniform(650, 950), rng.uniform(2000, 5500)),
            (6, 4, rng.uniform(500, 750), rng.uniform(1400, 2600)),
            (8, 4, rng.uniform(500, 800), rng.uniform(1600, 4000)),
            (1, 4, rng.uniform(1100, 1600), rng.uniform(3500, 8500)),
            (2, 4, rng.uniform(900, 1300), rng.uniform(3000, 7500)),
            (3, 4, rng.uniform(700, 1000), rng.uniform(1800, 3500)),
            (2, 2, rng.uniform(900, 1500), rng.uniform(3500, 6500)),
            (1, 2, rng.uniform(1300, 2000), rng.uniform(5000, 9000)),
        ][rng.integers(8)]
    count = int(rng.integers(2, 6))
    return Machine(
        label=label,
        cylinders=cylinders,
        strokes=strokes,
        idle_rpm=idle,
        top_rpm=top,
        unevenness=rng.uniform(0.02, 0.5),
        noise=10.0 ** rng.uniform(-1.6, 0.1),
        resonances_hz=tuple(np.exp(rng.uniform(np.log(60.0), np.log(3500.0), count))),
    )


def synthesise(machine: Machine, length: int, rate_hz: int, rng: np.random.Generator) -> Floats:
    """Return `length` samples of the running engine, float32, peak 1."""
    rpm, load = _drive(machine, length, rate_hz, rng)
    revolutions = np.cumsum(rpm / 60.0) / rate_hz + rng.random()
    cycles = revolutions / (machine.strokes / 2)
    position = cycles * machine.cylinders
    cylinder = np.floor(position).astype(np.int64) % machine.cylinders
    strength = 1.0 + machine.unevenness * rng.standard_normal(machine.cylinders)
    # No two firings are alike; the spread is what keeps a real engine from sounding like a tone.
    firing = np.floor(position).astype(np.int64)
    firing -= firing[0]
    jitter = 1.0 + rng.uniform(0.02, 0.25) * rng.standard_normal(int(firing[-1]) + 1)
    sharpness = rng.uniform(3.0, 18.0) * (0.6 + 0.8 * load)
    pulses = np.exp(-sharpness * (position % 1.0)) * strength[cylinder] * jitter[firing]
    pulses *= 0.35 + 0.65 * load
    breath = rng.standard_normal(length)
    breath = lfilter([1.0], [1.0, -rng.uniform(0.3, 0.97)], breath)
    breath /= breath.std() + 1e-9
    sound = np.diff(pulses, prepend=pulses[0]) * 4.0 + pulses - pulses.mean()
    sound /= sound.std() + 1e-9
    tyre = rng.uniform(0.2, 1.0)
    sound = sound + machine.noise * breath * (tyre + (1.0 - tyre) * pulses / pulses.max())
    coloured = rng.uniform(0.05, 0.6) * sound
    for resonance_hz in machine.resonances_hz:
        coloured = coloured + _resonate(sound, resonance_hz, rng.uniform(1.5, 9.0), rate_hz)
    coloured /= np.abs(coloured).max() + 1e-9
    engine: Floats = coloured.astype(np.float32)
    return engine


def _drive(
    machine: Machine, length: int, rate_hz: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Revolutions per minute and load (0 to 1) over time: idling, working, gears, bursts."""
    steps = length * _UPDATE_HZ // rate_hz + 2
    time_s = np.arange(steps) / _UPDATE_HZ
    span = machine.top_rpm - machine.idle_rpm
    manner = rng.random()
    if manner < 0.25:
        level = np.full(steps, rng.uniform(0.0, 0.08))
    elif manner < 0.6:
        level = rng.uniform(0.2, 1.0) + rng.uniform(0.0, 0.1) * np.sin(
            2.0 * np.pi * rng.uniform(0.05, 1.5) * time_s + rng.uniform(0.0, 6.3)
        )
    elif manner < 0.85:
        # Gears: the revolutions climb and fall back at each change.
        period_s = rng.uniform(1.0, 5.0)
        turn = time_s / period_s + rng.random()
        level = rng.uniform(0.2, 0.5) + rng.uniform(0.2, 0.5) * (turn % 1.0)
    else:
        # Bursts of throttle, as a saw between cuts or a rider before the off.
        wave = np.sin(2.0 * np.pi * rng.uniform(0.15, 1.2) * time_s + rng.uniform(0.0, 6.3))
        level = 0.1 + rng.uniform(0.5, 0.9) * (wave > rng.uniform(-0.5, 0.5))
    wander = np.cumsum(rng.standard_normal(steps)) * 0.004
    lag = 1.0 - np.exp(-1.0 / (_UPDATE_HZ * rng.uniform(0.05, 0.4)))
    smooth = lfilter([lag], [1.0, lag - 1.0], level, zi=[level[0] * (1.0 - lag)])[0]
    level = np.clip(smooth + wander, 0.0, 1.05)
    samples_s = np.arange(length) / rate_hz
    rpm = np.interp(samples_s, time_s, machine.idle_rpm + span * level)
    load = np.interp(samples_s, time_s, np.clip(0.15 + level, 0.0, 1.0))
    return rpm, load


def _resonate(
    sound: NDArray[np.float64], centre_hz: float, quality: float, rate_hz: int
) -> NDArray[np.float64]:
    """Two-pole resonator of unit gain at its centre (Smith, "Introduction to Digital Filters")."""
    radius = np.exp(-np.pi * centre_hz / quality / rate_hz)
    angle = 2.0 * np.pi * centre_hz / rate_hz
    feedback = [1.0, -2.0 * radius * np.cos(angle), radius * radius]
    gain = (1.0 - radius) * np.sqrt(1.0 - 2.0 * radius * np.cos(2.0 * angle) + radius * radius)
    resonated: NDArray[np.float64] = lfilter([gain], feedback, sound)
    return resonated
