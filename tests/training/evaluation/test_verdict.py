from rainwatchd.hearing.model_spec import DecisionRule
from tests.training.labelled import one_class, scored, suite
from training.evaluation.scoring import Scored
from training.evaluation.verdict import BARE, EVERY_MACHINE, judge, key, row

RULES = {label: DecisionRule() for label in ("chainsaw", "engine", "storm")}
CALM, SAW = [0.01] * 60, [0.95] * 20


def test_a_false_alarm_in_the_land_names_what_was_playing() -> None:
    land = scored(one_class(CALM + SAW + CALM), [("storm", 0.0, 62.0), ("background", 62.0, 143.0)])
    events = scored(one_class([0.01] * 20 + SAW + CALM), [("chainsaw", 22.0, 42.0)])
    verdict = judge("ours", suite({("chainsaw", 0.0): events}, land), [RULES], [{}])
    (alarm,) = verdict.false_alarms
    assert (alarm.label, alarm.clip_label, alarm.recording) == (
        "chainsaw",
        "background",
        "background 62.0",
    )
    assert verdict.row.land_alarms == {"chainsaw": 1, "engine": 0, "storm": 0}
    assert verdict.row.recall[key("chainsaw", 0.0)].value == 1.0
    assert verdict.metrics["recall_chainsaw_+0db"] == 1.0
    assert verdict.metrics["chainsaw_land_alarms"] == 1.0
    # One in 143 s: at most 4.74 in as long.
    assert round(verdict.row.a_day("chainsaw") * 143 / 86400, 2) == 4.74


def test_a_right_storm_alert_is_no_false_alarm() -> None:
    rain = one_class([0.95] * 60, "storm") + one_class([0.01] * 60)
    land = scored(rain, [("storm", 0.0, 62.0), ("background", 62.0, 123.0)])
    assert judge("ours", suite(land=land), [RULES], [{}]).false_alarms == ()


def test_other_machines_are_counted_by_kind_and_recording() -> None:
    def alone(level: float, kind: str, length_s: float) -> Scored:
        return scored(
            one_class([level] * 12),
            [("other", 0.0, length_s)],
            kinds=(kind,),
            name=f"{kind} {level}",
        )

    others = [
        alone(0.9, "helicopter", 15.0),
        alone(0.0, "helicopter", 15.0),
        alone(0.9, "tram", 5.0),
        alone(0.9, "animal", 15.0),
    ]
    made = row("ours", suite(others=others), [RULES])
    assert {kind: share.value for kind, share in made.machines.items()} == {
        "helicopter": 0.5,
        "tram": 1.0,
        EVERY_MACHINE: 0.6667,
        "animal": 1.0,
    }
    # Five seconds as they are end before an alert could start.
    assert made.machines_as_recorded is not None
    assert made.machines_as_recorded.value == 0.3333


def test_a_truck_that_idles_counts_in_both_rows() -> None:
    kinds = ("truck", "idling")
    bare = scored(one_class([0.9] * 12, "engine"), [("engine", 0.0, 15.0)], kinds=kinds)
    missed = scored(one_class([0.0] * 60), [("engine", 10.0, 30.0)], kinds=kinds)
    made = row("ours", suite({("engine", -5.0): missed}, bare=[bare]), [RULES])
    for kind in kinds:
        found = made.kinds[kind]
        assert (found[BARE].value, found["-5 dB"].value) == (1.0, 0.0)
