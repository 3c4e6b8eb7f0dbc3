import math

import pytest

from training.evaluation.intervals import difference, median, most_per_day, share


@pytest.mark.parametrize(("alarms", "bound"), [(0, 3.0), (1, 4.7), (2, 6.3)])
def test_the_bound_on_a_day_is_poissons(alarms: int, bound: float) -> None:
    assert most_per_day(alarms, 24.0) == pytest.approx(bound, abs=0.05)
    assert most_per_day(alarms, 8.0) == pytest.approx(3 * bound, abs=0.15)
    assert math.isinf(most_per_day(alarms, 0.0))


def test_an_interval_is_as_wide_as_recordings_are_few() -> None:
    many = share((f"{n}", n % 2 == 0) for n in range(100))
    assert many.value == 0.5
    assert many.low == pytest.approx(0.4, abs=0.02)
    assert many.high == pytest.approx(0.6, abs=0.02)
    # A hundred events of four recordings are four.
    few = share((f"{n % 4}", n % 4 < 2) for n in range(100))
    assert (few.count, few.recordings) == (100, 4)
    assert few.high - few.low > 0.9


def test_thirty_of_thirty_is_not_certainty() -> None:
    assert share((f"{n}", True) for n in range(30)).low == pytest.approx(0.884, abs=0.001)
    assert share((f"{n}", False) for n in range(30)).high == pytest.approx(0.116, abs=0.001)


def test_nothing_tried_has_no_figure() -> None:
    assert str(share([])) == "-"
    assert math.isnan(median([])[0])


def test_a_median_has_an_interval_too() -> None:
    value, low, high = median((f"{n}", float(n)) for n in range(41))
    assert value == 20.0
    assert 10.0 < low < 20.0 < high < 30.0


def test_a_difference_is_known_better_than_the_two_shares() -> None:
    trials = [(f"{n}", n % 2 == 0, n % 2 == 0 and n % 20 > 0) for n in range(100)]
    value, low, high = difference(trials)
    assert value == pytest.approx(0.05)
    assert 0.0 < low < 0.05 < high < 0.12
    assert difference((name, second, first) for name, first, second in trials)[0] == -value
    shares = [share((name, hits[n]) for name, *hits in trials) for n in (0, 1)]
    assert shares[0].low < shares[1].value < shares[0].high
    assert math.isnan(difference([])[0])
