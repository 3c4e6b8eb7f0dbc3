from rainwatchd.hearing.model_spec import DecisionRule
from tests.training.labelled import one_class, scored
from training.evaluation.matching import Finding
from training.evaluation.streams import Truth
from training.evaluation.suite import Suite
from training.evaluation.verdict import found_by_group, judge, key

RULES = {label: DecisionRule() for label in ("chainsaw", "engine", "storm")}


def test_a_false_alarm_names_what_was_playing() -> None:
    calm, saw = [0.01] * 60, [0.95] * 20
    ambience = scored(
        one_class(calm + saw + calm), [("background", 0.0, 62.0), ("other", 62.0, 143.0)]
    )
    events = scored(one_class([0.01] * 20 + saw + calm), [("chainsaw", 22.0, 42.0)])
    verdict = judge("ours", Suite({("chainsaw", 0.0): (events,)}, (ambience,), ()), RULES)
    (alarm,) = verdict.false_alarms
    assert (alarm.label, alarm.clip_label, alarm.recording) == ("chainsaw", "other", "other 62.0")
    assert verdict.row.false_alarms == {"chainsaw": 1, "engine": 0}
    assert verdict.row.recall == {key("chainsaw", 0.0): 1.0}
    assert verdict.metrics["recall_chainsaw_+0db"] == 1.0
    assert verdict.metrics["chainsaw_false_alarms_per_h"] == round(3600 / 143, 4)


def test_a_right_storm_alert_is_no_false_alarm() -> None:
    rain = one_class([0.95] * 60, "storm") + one_class([0.01] * 60)
    ambience = scored(rain, [("storm", 0.0, 62.0), ("other", 62.0, 123.0)])
    assert judge("ours", Suite({}, (ambience,), ()), RULES).false_alarms == ()


def test_findings_are_counted_by_distance_and_by_collection() -> None:
    near = Finding(Truth("engine", 0, 20, "a", "field"), 3.0, "engine")
    far = Finding(Truth("engine", 60, 80, "b", "archive", far=True), None, None)
    assert found_by_group([near, far, near]) == {
        "as recorded": (2, 2),
        "field": (2, 2),
        "highs taken off": (0, 1),
        "archive": (0, 1),
    }
