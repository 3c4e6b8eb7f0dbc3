"""What people say of events, as it comes over MQTT: read, counted, and handed on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from rainwatchd.errors import RainwatchError

log = logging.getLogger(__name__)

MAX_BYTES = 4096
"""A verdict takes some 250; whatever is larger is none."""


class FeedbackError(RainwatchError):
    """The message is no verdict; says why."""


class Feedback(msgspec.Struct, frozen=True, kw_only=True, rename={"label": "class"}):
    """One person's word on one event, as ``feedback.schema.json`` describes it."""

    schema: Literal["rainwatch/feedback/1"] = "rainwatch/feedback/1"
    event_id: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"
        ),
    ]
    verdict: Literal["true", "false", "unsure"]
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] | None
    by: Annotated[str, msgspec.Meta(max_length=64)]
    at: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z\Z")]


def read_feedback(topic: str, payload: bytes) -> Feedback:
    """Read a message of ``rainwatch/<device_id>/feedback/<event_id>``; raise `FeedbackError`."""
    if len(payload) > MAX_BYTES:
        raise FeedbackError(f"{len(payload)} bytes; allowed: {MAX_BYTES}")
    try:
        feedback = msgspec.json.decode(payload, type=Feedback)
        datetime.fromisoformat(feedback.at)
    except (ValueError, RecursionError) as error:
        # msgspec's own errors are ValueErrors too.
        raise FeedbackError(str(error)[:200]) from error
    if feedback.event_id != topic.rpartition("/")[2]:
        raise FeedbackError("it is about another event than its topic says")
    return feedback


class FeedbackDesk:
    """Takes the messages of the feedback topic; whatever is wrong with one costs a log line.

    `judge` writes a verdict down and returns whether the event is known.
    """

    def __init__(self, judge: Callable[[Feedback], bool]) -> None:
        self.counts = Counter(taken=0, void=0, unknown=0, lost=0)
        """How many were taken, void, of an event that is unknown here, or lost to the disk."""
        self._judge = judge

    def take(self, topic: str, payload: bytes) -> None:
        """Take one message; by the thread that receives."""
        try:
            feedback = read_feedback(topic, payload)
        except FeedbackError as error:
            self._complain("void", f"feedback: {topic}: no verdict: {error}")
            return
        try:
            known = self._judge(feedback)
        except OSError as error:
            self._complain("lost", f"feedback: a verdict cannot be written: {error}")
            return
        if not known:
            self._complain("unknown", f"feedback: no event {feedback.event_id} here")
            return
        self.counts["taken"] += 1
        log.info("feedback: event %s is %s, says %s", *_said(feedback))

    def _complain(self, kind: str, line: str) -> None:
        self.counts[kind] += 1
        level = logging.WARNING if self.counts[kind] == 1 else logging.DEBUG
        log.log(level, "%s", line if line.isprintable() else repr(line))


def _said(feedback: Feedback) -> tuple[str, str, str]:
    by = feedback.by if feedback.by.isprintable() else repr(feedback.by)
    return feedback.event_id, feedback.verdict, by
