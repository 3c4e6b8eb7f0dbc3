from pathlib import Path

import numpy as np
import pytest

from tests.training.labelled import LABELS, RATE_HZ, one_class, scored, write
from training.dataset import read
from training.evaluation.scoring import Scored
from training.evaluation.short_clips import CLIP_S, choose_thresholds, clip_streams, judge_clips


def heard(
    label: str, level: float, number: int, kind: str = "", called: str = "chainsaw"
) -> Scored:
    return scored(
        one_class([level] * 2, called),
        [(label, 0.0, 5.0)],
        kinds=(kind or label,),
        name=f"{label} {number}",
    )


def test_one_clip_of_every_recording_at_most_five_seconds(tmp_path: Path) -> None:
    ramp = np.linspace(-0.5, 0.5, 20 * RATE_HZ)
    write(tmp_path / "engine" / "long.wav", ramp)
    write(tmp_path / "engine" / "short.wav", ramp[: 2 * RATE_HZ])
    write(tmp_path / "engine" / "blip.wav", ramp[: RATE_HZ // 2])
    long, short = clip_streams(read(tmp_path), rate_hz=RATE_HZ)
    (samples,) = long.blocks()
    assert samples.size == CLIP_S * RATE_HZ
    assert abs(float(samples.mean())) < 1e-3
    assert sum(block.size for block in short.blocks()) == 2 * RATE_HZ


def test_a_threshold_leaves_one_in_twenty_of_the_others() -> None:
    quiet = [heard("background", 0.01 * n, n) for n in range(100)]
    loud = [heard("chainsaw", 0.99, n) for n in range(5)]
    chosen = choose_thresholds([quiet, loud], LABELS)
    assert chosen == {"chainsaw": pytest.approx(0.94, abs=0.011)}


def test_clips_are_judged_right_and_wrong_by_what_they_are() -> None:
    clips = [
        heard("chainsaw", 0.9, 1),
        heard("chainsaw", 0.1, 2),
        heard("background", 0.9, 3),
        heard("storm", 0.9, 4, called="storm"),
        heard("other", 0.9, 5, kind="tram"),
        heard("other", 0.1, 6, kind="tram"),
        heard("other", 0.1, 7, kind="animal"),
    ]
    figures = judge_clips([clips], [{"chainsaw": 0.5, "storm": 0.5}])
    assert figures is not None
    assert figures.recall["chainsaw"].value == 0.5
    assert figures.recall["storm"].value == 1.0
    wrong = {what: share.value for what, share in figures.false_share.items()}
    assert wrong == {"the land": 0.5, "other machines": 0.5, "other sounds": 0.0}
    assert figures.counts.sum() == len(clips)
    assert not figures.esc50
    assert judge_clips([[]], [{}]) is None
