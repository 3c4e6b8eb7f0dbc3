from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.audio.resampling import Resampler
from rainwatchd.audio.samples import Floats

NOISE = np.random.default_rng(3).normal(0.0, 0.1, 60_000).astype(np.float32)


def convert(samples: Floats, source_hz: int, target_hz: int, sizes: list[int]) -> Floats:
    resampler, out, at, turn = Resampler(source_hz, target_hz), [], 0, 0
    while at < samples.size:
        size = sizes[turn % len(sizes)]
        out.append(resampler.push(samples[at : at + size]))
        at, turn = at + size, turn + 1
    out.append(resampler.push(samples[:0], last=True))
    return np.concatenate(out)


@settings(max_examples=25, deadline=None)
@given(
    source_hz=st.sampled_from([8000, 22050, 44100, 48000, 96000, 192000]),
    sizes=st.lists(st.integers(1, 9000), min_size=1, max_size=5),
)
def test_block_sizes_change_no_bit(source_hz: int, sizes: list[int]) -> None:
    sizes.append(4000)
    whole = convert(NOISE, source_hz, 16000, [NOISE.size])
    np.testing.assert_array_equal(convert(NOISE, source_hz, 16000, sizes), whole)


def test_a_stream_is_as_good_as_converting_in_one_go() -> None:
    streamed = convert(NOISE, 44100, 16000, [1000])
    at_once = soxr.resample(NOISE, 44100, 16000, quality="HQ")
    np.testing.assert_allclose(streamed, at_once, rtol=0, atol=1e-6)


@pytest.mark.parametrize("source_hz", [44100, 48000, 11025])
def test_a_tone_keeps_its_place_and_level(source_hz: int) -> None:
    seconds = np.arange(source_hz * 2) / source_hz
    tone = (0.5 * np.sin(2 * np.pi * 440.0 * seconds)).astype(np.float32)
    out = convert(tone, source_hz, 16000, [777])
    expected = 0.5 * np.sin(2 * np.pi * 440.0 * np.arange(out.size) / 16000)
    assert out.size == 32000
    np.testing.assert_allclose(out[500:-500], expected[500:-500], rtol=0, atol=2e-4)


def test_equal_rates_pass_through() -> None:
    resampler = Resampler(16000, 16000)
    assert resampler.push(NOISE) is NOISE


def test_a_reset_forgets_what_came_before() -> None:
    resampler = Resampler(44100, 16000)
    resampler.push(NOISE)
    resampler.reset()
    fresh = Resampler(44100, 16000)
    np.testing.assert_array_equal(
        resampler.push(NOISE[:9000], last=True), fresh.push(NOISE[:9000], last=True)
    )
