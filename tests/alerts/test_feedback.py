"""Verdicts over MQTT: the good ones are handed on, the others cost a line."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rainwatchd.alerts.feedback import Feedback, FeedbackDesk
from tests.schemas import validator

EVENT_ID = "018f6a00-0000-7000-8000-000000000001"
TOPIC = f"rainwatch/canopy-7/feedback/{EVENT_ID}"
GOOD: dict[str, Any] = {
    "schema": "rainwatch/feedback/1",
    "event_id": EVENT_ID,
    "verdict": "false",
    "class": "tram",
    "by": "Ana",
    "at": "2024-05-12T07:00:00.000Z",
}


def desk(known: bool = True) -> tuple[FeedbackDesk, list[Feedback]]:
    taken: list[Feedback] = []

    def judge(feedback: Feedback) -> bool:
        taken.append(feedback)
        return known

    return FeedbackDesk(judge), taken


def test_a_verdict_is_handed_on_and_fits_the_schema() -> None:
    inbox, taken = desk()
    inbox.take(TOPIC, msgspec.json.encode(GOOD | {"later": 1}))
    (feedback,) = taken
    assert (feedback.event_id, feedback.verdict, feedback.label) == (EVENT_ID, "false", "tram")
    validator("feedback").validate(msgspec.to_builtins(feedback))
    assert +inbox.counts == {"taken": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": True},
        {"verdict": "maybe"},
        {"event_id": EVENT_ID.replace("1", "2")},
        {"event_id": "x"},
        {"class": ""},
        {"class": "x" * 65},
        {"at": "yesterday"},
        {"at": "2024-02-31T07:00:00.000Z"},
        {"schema": "rainwatch/feedback/2"},
        {"by": "x" * 5000},
    ],
)
def test_what_is_no_verdict_is_counted(wrong: dict[str, Any]) -> None:
    inbox, taken = desk()
    inbox.take(TOPIC, msgspec.json.encode(GOOD | wrong))
    assert (+inbox.counts, taken) == ({"void": 1}, [])


@given(payload=st.binary(max_size=300))
def test_no_bytes_raise(payload: bytes) -> None:
    inbox, taken = desk()
    inbox.take(TOPIC, payload)
    assert (+inbox.counts, taken) == ({"void": 1}, [])


def test_a_flood_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    inbox, _ = desk(known=False)
    for _ in range(50):
        inbox.take(TOPIC, msgspec.json.encode(GOOD))
        inbox.take(TOPIC, b"{" * 100_000)
    assert +inbox.counts == {"void": 50, "unknown": 50}
    assert len(caplog.records) == 2


def test_a_full_disk_is_a_line_not_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def judge(_: Feedback) -> bool:
        raise OSError(28, "No space left on device")

    inbox = FeedbackDesk(judge)
    inbox.take(TOPIC, msgspec.json.encode(GOOD))
    assert +inbox.counts == {"lost": 1}
    assert "No space left on device" in caplog.text
