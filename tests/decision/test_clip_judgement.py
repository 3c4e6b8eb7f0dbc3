import math

from rainwatchd.decision.clip_judgement import ClipJudgement, judge_clip

LABELS = ("background", "chainsaw", "engine", "storm")


def test_the_highest_class_above_its_threshold_wins() -> None:
    thresholds = {"chainsaw": 0.3, "engine": 0.2, "storm": 0.5}
    assert judge_clip(LABELS, (0.2, 0.35, 0.25, 0.2), thresholds) == "chainsaw"
    assert judge_clip(LABELS, (0.2, 0.29, 0.25, 0.26), thresholds) == "engine"
    assert judge_clip(LABELS, (0.1, 0.29, 0.15, 0.46), thresholds) == "background"


def test_without_measured_thresholds_half_the_score_decides() -> None:
    assert judge_clip(LABELS, (0.4, 0.5, 0.1, 0.0), {}) == "chainsaw"
    assert judge_clip(LABELS, (0.2, 0.4, 0.4, 0.0), {}) == "background"
    assert judge_clip(LABELS, (math.nan,) * 4, {}) == "background"


def test_windows_are_averaged_as_they_come() -> None:
    judgement = ClipJudgement(LABELS, {"chainsaw": 0.6})
    assert judgement.label is None
    judgement.push((0.1, 0.9, 0.0, 0.0))
    assert judgement.label == "chainsaw"
    judgement.push((0.8, 0.2, 0.0, 0.0))
    assert judgement.label == "background"
