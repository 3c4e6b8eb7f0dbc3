from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.audio.ring import Chunk, Gap
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import ConfigError
from rainwatchd.hearing.analysis import Analysis, level_dbfs
from rainwatchd.hearing.log_mel import FLOOR_DB, LogMel
from rainwatchd.hearing.window import Window
from tests.tiny_model import SPEC

RATE_HZ = SPEC.sample_rate_hz
FIRST_END = SPEC.mel.samples_in(SPEC.window_frames)
STEP = 16000

NOISE = np.random.default_rng(1).normal(0.0, 0.1, 12 * 44100).astype(np.float32)


class Recorder:
    """A scorer that keeps what it was shown; its one score is the window's mean level."""

    def __init__(self) -> None:
        self.spec = msgspec.structs.replace(SPEC, labels=["mean", "frames"])
        self.seen: list[Floats] = []

    def scores(self, log_mel: Floats) -> tuple[float, ...]:
        self.seen.append(log_mel.copy())
        return float(log_mel.mean()), float(log_mel.shape[1])


def chunks(samples: Floats, sizes: list[int], start: int = 0) -> Iterator[Chunk]:
    at, turn = 0, 0
    while at < samples.size:
        size = sizes[turn % len(sizes)]
        yield Chunk(start + at, samples[at : at + size])
        at, turn = at + size, turn + 1


def windows(
    analysis: Analysis, samples: Floats, sizes: list[int], end: bool = True
) -> list[Window]:
    found = [window for chunk in chunks(samples, sizes) for window in analysis.push(chunk)]
    return [*found, *analysis.finish()] if end else found


def test_windows_lie_a_step_apart_from_the_start() -> None:
    found = windows(Analysis(Recorder(), RATE_HZ), NOISE[: 10 * RATE_HZ], [4000], end=False)
    assert [(window.start, window.end) for window in found] == [
        (index * STEP, index * STEP + FIRST_END) for index in range(6)
    ]


def test_a_window_is_what_the_log_mel_of_its_samples_is() -> None:
    scorer = Recorder()
    found = windows(Analysis(scorer, RATE_HZ), NOISE[: 9 * RATE_HZ], [777], end=False)
    assert len(found) == len(scorer.seen) == 5
    for window, seen in zip(found, scorer.seen, strict=True):
        expected = LogMel(SPEC.mel).push(NOISE[window.start : window.end])
        np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(
    rate_hz=st.sampled_from([16000, 44100, 48000]),
    step_s=st.sampled_from([0.25, 1.0, 1.7, 4.0]),
    sizes=st.lists(st.integers(1, 30_000), min_size=1, max_size=6),
)
def test_the_sizes_of_the_chunks_change_no_bit(
    rate_hz: int, step_s: float, sizes: list[int]
) -> None:
    sizes.append(9000)
    samples = NOISE[: 7 * rate_hz]
    whole = windows(Analysis(Recorder(), rate_hz, step_s), samples, [samples.size])
    assert windows(Analysis(Recorder(), rate_hz, step_s), samples, sizes) == whole
    assert len(whole) >= 1


def test_two_rates_of_one_sound_give_the_same_windows() -> None:
    seconds = np.arange(8 * 48000) / 48000
    sound = (0.2 * np.sin(2 * np.pi * 700 * seconds) * (1 + seconds)).astype(np.float32)
    fast = windows(Analysis(Recorder(), 48000), sound, [4800])
    slow = windows(Analysis(Recorder(), 16000), sound[::3], [1600])
    assert [window.end for window in fast] == [window.end for window in slow]
    for one, other in zip(fast, slow, strict=True):
        assert one.level_dbfs == pytest.approx(other.level_dbfs, abs=0.05)


def test_a_gap_starts_afresh_behind_it() -> None:
    scorer = Recorder()
    analysis = Analysis(scorer, RATE_HZ)
    before, after = NOISE[: 6 * RATE_HZ], NOISE[6 * RATE_HZ : 12 * RATE_HZ]
    found = [window for chunk in chunks(before, [1600]) for window in analysis.push(chunk)]
    gap = Gap(before.size, 5 * RATE_HZ)
    assert list(analysis.push(gap)) == []
    for chunk in chunks(after, [1600], gap.end):
        found += analysis.push(chunk)
    assert [window.start for window in found] == [0, STEP, gap.end, gap.end + STEP]
    fresh = Recorder()
    windows(Analysis(fresh, RATE_HZ), after, [1600], end=False)
    np.testing.assert_array_equal(scorer.seen[2:], fresh.seen)


@pytest.mark.parametrize("rate_hz", [16000, 48000])
def test_a_dropped_block_deafens_no_window(rate_hz: int) -> None:
    seconds = np.arange(12 * rate_hz) / rate_hz
    sound = (0.1 * np.sin(2 * np.pi * 700 * seconds)).astype(np.float32)
    noise = np.random.default_rng(3).normal(0.0, 0.003, sound.size).astype(np.float32)
    whole, torn = Analysis(Recorder(), rate_hz), Analysis(Recorder(), rate_hz)
    undisturbed = windows(whole, sound + noise, [4800], end=False)
    found: list[Window] = []
    block = rate_hz // 5
    for number, chunk in enumerate(chunks(sound + noise, [block])):
        item = Gap(chunk.start, block) if number % 5 == 4 else chunk
        if isinstance(item, Gap):
            assert torn.bridges(item)
        found += torn.push(item)
    assert [window.end for window in found] == [window.end for window in undisturbed]
    for one, other in zip(found, undisturbed, strict=True):
        assert one.level_dbfs == pytest.approx(other.level_dbfs, abs=0.5)
        assert one.scores[0] == pytest.approx(other.scores[0], abs=6.0)


