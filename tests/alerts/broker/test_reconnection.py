"""When the broker is tried again, and what a row of losses means."""

from __future__ import annotations

import pytest

from rainwatchd.alerts.broker.reconnection import URGENT_FLOOR_S, Reconnection


class Time:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def reconnection(time: Time) -> Reconnection:
    return Reconnection(900.0, time)


def fail(reconnection: Reconnection, times: int) -> None:
    for _ in range(times):
        reconnection.begin()
        reconnection.ended(explained=False)


def test_the_wait_grows_to_its_bound(reconnection: Reconnection) -> None:
    fail(reconnection, 3)
    assert 2.0 <= reconnection.left_s <= 4.0
    fail(reconnection, 20)
    assert 450.0 <= reconnection.left_s <= 900.0


def test_an_alert_ends_the_wait_but_not_in_a_row(reconnection: Reconnection, time: Time) -> None:
    fail(reconnection, 20)
    reconnection.urge()
    assert reconnection.left_s == URGENT_FLOOR_S
    time.now_s += URGENT_FLOOR_S
    assert reconnection.left_s == 0.0

    fail(reconnection, 1)
    assert reconnection.left_s == URGENT_FLOOR_S, "the alert still waits"
    reconnection.begin()
    reconnection.welcomed()
    reconnection.ended(explained=True)
    assert reconnection.left_s > URGENT_FLOOR_S


def lose(reconnection: Reconnection, time: Time, after_s: float, explained: bool = False) -> None:
    reconnection.begin()
    reconnection.welcomed()
    time.now_s += after_s
    reconnection.ended(explained=explained)


def test_quick_losses_in_a_row_look_like_another_device(
    reconnection: Reconnection, time: Time
) -> None:
    lose(reconnection, time, 4.0)
    lose(reconnection, time, 4.0)
    assert not reconnection.contested
    fail(reconnection, 1)
    lose(reconnection, time, 4.0)
    assert reconnection.contested
    reconnection.begin()
    reconnection.welcomed()
    assert not reconnection.settled()
    time.now_s += 31.0
    assert reconnection.settled()
    assert not reconnection.contested


@pytest.mark.parametrize(("after_s", "explained"), [(300.0, False), (4.0, True)])
def test_a_network_that_fails_now_and_then_and_a_refusal_do_not(
    reconnection: Reconnection, time: Time, after_s: float, explained: bool
) -> None:
    for _ in range(10):
        lose(reconnection, time, after_s, explained)
    assert not reconnection.contested
