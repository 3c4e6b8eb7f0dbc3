"""Clips drawn for mixing: balanced, from one recording at a time, looped where they are short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from rainwatchd.audio.samples import Floats
from training.dataset import Clip
from training.soundscape.library import Library

RATE_HZ = 8000


def _clip(folder: Path, source: str, recording: str, tone_hz: float, duration_s: float) -> Clip:
    path = folder / f"{source}-{recording}.wav"
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    soundfile.write(path, 0.3 * np.sin(2 * np.pi * tone_hz * time_s), RATE_HZ)
    return Clip(path, recording, "engine", "", source, duration_s)


def _tone_hz(samples: Floats) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax() * RATE_HZ / samples.size)


def test_a_draw_has_the_length_asked_for_and_one_recording_in_it(tmp_path: Path) -> None:
    clips = [_clip(tmp_path, "a", str(i), tone_hz, 1.0) for i, tone_hz in enumerate((300, 900))]
    library = Library(clips, RATE_HZ, workers=1)
    rng = np.random.default_rng(1)
    heard = set()
    for _ in range(20):
        drawn = library.draw("engine", 2 * RATE_HZ, rng).samples
        assert drawn.shape == (2 * RATE_HZ,)
        spectrum = np.abs(np.fft.rfft(drawn * np.hanning(drawn.size))) ** 2
        low, high = spectrum[500:700].sum(), spectrum[1700:1900].sum()
        assert min(low, high) < 0.01 * max(low, high)
        heard.add(low > high)
    assert heard == {True, False}


def test_speed_raises_the_pitch(tmp_path: Path) -> None:
    library = Library([_clip(tmp_path, "a", "1", 500.0, 3.0)], RATE_HZ, workers=1)
    faster = library.draw("engine", RATE_HZ, np.random.default_rng(1), speed=1.2)
    assert abs(_tone_hz(faster.samples) - 600.0) < 5.0


def test_what_sounds_like_a_machine_is_drawn_more_often_where_it_is_none(tmp_path: Path) -> None:
    bird = replace(_clip(tmp_path, "a", "bird", 900.0, 4.0), label="background")
    bees = replace(_clip(tmp_path, "b", "bees", 300.0, 4.0), label="background", machine_like=0.8)
    library = Library([bird, bees], RATE_HZ, workers=1)
    rng = np.random.default_rng(2)
    low = sum(_tone_hz(library.draw("background", 4000, rng).samples) < 600.0 for _ in range(200))
    assert 115 <= low <= 160


def test_a_very_short_recording_counts_by_its_length(tmp_path: Path) -> None:
    clips = [_clip(tmp_path, "a", "1", 900.0, 0.5), _clip(tmp_path, "b", "2", 300.0, 4.5)]
    library = Library(clips, RATE_HZ, workers=1)
    rng = np.random.default_rng(2)
    short = sum(_tone_hz(library.draw("engine", 4000, rng).samples) > 600.0 for _ in range(200))
    assert 8 <= short <= 40


def test_one_large_source_does_not_rule(tmp_path: Path) -> None:
    many = [_clip(tmp_path, "one_car", str(i), 300.0, 0.5) for i in range(60)]
    few = [_clip(tmp_path, f"other_{i}", f"x{i}", 900.0, 0.5) for i in range(10)]
    library = Library(many + few, RATE_HZ, workers=1)
    rng = np.random.default_rng(2)
    from_few = sum(_tone_hz(library.draw("engine", 4000, rng).samples) > 600.0 for _ in range(200))
    assert 60 <= from_few <= 140


def test_uploads_of_many_people_all_count(tmp_path: Path) -> None:
    many = [_clip(tmp_path, "esc50", f"freesound-{i}", 300.0, 0.5) for i in range(60)]
    few = [_clip(tmp_path, f"other_{i}", f"x{i}", 900.0, 0.5) for i in range(10)]
    library = Library(many + few, RATE_HZ, workers=1)
    rng = np.random.default_rng(2)
    uploaded = sum(_tone_hz(library.draw("engine", 4000, rng).samples) < 600.0 for _ in range(200))
    assert 150 <= uploaded <= 190


def test_a_long_ambience_is_drawn_more_often_but_not_by_its_length(tmp_path: Path) -> None:
    night = replace(_clip(tmp_path, "a", "night", 300.0, 64.0), label="background")
    call = replace(_clip(tmp_path, "b", "call", 900.0, 4.0), label="background")
    library = Library([night, call], RATE_HZ, workers=1)
    rng = np.random.default_rng(2)
    long = sum(_tone_hz(library.draw("background", 4000, rng).samples) < 600.0 for _ in range(200))
    assert 130 <= long <= 170
