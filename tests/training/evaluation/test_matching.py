import pytest

from rainwatchd.hearing.model_spec import DecisionRule
from tests.training.labelled import one_class, scored
from training.evaluation.matching import GRACE_S, Alert, alerts, match
from training.evaluation.streams import Truth

SAW = Truth("chainsaw", 10.0, 30.0, "saw", "field")
RAIN = Truth("storm", 100.0, 150.0, "rain", "field")


def alert(label: str, detected_s: float) -> Alert:
    return Alert(label, detected_s, detected_s - 3.0, detected_s + 5.0, 0.9)


@pytest.mark.parametrize("label", ["chainsaw", "engine"])
def test_either_logging_class_finds_an_event(label: str) -> None:
    made = match([SAW], [alert(label, 14.0)], 60.0)
    assert made.recall == 1.0
    assert made.findings[0].latency_s == 4.0
    assert made.findings[0].label == label
    assert not made.false_alarms


@pytest.mark.parametrize("detected_s", [9.0, 30.0 + GRACE_S + 1.0])
def test_an_alert_at_another_time_is_false(detected_s: float) -> None:
    made = match([SAW], [alert("chainsaw", detected_s)], 60.0)
    assert made.recall == 0.0
    assert len(made.false_alarms) == 1


def test_a_storm_finds_storms_alone() -> None:
    made = match([SAW, RAIN], [alert("storm", 14.0), alert("storm", 110.0)], 200.0)
    assert [finding.latency_s for finding in made.findings] == [None, 10.0]
    assert [alarm.detected_s for alarm in made.false_alarms] == [14.0]


def test_a_second_alert_in_one_event_is_no_false_alarm() -> None:
    made = match([SAW], [alert("engine", 14.0), alert("chainsaw", 18.0)], 60.0)
    assert made.findings[0].latency_s == 4.0
    assert not made.false_alarms


def test_alerts_come_from_the_daemons_decision() -> None:
    scores = one_class([0.0] * 10 + [0.95] * 15 + [0.0] * 30)
    (made,) = alerts(scored(scores), {"chainsaw": DecisionRule()})
    # The first high window ends at 14 s; three of five windows smoothed over 5 s take 5 more.
    assert made.detected_s == 19.0
    assert made.onset_s < 14.0 < made.offset_s
