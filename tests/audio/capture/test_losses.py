"""How much was dropped, and when it is too much."""

from __future__ import annotations

import numpy as np
import pytest

from rainwatchd.audio.capture.losses import Lateness, Losses

RATE_HZ = 48_000
BLOCK = RATE_HZ // 5


def stream(lateness: Lateness, until_s: float, first_s: float = 0.0) -> None:
    """Deliver blocks of 0.2 s in bursts of 0.4 s, as a sound server does."""
    for number in range(round(first_s * 5), round(until_s * 5)):
        arrives_s = 0.4 * (number // 2 + 1)
        assert lateness.arrive(BLOCK, 100.0 + arrives_s, dropped=False) == 0


@pytest.mark.parametrize("lost_s", [2.0, 8.0])
def test_a_long_loss_is_measured_by_its_lateness(lost_s: float) -> None:
    lateness = Lateness(RATE_HZ)
    stream(lateness, 60.0)
    missing = lateness.arrive(BLOCK, 100.0 + 60.2 + lost_s, dropped=True)
    assert missing / RATE_HZ == pytest.approx(lost_s, abs=0.4)
    # What is known now is no second loss.
    assert lateness.arrive(BLOCK, 100.0 + 60.4 + lost_s, dropped=True) == BLOCK


def test_a_short_loss_is_one_block() -> None:
    lateness = Lateness(RATE_HZ)
    assert lateness.arrive(BLOCK, 100.2, dropped=True) == BLOCK, "nothing is known at the start"
    lateness = Lateness(RATE_HZ)
    stream(lateness, 10.0)
    assert lateness.arrive(BLOCK, 100.0 + 10.6, dropped=True) == BLOCK


def test_a_crystal_that_drifts_for_a_month_is_no_loss() -> None:
    lateness = Lateness(RATE_HZ)
    slow = 1.0 + 100e-6
    for number in np.arange(1, 5 * 3600 * 6):
        lateness.arrive(BLOCK, 0.2 * float(number) * slow, dropped=False)
    assert lateness.arrive(BLOCK, 0.2 * (number + 1) * slow, dropped=True) == BLOCK


class Watch:
    """Seconds that pass when told to."""

    now_s = 500.0

    def __call__(self) -> float:
        return self.now_s


def test_many_losses_a_minute_are_trouble_until_they_are_few() -> None:
    watch = Watch()
    losses = Losses(watch)
    told: list[str | None] = []
    for second in range(300):
        watch.now_s += 1.0
        # A loss each five seconds in the first two minutes.
        losses.look(min(second, 120) // 5)
        if told[-1:] != [losses.trouble]:
            told.append(losses.trouble)
    assert told == [
        None,
        "drops sound, 3 times a minute",
        "drops sound, 12 times a minute",
        None,
    ] or told == [None, "drops sound, 3 times a minute", "drops sound, 13 times a minute", None]
    assert losses.total == 24


def test_a_loss_now_and_then_is_no_trouble() -> None:
    watch = Watch()
    losses = Losses(watch)
    for count in range(100):
        watch.now_s += 40.0
        losses.look(count)
        assert losses.trouble is None


def test_a_stream_that_is_opened_again_counts_from_nothing() -> None:
    losses = Losses(Watch())
    losses.look(7)
    losses.reopened()
    losses.look(2)
    assert losses.total == 9
