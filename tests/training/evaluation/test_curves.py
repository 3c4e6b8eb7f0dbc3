import numpy as np
import pytest

from rainwatchd.hearing.model_spec import DecisionRule
from tests.training.labelled import one_class, scored
from training.evaluation.curves import calibration, roc
from training.evaluation.event_metrics import event_metrics

SAWS = [("chainsaw", 60.0 * n, 60.0 * n + 20.0) for n in range(10)]


def perfect(seconds: int = 600) -> np.ndarray:
    values = np.full(seconds, 0.02)
    for _, onset_s, offset_s in SAWS:
        # A window of 4 s shows what is in its middle.
        values[int(onset_s) - 2 if onset_s else 0 : int(offset_s) - 2] = 0.98
    return values


def test_perfect_scores_have_a_perfect_curve() -> None:
    assert roc("chainsaw", [scored(one_class(perfect()), SAWS)]).area == pytest.approx(1.0)


def test_scores_that_know_nothing_have_half_the_area() -> None:
    chance = np.random.default_rng(1).uniform(size=6000)
    truth = [("chainsaw", 60.0 * n, 60.0 * n + 30.0) for n in range(100)]
    assert roc("chainsaw", [scored(one_class(chance), truth)]).area == pytest.approx(0.5, abs=0.03)


def test_equal_scores_are_one_point() -> None:
    curve = roc("chainsaw", [scored(one_class([0.5] * 600), SAWS)])
    assert curve.area == pytest.approx(0.5)
    assert curve.false_positive.tolist() == [0.0, 1.0]


def test_the_error_of_sure_and_wrong_scores_is_large() -> None:
    right = calibration([scored(one_class(perfect()), SAWS)])
    wrong = calibration([scored(one_class(1.0 - perfect()), SAWS)])
    assert right.error == pytest.approx(0.02, abs=0.01)
    assert wrong.error == pytest.approx(0.98, abs=0.01)


def test_event_metrics_of_perfect_and_of_useless_scores() -> None:
    rules = {"chainsaw": DecisionRule(span_s=1.0)}
    good = event_metrics([scored(one_class(perfect()), SAWS)], rules, ["chainsaw"])["chainsaw"]
    assert good.f1 == 1.0
    assert good.psds == pytest.approx(1.0)
    deaf = scored(one_class([0.01] * 600), SAWS)
    assert event_metrics([deaf], rules, ["chainsaw"])["chainsaw"].recall == 0.0
    jumpy = scored(one_class(1.0 - perfect()), SAWS)
    assert event_metrics([jumpy], rules, ["chainsaw"])["chainsaw"].precision < 0.2
