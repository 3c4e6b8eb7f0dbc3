"""Labels beside the clips: verdicts early and late, near misses, and what stays longest."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import soundfile

from rainwatchd.clips.labels import Label, Verdict, decode
from rainwatchd.clips.near_misses import NearMiss, NearMisses
from rainwatchd.clips.store import ClipStore, Quota, clip_name
from rainwatchd.decision.clock import FixedClock
from rainwatchd.decision.decision import Decision
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.hearing.window import Window
from tests.broker import until
from tests.clips.test_clips import RATE_HZ, Harness, Make, make

__all__ = ["make"]


def verdict(said: str = "false", minute: int = 0, by: str = "Ana") -> Verdict:
    assert said in ("true", "false", "unsure")
    return Verdict(
        verdict=said,  # type: ignore[arg-type]
        label=None,
        by=by,
        at=f"2024-05-12T07:{minute:02}:00.000Z",
    )


def labels(harness: Harness) -> list[Label]:
    return [decode(path.read_bytes()) for path in harness.files("*.json")]


def test_the_label_says_what_was_decided_and_where_in_the_clip(make: Make) -> None:
    harness = make(pre_roll_s=2.0, post_roll_s=1.0)
    offset = harness.whole_event(1, 10.0, 15.0)
    harness.close()

    (label,) = labels(harness)
    assert label.detection == offset
    assert label.sound_s == (2.0, 7.0)
    assert (label.event_id, label.label, label.near_miss) == (offset.event_id, "chainsaw", False)
    assert (label.device_id, label.model, label.model_digest) == ("canopy-7", "tiny 1", "d1ge57")
    assert label.sample_rate_hz == RATE_HZ
    assert label.last is None


def test_a_verdict_counts_whenever_it_comes(make: Make) -> None:
    harness = make()
    harness.hear(12)
    onset = harness.event(1, "onset", 6.0)
    assert harness.clips.judge(onset.event_id, verdict("true", 5))
    harness.event(1, "offset", 6.0, 12.0)
    harness.hear(5)
    until(lambda: harness.clips.saved, "the clip")
    assert harness.clips.judge(onset.event_id, verdict("unsure", 1))
    assert harness.clips.judge(onset.event_id, verdict("false", 9, "Ben"))
    assert harness.clips.judge(onset.event_id, verdict("false", 9, "Ben"))
    harness.close()

    (label,) = labels(harness)
    assert [said.verdict for said in label.verdicts] == ["true", "unsure", "false"]
    assert label.last == verdict("false", 9, "Ben")
    assert label.contradicted


def test_a_verdict_on_what_has_no_clip_is_refused(make: Make) -> None:
    harness = make()
    harness.whole_event(1, 10.0, 12.0)
    harness.close()
    assert not harness.clips.judge("018f6a00-0000-7000-8000-ffffffffffff", verdict())


def test_judged_clips_go_last_and_near_misses_first(tmp_path: Path) -> None:
    names = [
        clip_name(f"2024-05-{day:02}T06:00:00.000Z", "storm", f"{day:012x}") for day in range(1, 9)
    ]
    keeper = ClipStore(tmp_path, Quota(1 << 20, 10.0, 0), wall=lambda: 2e9)
    for day, name in enumerate(names, start=1):
        keeper.add(name, bytes(1000))
        keeper.label(
            name,
            Label(
                event_id=f"018f6a00-0000-7000-8000-{day:012x}",
                label="storm",
                start="2024-05-12T06:00:00.000Z",
                sound_s=(0.0, 1.0),
                peak_score=0.9,
                near_miss=day == 8,
                device_id="canopy-7",
                model="tiny 1",
                model_digest="",
                sample_rate_hz=RATE_HZ,
            ),
        )
    assert keeper.judge("018f6a00-0000-7000-8000-000000000001", verdict())
    size = sum(path.stat().st_size for path in tmp_path.iterdir())

    def left(quota_bytes: int) -> list[int]:
        # As after a restart: what is known of the clips stands in their labels.
        again = ClipStore(tmp_path, Quota(quota_bytes, 1e9, 0))
        again.prepare()
        again.make_room(0)
        return [number for number, name in enumerate(names, 1) if (tmp_path / name).exists()]

    assert left(size - 1) == [1, 2, 3, 4, 5, 6, 7]
    assert left(4000) == [1, 7]
    assert left(2000) == [1]
    assert {path.stem for path in tmp_path.iterdir()} == {Path(names[0]).stem}
    assert left(100) == []


def test_a_judged_clip_does_not_expire(make: Make) -> None:
    harness = make(max_age_days=1e-9)
    first = harness.whole_event(1, 10.0, 12.0)
    until(lambda: harness.clips.saved, "the clip")
    assert harness.clips.judge(first.event_id, verdict())
    harness.whole_event(2, 30.0, 32.0)
    until(lambda: harness.clips.saved == 2, "the clip")
    harness.whole_event(3, 50.0, 52.0)
    harness.close()
    assert [label.event_id[-1] for label in labels(harness) if label.event_id] == ["1", "3"]


def heard(scores: list[float]) -> list[NearMiss]:
    rule = DecisionRule(span_s=1.0, on_threshold=0.6, off_threshold=0.4)
    decision = Decision(["saw"], {"saw": rule}, 1000, 1.0)
    near = NearMisses(["saw"], {"saw": rule}, 1000, 1.0)
    found: list[NearMiss] = []
    for step, score in enumerate(scores):
        window = Window(1000 * step, 1000 * (step + 4), (score,), -30.0)
        for event in decision.push(window):
            near.alerted(event)
        found += near.push(window)
    return found


def test_a_near_miss_is_a_peak_that_raised_no_alert() -> None:
    (miss,) = heard([0.0] * 5 + [0.3, 0.55, 0.4] + [0.0] * 5)
    assert (miss.label, miss.peak_score, miss.peak) == ("saw", 0.55, 10_000)
    assert heard([0.0] * 5 + [0.3] + [0.9] * 9 + [0.3] + [0.0] * 9) == []
    assert heard([0.1] * 50) == []


def test_what_hums_all_day_is_one_near_miss() -> None:
    assert len(heard([0.5] * 500)) == 1


def test_the_day_s_highest_are_kept(make: Make) -> None:
    harness = make(near_misses=2)
    clock = FixedClock(datetime(2024, 5, 12, 6, 0, tzinfo=UTC), RATE_HZ)
    for number, score in enumerate((0.3, 0.5, 0.2, 0.4, 0.1)):
        harness.hear(20.0)
        peak = harness.history.written - 5 * RATE_HZ
        span = (peak - RATE_HZ, peak, peak + RATE_HZ)
        seen = harness.clips.handled
        harness.clips.miss(NearMiss("engine", *span, score), clock)
        until(lambda: harness.clips.handled > seen, f"near miss {number}")  # noqa: B023
    harness.close()

    kept = labels(harness)
    assert [label.peak_score for label in kept] == [0.5, 0.4]
    assert all(label.near_miss and label.event_id is None for label in kept)
    assert [soundfile.info(path).duration for path in harness.files()] == [10.0, 10.0]


@pytest.mark.parametrize("most", [0, 3])
def test_near_misses_are_wanted_or_not(make: Make, most: int) -> None:
    harness = make(near_misses=most)
    harness.hear(20.0)
    clock = FixedClock(None, RATE_HZ)
    harness.clips.miss(NearMiss("engine", 0, 12 * RATE_HZ, 13 * RATE_HZ, 0.4), clock)
    harness.close()
    assert len(harness.files()) == (1 if most else 0)
