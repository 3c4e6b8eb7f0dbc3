"""What makes an event start, last and end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.decision.decision import Decision
from rainwatchd.decision.events import Event
from rainwatchd.errors import ModelError
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.hearing.window import Window

RATE_HZ = 16000
WINDOW_S = 4.0
LABELS = ["background", "chainsaw", "engine"]
RULE = DecisionRule()


def decide(
    scores: Sequence[float],
    rule: DecisionRule = RULE,
    *,
    step_s: float = 1.0,
    update_s: float | None = None,
) -> list[Event]:
    """Events of the class chainsaw, given the score of each window."""
    decision = Decision(LABELS, {"chainsaw": rule}, RATE_HZ, step_s, update_s)
    events = []
    for window in windows(scores, step_s):
        events += decision.push(window)
    return events + decision.finish("end_of_stream")


def windows(scores: Sequence[float], step_s: float = 1.0, from_s: float = 0.0) -> list[Window]:
    return [
        Window(
            start=round((from_s + index * step_s) * RATE_HZ),
            end=round((from_s + index * step_s + WINDOW_S) * RATE_HZ),
            scores=(1.0 - score, score, 0.0),
            level_dbfs=-60.0 + 40.0 * score,
        )
        for index, score in enumerate(scores)
    ]


def sounds(*spans_s: tuple[float, float], length_s: float, step_s: float = 1.0) -> list[float]:
    """Scores of a sound that can be heard in the middle of each window within `spans_s`."""
    middles = [index * step_s + WINDOW_S / 2 for index in range(round(length_s / step_s))]
    return [0.95 if any(a <= m < b for a, b in spans_s) else 0.05 for m in middles]


def phases(events: Sequence[Event]) -> list[str]:
    return [event.phase for event in events]


def test_a_sound_gives_one_onset_and_one_offset_near_its_ends() -> None:
    onset, offset = decide(sounds((20, 50), length_s=90))

    assert phases([onset, offset]) == ["onset", "offset"]
    assert onset.start / RATE_HZ == pytest.approx(20, abs=1.0)
    assert offset.end is not None
    assert offset.end / RATE_HZ == pytest.approx(50, abs=1.0)
    assert (onset.start, onset.end) == (offset.start, None)
    assert (onset.seq, offset.seq) == (0, 1)
    assert offset.end_reason == "released"
    assert offset.peak_score == pytest.approx(0.95)
    assert offset.level_dbfs == pytest.approx(-22.0)


def test_onset_comes_early() -> None:
    onset = decide(sounds((20, 50), length_s=90))[0]

    # Half a window, three of five smoothed windows and M = 3 of them: no more than that.
    assert (onset.detected_at - onset.start) / RATE_HZ <= 2 + 3 + 3


def test_short_noises_are_no_event() -> None:
    assert decide(sounds((20, 22), (40, 41), (60, 62), length_s=90)) == []


def test_a_flickering_score_is_one_event() -> None:
    scores = [0.95, 0.95, 0.2] * 20

    assert phases(decide([0.05] * 10 + scores + [0.05] * 30)) == ["onset", "offset"]


def test_a_score_that_is_no_number_starts_nothing() -> None:
    assert decide([math.nan] * 20) == []


@pytest.mark.parametrize("smoothing", ["mean", "ema"])
def test_a_span_of_nothing_smooths_nothing(smoothing: str) -> None:
    rule = msgspec.structs.replace(RULE, smoothing=smoothing, span_s=0.0)
    alone = msgspec.structs.replace(RULE, smoothing="mean", span_s=1.0)
    scores = sounds((10, 20), length_s=40)
    heard, expected = decide(scores, rule), decide(scores, alone)
    assert [event.detected_at for event in heard] == [event.detected_at for event in expected]
    assert phases(heard) == ["onset", "offset"]


def test_between_the_thresholds_an_event_lasts_but_none_starts() -> None:
    between = [(RULE.on_threshold + RULE.off_threshold) / 2] * 30

    assert decide([0.05] * 10 + between + [0.05] * 20) == []
    onset, offset = decide([0.05] * 10 + [0.95] * 10 + between + [0.05] * 20)
    assert offset.end is not None
    assert (offset.end - onset.start) / RATE_HZ == pytest.approx(40, abs=3.5)


def test_a_pause_shorter_than_the_release_does_not_end_an_event() -> None:
    rule = DecisionRule(span_s=1.0, release_s=6.0)

    assert phases(decide(sounds((20, 40), (45, 60), length_s=90), rule)) == ["onset", "offset"]
    assert phases(decide(sounds((20, 40), (48, 60), length_s=90), rule)) == ["onset", "offset"] * 2


def test_refractory_time_delays_the_next_onset() -> None:
    def second_onset_s(refractory_s: float) -> float:
        rule = DecisionRule(span_s=1.0, release_s=3.0, refractory_s=refractory_s)
        events = decide(sounds((10, 20), (25, 90), length_s=90), rule)
        assert phases(events) == ["onset", "offset"] * 2
        assert events[2].start >= (events[1].end or 0)
        return events[2].detected_at / RATE_HZ

    assert second_onset_s(30.0) == pytest.approx(second_onset_s(0.0) + 22, abs=3.0)


def test_updates_come_at_their_interval_while_it_lasts() -> None:
    events = decide(sounds((10, 80), length_s=100), update_s=20.0)
    times_s = [event.detected_at / RATE_HZ for event in events]

    assert phases(events) == ["onset", "update", "update", "update", "offset"]
    assert [event.seq for event in events] == [0, 1, 2, 3, 4]
    assert [b - a for a, b in pairwise(times_s[:4])] == [20.0] * 3


def test_the_end_of_the_stream_ends_an_event_at_its_last_window() -> None:
    scores = sounds((20, 60), length_s=40)
    offset = decide(scores)[-1]

    assert (offset.phase, offset.end_reason) == ("offset", "end_of_stream")
    assert offset.end == windows(scores)[-1].end


def test_an_event_cannot_start_before_the_stream() -> None:
    assert decide([0.95] * 20)[0].start >= 0


def test_classes_do_not_disturb_each_other() -> None:
    decision = Decision(LABELS, {"chainsaw": RULE, "engine": RULE}, RATE_HZ, 1.0)
    both = [
        Window(window.start, window.end, (0.0, 0.9, 0.9), -30.0) for window in windows([0.0] * 8)
    ]
    events = [event for window in both for event in decision.push(window)]

    assert [(event.phase, event.label) for event in events] == [
        ("onset", "chainsaw"),
        ("onset", "engine"),
    ]


def test_background_never_alerts() -> None:
    assert decide([0.0] * 50) == []


def test_a_rule_for_a_label_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'handsaw'.*background, chainsaw, engine"):
        Decision(LABELS, {"handsaw": RULE}, RATE_HZ, 1.0)


def with_gap(gap_s: float, after: Sequence[float]) -> list[Event]:
    """Twenty loud windows, then a gap, then what comes after it."""
    decision = Decision(LABELS, {"chainsaw": RULE}, RATE_HZ, 1.0)
    events = []
    before = windows([0.95] * 20)
    for window in before:
        events += decision.push(window)
    gap_start = before[-1].end + RATE_HZ // 3
    gap_end = gap_start + round(gap_s * RATE_HZ)
    events += decision.gap(gap_start, gap_end)
    for window in windows(after, from_s=gap_end / RATE_HZ):
        assert window.start >= gap_end
        events += decision.push(window)
    return events


def test_an_event_goes_on_across_a_short_gap() -> None:
    assert phases(with_gap(2.0, [0.95] * 20)) == ["onset"]


def test_an_event_ends_in_a_long_gap_at_what_was_heard_last() -> None:
    onset, offset = with_gap(5.0, [])

    assert (offset.phase, offset.end_reason) == ("offset", "gap")
    assert offset.end == windows([0.95] * 20)[-1].end
    assert offset.start == onset.start


def test_after_a_long_gap_a_new_event_starts_no_earlier_than_the_sound() -> None:
    events = with_gap(5.0, [0.95] * 20)

    assert phases(events) == ["onset", "offset", "onset"]
    gap_end = windows([0.95] * 20)[-1].end + RATE_HZ // 3 + 5 * RATE_HZ
    assert events[2].start >= gap_end


def test_a_microphone_that_keeps_failing_does_not_hold_an_event_open() -> None:
    decision = Decision(LABELS, {"chainsaw": RULE}, RATE_HZ, 1.0)
    position, events = 0, []
    for window in windows([0.95] * 10):
        events += decision.push(window)
        position = window.end
    for _ in range(10):
        # A second of sound, too short for a window, then a tenth of a second lost.
        events += decision.gap(position + RATE_HZ, position + RATE_HZ + RATE_HZ // 10)
        position += RATE_HZ + RATE_HZ // 10

    assert phases(events) == ["onset", "offset"]
    assert events[1].end_reason == "gap"


def test_scores_from_before_a_long_gap_do_not_count_after_it() -> None:
    decision = Decision(LABELS, {"chainsaw": RULE}, RATE_HZ, 1.0)
    events = []
    for window in windows([0.05] * 10 + [0.95] * 4):
        events += decision.push(window)
    decision.gap(20 * RATE_HZ, 60 * RATE_HZ)
    for window in windows([0.3] * 10, from_s=60.0):
        events += decision.push(window)

    assert events == []


@pytest.mark.parametrize(("gap_s", "loudest"), [(1.0, 0.816), (10.5, 0.5)])
def test_only_what_is_close_is_averaged_across_a_gap(gap_s: float, loudest: float) -> None:
    rule = DecisionRule(
        smoothing="ema", span_s=10.0, on_threshold=0.4, off_threshold=0.3, min_positive_s=1.0
    )
    decision = Decision(LABELS, {"chainsaw": rule}, RATE_HZ, 1.0)
    before = windows([0.0] * 30 + [0.95] * 40)
    for window in before:
        decision.push(window)
    end = before[-1].end
    gap_end = end + round(gap_s * RATE_HZ)
    decision.finish("stopped")
    decision.gap(end, gap_end)
    after = windows([0.5] * 30, from_s=gap_end / RATE_HZ)
    onset = next(event for window in after for event in decision.push(window))

    assert onset.phase == "onset"
    assert onset.peak_score == pytest.approx(loudest, abs=0.02)


score_spans = st.lists(
    st.tuples(st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.95]), st.integers(1, 12)),
    min_size=1,
    max_size=12,
)


@st.composite
def rules(draw: st.DrawFn) -> DecisionRule:
    within_s = draw(st.sampled_from([3.0, 5.0, 8.0]))
    return DecisionRule(
        smoothing=draw(st.sampled_from(["mean", "ema"])),
        span_s=draw(st.sampled_from([2.0, 5.0, 8.0])),
        on_threshold=0.6,
        off_threshold=draw(st.sampled_from([0.25, 0.4])),
        min_positive_s=draw(st.sampled_from([2.0, 3.0])),
        within_s=within_s,
        release_s=draw(st.sampled_from([3.0, 6.0])),
        refractory_s=draw(st.sampled_from([0.0, 5.0])),
    )


# Long enough for any of the rules to hear, with blips that none of them may hear: what lies in
# between is decided by rounding to windows, and may well differ.
SOUND_S = st.integers(13, 40)
PAUSE_S = st.integers(30, 60)
BLIP_S = st.just(1)


@settings(max_examples=40, deadline=None)
@given(rules(), st.lists(st.tuples(PAUSE_S, st.one_of(SOUND_S, BLIP_S)), min_size=1, max_size=4))
def test_a_halved_step_does_not_change_the_meaning(
    rule: DecisionRule, sequence: list[tuple[int, int]]
) -> None:
    spans_s, now_s = [], 0
    for pause_s, sound_s in sequence:
        spans_s.append((now_s + pause_s, now_s + pause_s + sound_s))
        now_s += pause_s + sound_s
    expected = [(a, b) for a, b in spans_s if b - a > 1]

    for step_s in (1.0, 0.5, 0.25, 0.4):
        events = decide(sounds(*spans_s, length_s=now_s + 40, step_s=step_s), rule, step_s=step_s)
        assert phases(events) == ["onset", "offset"] * len(expected)
        for (start_s, end_s), onset, offset in zip(
            expected, events[::2], events[1::2], strict=True
        ):
            assert offset.end is not None
            assert onset.start / RATE_HZ == pytest.approx(start_s, abs=rule.span_s / 2 + 1)
            assert offset.end / RATE_HZ == pytest.approx(end_s, abs=rule.span_s / 2 + 1)


@settings(max_examples=60, deadline=None)
@given(rules(), SOUND_S)
def test_times_hardly_move_when_the_step_is_halved(rule: DecisionRule, sound_s: int) -> None:
    whole, half = (
        decide(sounds((30, 30 + sound_s), length_s=120, step_s=step_s), rule, step_s=step_s)
        for step_s in (1.0, 0.5)
    )

    for one, other in zip(whole, half, strict=True):
        assert (one.phase, one.end_reason) == (other.phase, other.end_reason)
        assert abs(one.start - other.start) <= RATE_HZ
        assert abs((one.end or 0) - (other.end or 0)) <= RATE_HZ
        assert abs(one.detected_at - other.detected_at) <= 1.5 * RATE_HZ
        assert one.score == pytest.approx(other.score, abs=0.1)


@settings(deadline=None)
@given(score_spans, rules(), st.sampled_from([0.5, 1.0]))
def test_events_of_a_class_are_well_formed(
    spans: list[tuple[float, int]], rule: DecisionRule, step_s: float
) -> None:
    scores = [score for score, count in spans for _ in range(count)]
    events = decide(scores, rule, step_s=step_s, update_s=3.0)
    stream_end = windows(scores, step_s)[-1].end
    last_end = 0
    while events:
        onset = events.pop(0)
        assert (onset.phase, onset.seq) == ("onset", 0)
        assert last_end <= onset.start < onset.detected_at
        assert onset.peak_score + 1e-9 >= onset.score >= rule.on_threshold
        for seq in range(1, len(events) + 1):
            event = events.pop(0)
            assert (event.seq, event.start) == (seq, onset.start)
            if event.phase == "offset":
                assert event.end is not None
                assert onset.start < event.end <= stream_end
                assert event.peak_score >= event.score - 1e-9
                last_end = event.end
                break
        else:
            pytest.fail("an event was left open")


def test_a_mean_and_an_ema_of_one_span_lag_alike() -> None:
    def delay_s(smoothing: str) -> float:
        rule = msgspec.convert(
            {"smoothing": smoothing, "span_s": 10.0, "min_positive_s": 1.0, "on_threshold": 0.5},
            DecisionRule,
        )
        return decide(sounds((30, 90), length_s=90), rule)[0].detected_at / RATE_HZ - 30

    assert math.isclose(delay_s("mean"), delay_s("ema"), abs_tol=2.0)