def test_no_more_than_half_is_made_up() -> None:
    analysis = Analysis(Recorder(), RATE_HZ)
    assert not analysis.bridges(Gap(0, 100)), "there is nothing to fill it with"
    list(analysis.push(Chunk(0, NOISE[:8000])))
    assert not analysis.bridges(Gap(8000, 4001)), "too long"
    gap = Gap(8000, 3200)
    assert analysis.bridges(gap)
    list(analysis.push(gap))
    assert not analysis.bridges(Gap(gap.end, 100))
    list(analysis.push(Chunk(gap.end, NOISE[:1600])))
    assert not analysis.bridges(Gap(12800, 3200))
    assert analysis.bridges(Gap(12800, 1600))


@given(st.integers(0, 400_000), st.integers(44100 // 4 + 1, 400_000))
@settings(max_examples=20, deadline=None)
def test_indices_stay_true_across_gaps_at_another_rate(before: int, lost: int) -> None:
    analysis = Analysis(Recorder(), 44100)
    for chunk in chunks(np.zeros(before, np.float32), [50_000]):
        list(analysis.push(chunk))
    gap = Gap(before, lost)
    list(analysis.push(gap))
    after = np.zeros(5 * 44100, np.float32)
    found = [window for chunk in chunks(after, [9999], gap.end) for window in analysis.push(chunk)]
    assert found[0].start == pytest.approx(gap.end * 16000 / 44100, abs=1.0)
    assert analysis.at_model_rate(gap).end == found[0].start


def test_the_history_ends_where_the_window_ends() -> None:
    analysis = Analysis(Recorder(), RATE_HZ, history_s=6.0)
    for window in analysis.push(Chunk(0, NOISE[: 9 * RATE_HZ])):
        assert analysis.history.written == window.end
        np.testing.assert_array_equal(
            analysis.history.copy(window.start, window.end + 1).samples,
            NOISE[window.start : window.end],
        )


def test_the_level_is_that_of_the_newest_step() -> None:
    samples = np.concatenate((np.full(FIRST_END, 0.01), np.full(STEP, 0.1), np.zeros(STEP)))
    found = windows(Analysis(Recorder(), RATE_HZ), samples.astype(np.float32), [5000], end=False)
    assert [round(window.level_dbfs, 3) for window in found] == [-40.0, -20.0, FLOOR_DB]


def test_the_level_of_full_scale_and_of_next_to_nothing() -> None:
    assert level_dbfs(np.ones(100, np.float32)) == pytest.approx(0.0)
    assert level_dbfs(np.full(100, 1e-9, np.float32)) == FLOOR_DB


@pytest.mark.parametrize("length", [1, 100, 16000, FIRST_END - 1])
def test_a_sound_shorter_than_a_window_is_heard_once(length: int) -> None:
    scorer = Recorder()
    (window,) = windows(Analysis(scorer, RATE_HZ), NOISE[:length], [999])
    assert (window.start, window.end) == (0, length)
    assert np.isfinite(scorer.seen[0]).all()
    if length > 1:
        assert scorer.seen[0].min() > FLOOR_DB + 20, "filled up with sound, not with silence"


def test_the_last_part_of_a_step_is_heard() -> None:
    quiet = np.full(FIRST_END + STEP, 1e-4, np.float32)
    loud = NOISE[:3000]
    found = windows(Analysis(Recorder(), RATE_HZ), np.concatenate((quiet, loud)), [4096])
    assert [window.end for window in found] == [
        FIRST_END,
        FIRST_END + STEP,
        FIRST_END + STEP + 3000,
    ]
    assert found[-1].scores[0] > found[-2].scores[0]


@pytest.mark.parametrize("length", [0, FIRST_END, FIRST_END + 2 * STEP])
def test_nothing_is_invented_where_nothing_is_left(length: int) -> None:
    assert list(Analysis(Recorder(), RATE_HZ).finish()) == []
    found = windows(Analysis(Recorder(), RATE_HZ), NOISE[:length], [4096])
    assert len(found) == len(
        windows(Analysis(Recorder(), RATE_HZ), NOISE[:length], [50], end=False)
    )


def test_the_end_after_a_gap_does_not_reach_back_over_it() -> None:
    scorer = Recorder()
    analysis = Analysis(scorer, RATE_HZ)
    list(analysis.push(Chunk(0, NOISE[: 5 * RATE_HZ])))
    list(analysis.push(Gap(5 * RATE_HZ, RATE_HZ)))
    list(analysis.push(Chunk(6 * RATE_HZ, np.zeros(3000, np.float32))))
    (window,) = analysis.finish()
    assert (window.start, window.end) == (6 * RATE_HZ, 6 * RATE_HZ + 3000)
    np.testing.assert_allclose(scorer.seen[-1], FLOOR_DB, atol=1e-4)


@pytest.mark.parametrize("step_s", [0.0, 0.01, 4.1])
def test_a_step_that_cannot_be_is_refused(step_s: float) -> None:
    with pytest.raises(ConfigError, match=rf"step_s is {step_s:g}; allowed .* 0\.03125 to 4"):
        Analysis(Recorder(), RATE_HZ, step_s)


def test_the_step_is_told_as_it_is() -> None:
    assert Analysis(Recorder(), RATE_HZ, 0.5).step_s == 0.5
    assert Analysis(Recorder(), RATE_HZ, 0.33).step_s == 11 * 500 / 16000
