"""The messages: their fields, their times, their ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from jsonschema import ValidationError

from rainwatchd.decision.clock import FixedClock
from rainwatchd.decision.events import (
    Announcer,
    Detection,
    DeviceId,
    Event,
    Health,
    Identity,
    Phase,
    Status,
    interrupted,
    utc_text,
)
from tests.schemas import schema, validator

RATE_HZ = 16000
MIDNIGHT = datetime(2024, 5, 12, tzinfo=UTC)


def event(phase: Phase, seq: int, start_s: float = 3.25, end_s: float | None = None) -> Event:
    return Event(
        phase=phase,
        label="chainsaw",
        seq=seq,
        start=round(start_s * RATE_HZ),
        end=None if end_s is None else round(end_s * RATE_HZ),
        score=0.91239,
        peak_score=0.98765,
        level_dbfs=-31.4159,
        detected_at=10 * RATE_HZ,
        end_reason=None if end_s is None else "released",
    )


def announcer(device_id: str = "canopy-7", stream: str = "a.wav") -> Announcer:
    identity = Identity(device_id, -3.1, None, "tiny 1")
    return Announcer(identity, FixedClock(MIDNIGHT, RATE_HZ), RATE_HZ, stream)


def messages() -> Iterator[Detection]:
    announce = announcer()
    yield announce.detection(event("onset", 0))
    yield announce.detection(event("update", 1))
    yield announce.detection(event("offset", 2, end_s=12.5))
    yield interrupted(announcer().detection(event("onset", 0)))
    yield msgspec.structs.replace(announcer().detection(event("onset", 0)), historical=True)


@pytest.mark.parametrize("message", list(messages()))
def test_every_detection_keeps_to_the_shipped_schema(message: Detection) -> None:
    validator("detection").validate(msgspec.json.decode(msgspec.json.encode(message)))


@pytest.mark.parametrize(
    ("name", "struct"), [("detection", Detection), ("status", Status), ("health", Health)]
)
def test_schema_and_struct_name_the_same_fields(name: str, struct: type[msgspec.Struct]) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(struct)]

    assert list(schema(name)["properties"]) == fields
    assert schema(name)["required"] == fields


def test_schema_refuses_what_subscribers_cannot_rely_on() -> None:
    message = msgspec.to_builtins(announcer().detection(event("onset", 0)))

    validator("detection").validate(message | {"added_later": 1})
    with pytest.raises(ValidationError, match="begun"):
        validator("detection").validate(message | {"phase": "begun"})
    with pytest.raises(ValidationError, match="seq"):
        validator("detection").validate({k: v for k, v in message.items() if k != "seq"})
    with pytest.raises(ValidationError, match="start"):
        validator("detection").validate(message | {"start": "2024-05-12T06:00:00+02:00"})


def test_status_and_health_keep_to_their_schemas() -> None:
    status = Status(
        device_id="canopy-7", state="offline", version="0.1.0", model="tiny 1", model_digest="ab12"
    )
    health = Health(
        device_id="canopy-7",
        time=utc_text(MIDNIGHT),
        clock_synced=False,
        uptime_s=60.0,
        level_dbfs=None,
        overruns=0,
        gaps=0,
        real_time_factor=0.05,
        latency_s=None,
        drops=0,
        outbox_depth=3,
        outbox_dropped=0,
        feedback={"taken": 1, "void": 0, "unknown": 2, "lost": 0},
        disk_free_bytes=None,
        temperature_c=41.5,
        top_scores={"chainsaw": 0.01},
    )

    validator("status").validate(msgspec.to_builtins(status))
    validator("health").validate(msgspec.to_builtins(health))


def test_times_are_utc_with_milliseconds() -> None:
    announce = announcer()
    onset = announce.detection(event("onset", 0))
    offset = announce.detection(event("offset", 1, end_s=12.5))

    assert (onset.start, onset.end, onset.duration_s) == ("2024-05-12T00:00:03.250Z", None, 6.75)
    assert (offset.start, offset.end) == (onset.start, "2024-05-12T00:00:12.500Z")
    assert offset.duration_s == 9.25


def test_phases_of_an_event_share_one_id_and_events_do_not() -> None:
    announce = announcer()
    first = [announce.detection(event("onset", 0)), announce.detection(event("offset", 1, 3.25, 9))]
    second = announce.detection(event("onset", 0, start_s=20))

    assert first[0].event_id == first[1].event_id != second.event_id
    assert second.event_id > first[0].event_id, "ids sort by time"


def test_ids_are_the_same_in_each_replay_and_differ_between_devices_and_streams() -> None:
    again = [announcer().detection(event("onset", 0)).event_id for _ in range(2)]
    others = {
        announcer(device_id="canopy-8").detection(event("onset", 0)).event_id,
        announcer(stream="b.wav").detection(event("onset", 0)).event_id,
    }

    assert again[0] == again[1]
    assert len(others | {again[0]}) == 3


class SteppingClock:
    """A clock that NTP sets 54 years ahead while an event lasts."""

    def __init__(self) -> None:
        self.synced = False
        self.offset = timedelta(0)

    def utc(self, sample: int) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=sample / RATE_HZ) + self.offset


def test_a_clock_step_does_not_tear_an_event() -> None:
    clock = SteppingClock()
    announce = Announcer(Identity("canopy-7", None, None, "tiny 1"), clock, RATE_HZ, "live")
    onset = announce.detection(event("onset", 0))
    clock.offset, clock.synced = timedelta(days=54 * 365), True
    offset = announce.detection(event("offset", 1, end_s=12.5))

    assert offset.event_id == onset.event_id
    assert offset.start == onset.start
    assert offset.end == "1970-01-01T00:00:12.500Z"
    assert offset.duration_s == 9.25
    # Its times stay those of the clock that was not set.
    assert (onset.clock_synced, offset.clock_synced) == (False, False)
    assert announce.detection(event("onset", 0, start_s=20)).clock_synced


def test_interrupted_event_ends_at_the_last_that_was_known() -> None:
    announce = announcer()
    announce.detection(event("onset", 0))
    ended = interrupted(announce.detection(event("update", 1)))

    assert (ended.phase, ended.seq, ended.end_reason) == ("offset", 2, "interrupted")
    assert (ended.end, ended.duration_s) == ("2024-05-12T00:00:10.000Z", 6.75)


@pytest.mark.parametrize(
    "bad", ["", "a/b", "a+b", "a#", "a\0", "ä", "a b", "a\n", "x" * 65, "$SYS/broker", 7]
)
def test_device_id_that_is_no_topic_level_is_refused(bad: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, DeviceId)
    msgspec.convert("Canopy-7_b.west", DeviceId)
