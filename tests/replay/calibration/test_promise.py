"""What hours can promise, against the published limits of a Poisson mean."""

from __future__ import annotations

import pytest

from rainwatchd.replay.calibration.promise import cost, days_wanted, most_expected, recall_at

TABLE = [(0.5, 0.9), (0.6, 0.8), (0.7, 0.5)]


@pytest.mark.parametrize(("alarms", "limit"), [(0, 2.996), (1, 4.744), (2, 6.296), (10, 16.96)])
def test_upper_limits_are_garwoods(alarms: int, limit: float) -> None:
    assert most_expected(alarms) == pytest.approx(limit, abs=0.005)


def test_one_a_day_takes_three_quiet_days() -> None:
    assert days_wanted(0, 1.0) == pytest.approx(3.0, abs=0.01)
    assert days_wanted(1, 1.0) == pytest.approx(4.74, abs=0.01)


def test_a_table_is_read_with_caution() -> None:
    assert recall_at(TABLE, 0.5) == 0.9
    assert recall_at(TABLE, 0.55) == 0.8
    assert recall_at(TABLE, 0.71) is None
    assert cost({"+10": TABLE, "0": TABLE}, 0.5, 0.65) == [
        "+10 dB: 0.90 -> 0.50",
        "0 dB: 0.90 -> 0.50",
    ]
    assert cost({"0": TABLE}, 0.6, 0.6) == ["0 dB: 0.80"]
