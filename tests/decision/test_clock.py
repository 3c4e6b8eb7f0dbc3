"""Samples to UTC: late NTP and clock steps move an event, and never stretch it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rainwatchd.decision.clock import FixedClock, StreamClock, kernel_synced

RATE_HZ = 16_000
BOOT = datetime(1970, 1, 1, tzinfo=UTC).timestamp()
TODAY = datetime(2026, 5, 12, 6, 0, tzinfo=UTC).timestamp()


class Board:
    """The three clocks of a board, set by hand."""

    def __init__(self, wall: float) -> None:
        self.monotonic_s = 100.0
        self.wall_s = wall
        self.disciplined = False
        self.clock = StreamClock(
            RATE_HZ, lambda: self.monotonic_s, lambda: self.wall_s, lambda: self.disciplined
        )

    def listen(self, duration_s: float) -> None:
        self.monotonic_s += duration_s
        self.wall_s += duration_s


def test_a_sample_is_dated_from_the_anchor() -> None:
    board = Board(TODAY)
    board.listen(3600)
    board.clock.observe(3600 * RATE_HZ)
    assert board.clock.utc(0) == datetime.fromtimestamp(TODAY, UTC)
    assert board.clock.utc(90 * RATE_HZ) == datetime.fromtimestamp(TODAY + 90, UTC)


@pytest.mark.parametrize("step_s", [-7200.0, -1.0, 1.0, 3600.0, TODAY - BOOT])
def test_a_clock_step_moves_an_event_and_keeps_its_length(step_s: float) -> None:
    board = Board(BOOT + 10_000)
    board.listen(60)
    assert board.clock.observe(60 * RATE_HZ) == 0.0
    before = board.clock.utc(40 * RATE_HZ), board.clock.utc(50 * RATE_HZ)
    board.wall_s += step_s
    board.listen(5)
    assert board.clock.observe(65 * RATE_HZ) == pytest.approx(step_s)
    after = board.clock.utc(40 * RATE_HZ), board.clock.utc(50 * RATE_HZ)
    assert after[1] - after[0] == before[1] - before[0] == timedelta(seconds=10)
    assert (after[0] - before[0]).total_seconds() == pytest.approx(step_s)


def test_synced_follows_the_kernel() -> None:
    board = Board(BOOT)
    assert not board.clock.synced
    board.disciplined = True
    board.clock.observe(0)
    assert board.clock.synced
    board.disciplined = False
    board.clock.observe(0)
    assert not board.clock.synced


def test_a_drifting_crystal_is_followed_without_calling_it_a_step() -> None:
    board = Board(TODAY)
    for minute in range(1, 24 * 60 + 1):
        board.listen(60)
        # 100 ppm slow: 8.6 s a day.
        assert board.clock.observe(round(minute * 60 * RATE_HZ * (1 - 100e-6))) == 0.0
    newest = round(24 * 3600 * RATE_HZ * (1 - 100e-6))
    assert board.clock.utc(newest) == datetime.fromtimestamp(board.wall_s, UTC)


def test_a_replay_counts_from_the_name_of_its_file() -> None:
    start = datetime(2024, 5, 12, 6, 0, tzinfo=UTC)
    clock = FixedClock(start, RATE_HZ)
    assert clock.utc(RATE_HZ * 5 // 2) == start + timedelta(seconds=2.5)
    assert not clock.synced
    assert FixedClock(None, RATE_HZ).utc(RATE_HZ) is None


def test_the_kernel_answers() -> None:
    assert kernel_synced() in {True, False}
