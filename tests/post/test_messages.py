"""What devices say is read with suspicion."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.post.messages import Clip, Detection, Feedback, VoidError, read
from tests.detections import detection
from tests.schemas import validator

EVENT_ID = detection(1).event_id
TOPIC = "rainwatch/canopy-7/detection"


def changed(**changes: Any) -> bytes:
    document = msgspec.json.decode(msgspec.json.encode(detection(1)), type=dict[str, Any])
    return msgspec.json.encode(document | changes)


def test_a_detection_of_a_newer_device_is_understood() -> None:
    device_id, said = read(TOPIC, changed(schema="rainwatch/detection/2", bearing_deg=12))
    assert device_id == "canopy-7"
    assert isinstance(said, Detection)
    assert said.label == "chainsaw"


@pytest.mark.parametrize(
    "changes",
    [
        {"device_id": "canopy-8"},
        {"device_id": "<script>"},
        {"event_id": "../../etc/passwd"},
        {"event_id": 7},
        {"seq": -1},
        {"seq": 2**70},
        {"class": ""},
        {"class": "x" * 65},
        {"class": None},
        {"start": "yesterday"},
        {"start": "2024-02-30T00:00:00.000Z"},
        {"start": "2024-05-12T00:00:00.000Z\n"},
        {"score": 1.5},
        {"score": True},
        {"lat": 91},
        {"duration_s": 1e300},
        {"level_dbfs": -1e300},
        {"phase": "middle"},
        {"model": "m" * 10_000},
        {"historical": "yes"},
    ],
    ids=str,
)
def test_what_the_schema_forbids_is_void(changes: dict[str, Any]) -> None:
    with pytest.raises(VoidError):
        read(TOPIC, changed(**changes))


def test_hostile_text_is_only_text() -> None:
    label = '<img src=x onerror="alert(1)">\u202e\x00'
    said = read(TOPIC, changed(**{"class": label}))[1]
    assert isinstance(said, Detection)
    assert said.label == label


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("rainwatch/canopy-7/clip/" + EVENT_ID, b"<html>"),
        ("rainwatch/canopy-7/clip/nothing", b"OggS"),
        ("rainwatch/canopy-7/clip", b"OggS"),
        ("rainwatch/<b>/clip/" + EVENT_ID, b"OggS"),
        ("rainwatch//detection", b"{}"),
        ("rainwatch/canopy-7/", b"{}"),
        ("rainwatch/canopy-7/weather", b"{}"),
        ("rainwatch/canopy-7/feedback/" + detection(2).event_id, b"{}"),
        ("rainwatch", b""),
        (TOPIC + "/more", changed()),
        (TOPIC, b"[" * 100_000),
        (TOPIC, b'{"class": "\\ud800"}'),
        (TOPIC, b"\xff\xfe"),
    ],
)
def test_what_means_nothing_is_void(topic: str, payload: bytes) -> None:
    with pytest.raises(VoidError):
        read(topic, payload)


@settings(max_examples=100)
@given(
    kind=st.sampled_from(["detection", "status", "health", "spectrum", f"clip/{EVENT_ID}"]),
    payload=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["seq", "class"]), inner),
        max_leaves=5,
    ).map(msgspec.json.encode),
)
def test_nothing_but_void_comes_of_noise(kind: str, payload: bytes) -> None:
    try:
        read(f"rainwatch/canopy-7/{kind}", payload)
    except VoidError as reason:
        assert len(str(reason)) <= 200


def test_a_clip_is_bytes_of_an_event() -> None:
    said = read(f"rainwatch/canopy-7/clip/{EVENT_ID}", b"OggS...")[1]
    assert said == Clip(device_id="canopy-7", event_id=EVENT_ID, opus=b"OggS...")


def test_feedback_keeps_to_its_schema() -> None:
    said = Feedback(
        event_id=EVENT_ID, verdict="false", label=None, by="ana", at="2024-05-12T10:00:00.000Z"
    )
    encoded = msgspec.json.encode(said)
    validator("feedback").validate(msgspec.json.decode(encoded))
    assert read(f"rainwatch/canopy-7/feedback/{EVENT_ID}", encoded)[1] == said
