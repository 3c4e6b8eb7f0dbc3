"""The procedural engine fires at the rate that its cylinders and revolutions give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.soundscape.engine_synth import draw_machine, synthesise

RATE_HZ = 16000


@pytest.mark.parametrize(
    ("label", "cylinders", "strokes", "rpm", "firing_hz"),
    [
        ("engine", 4, 4, 1500.0, 50.0),
        ("engine", 6, 4, 1200.0, 60.0),
        ("chainsaw", 1, 2, 6000.0, 100.0),
    ],
)
def test_the_pitch_is_the_firing_rate(
    label: str, cylinders: int, strokes: int, rpm: float, firing_hz: float
) -> None:
    rng = np.random.default_rng(4)
    machine = replace(
        draw_machine(label, rng),
        cylinders=cylinders,
        strokes=strokes,
        idle_rpm=rpm,
        top_rpm=rpm,
        unevenness=0.0,
        noise=0.05,
    )
    sound = synthesise(machine, 4 * RATE_HZ, RATE_HZ, rng)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size))) ** 2
    bin_hz = RATE_HZ / sound.size
    harmonics = [round(k * firing_hz / bin_hz) for k in range(1, 9)]
    at = sum(spectrum[h - 3 : h + 4].sum() for h in harmonics)
    between = sum(spectrum[h + 60 : h + 67].sum() for h in harmonics)
    assert at > 5 * between


def test_engines_differ_and_stay_within_full_scale() -> None:
    rng = np.random.default_rng(5)
    sounds = [
        synthesise(draw_machine(label, rng), RATE_HZ, RATE_HZ, rng)
        for label in ("engine", "chainsaw") * 10
    ]
    for sound in sounds:
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert 0.99 < np.abs(sound).max() <= 1.0
    spectra = [np.abs(np.fft.rfft(sound)) for sound in sounds]
    alike = np.corrcoef(spectra)[np.triu_indices(len(spectra), 1)]
    assert np.median(alike) < 0.5
