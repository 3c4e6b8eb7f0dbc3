"""The streaming log-mel against librosa, whatever the sound and however it comes in pieces."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.log_mel import FLOOR_DB, LogMel, MelSpec, band_edges_hz, mel_filters

MODEL = MelSpec(16000, n_fft=1024, hop_length=500, n_mels=96, fmin_hz=40.0, fmax_hz=5000.0)
LIBROSA_DEFAULT = MelSpec(22050, n_fft=2048, hop_length=512, n_mels=128, fmin_hz=0.0, fmax_hz=11025)
SPECS = pytest.mark.parametrize("spec", [MODEL, LIBROSA_DEFAULT], ids=["model", "librosa default"])

TOLERANCE_DB = 1e-4

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").glob("*/*.*g*"))[::9]


def reference(spec: MelSpec, samples: Floats) -> Floats:
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=spec.sample_rate_hz,
        n_fft=spec.n_fft,
        hop_length=spec.hop_length,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
        center=False,
    )
    log_mel: Floats = librosa.power_to_db(power, top_db=None)
    return log_mel


def in_pieces(spec: MelSpec, samples: Floats, sizes: list[int]) -> Floats:
    log_mel = LogMel(spec)
    frames, at, turn = [], 0, 0
    while at < samples.size:
        size = sizes[turn % len(sizes)]
        frames.append(log_mel.push(samples[at : at + size]))
        at, turn = at + size, turn + 1
    return np.concatenate(frames, axis=1)


def noise(length: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(0.0, 0.1, length).astype(np.float32)


def tone(length: int, rate_hz: int, hz: float) -> Floats:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(length) / rate_hz)).astype(np.float32)


def impulses(length: int) -> Floats:
    samples = np.zeros(length, np.float32)
    samples[:: length // 7] = 1.0
    return samples


@SPECS
def test_the_filters_are_librosas(spec: MelSpec) -> None:
    expected = librosa.filters.mel(
        sr=spec.sample_rate_hz,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        fmin=spec.fmin_hz,
        fmax=spec.fmax_hz,
    )
    np.testing.assert_allclose(mel_filters(spec), expected, rtol=1e-5, atol=1e-8)


@SPECS
def test_the_band_edges_are_librosas(spec: MelSpec) -> None:
    expected = librosa.mel_frequencies(spec.n_mels + 2, fmin=spec.fmin_hz, fmax=spec.fmax_hz)
    np.testing.assert_allclose(band_edges_hz(spec), expected)


@SPECS
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_sound_in_any_pieces_is_as_librosa_has_it(spec: MelSpec, data: st.DataObject) -> None:
    length = data.draw(st.integers(spec.n_fft, 3 * spec.sample_rate_hz))
    kind = data.draw(st.sampled_from(["noise", "tone", "silence", "impulses", "quiet noise"]))
    if kind == "tone":
        highest_hz = spec.sample_rate_hz / 2
        samples = tone(length, spec.sample_rate_hz, data.draw(st.floats(20.0, highest_hz)))
    elif kind == "silence":
        samples = np.zeros(length, np.float32)
    elif kind == "impulses":
        samples = impulses(length)
    else:
        samples = noise(length, data.draw(st.integers(0, 999)))
        samples *= np.float32(1e-4 if kind == "quiet noise" else 1.0)
    sizes = data.draw(st.lists(st.integers(1, 20000), min_size=1, max_size=6))
    if max(sizes) < 50:
        sizes.append(5000)
    ours = in_pieces(spec, samples, sizes)
    np.testing.assert_allclose(ours, reference(spec, samples), rtol=0, atol=TOLERANCE_DB)


@SPECS
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_real_recordings_are_as_librosa_has_them(spec: MelSpec, path: Path) -> None:
    samples = soundfile.read(path, frames=8 * 48000, dtype="float32", always_2d=True)[0][:, 0]
    if samples.size < spec.n_fft:
        pytest.skip("shorter than a frame")
    ours = in_pieces(spec, samples, [1600, 44100, 7])
    np.testing.assert_allclose(ours, reference(spec, samples), rtol=0, atol=TOLERANCE_DB)


def test_silence_is_the_floor() -> None:
    silence = LogMel(MODEL).push(np.zeros(16000, np.float32))
    np.testing.assert_allclose(silence, FLOOR_DB, rtol=0, atol=TOLERANCE_DB)


def test_less_than_a_frame_gives_none() -> None:
    log_mel = LogMel(MODEL)
    assert log_mel.push(noise(MODEL.n_fft - 1, 0)).shape == (MODEL.n_mels, 0)
    assert log_mel.push(noise(1, 1)).shape == (MODEL.n_mels, 1)


def test_a_reset_forgets_what_came_before() -> None:
    log_mel = LogMel(MODEL)
    log_mel.push(noise(1500, 0))
    log_mel.reset()
    after = noise(3000, 1)
    np.testing.assert_array_equal(log_mel.push(after), LogMel(MODEL).push(after))


def test_spans_and_frames_agree() -> None:
    assert MODEL.frames_in(4.0) == 128
    assert MODEL.samples_in(128) == 127 * 500 + 1024
    assert MODEL.samples_in(0) == 0
