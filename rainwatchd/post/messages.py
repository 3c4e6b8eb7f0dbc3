"""What devices say, read with suspicion: whatever a message holds, it is bounded text and numbers.

Unknown fields are passed over: a device may be newer than the post. A field that isn't what the
schemas in ``rainwatchd/schemas`` say makes the whole message void.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec

from rainwatchd.decision.events import DeviceId, Phase, utc_text
from rainwatchd.errors import RainwatchError

SUBSCRIPTION = "rainwatch/+/#"

EVENT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

Label = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Line = Annotated[str, msgspec.Meta(max_length=200)]
EventId = Annotated[str, msgspec.Meta(pattern=rf"^{EVENT_ID.pattern}\Z")]
Time = Annotated[
    str,
    msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z"),
]
Real = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Verdict = Literal["true", "false", "unsure"]


class VoidError(RainwatchError):
    """A message that means nothing here; says why."""


class Detection(msgspec.Struct, frozen=True, kw_only=True, rename={"label": "class"}):
    """One phase of one event."""

    event_id: EventId
    seq: Count
    phase: Phase
    label: Label
    start: Time | None
    """None of a replayed recording that doesn't tell its time."""
    end: Time | None
    duration_s: Annotated[float, msgspec.Meta(ge=0, le=1e9)]
    score: Share
    peak_score: Share
    level_dbfs: Real
    device_id: DeviceId
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None
    model: Line
    clock_synced: bool
    historical: bool
    end_reason: Label | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a device can be relied on."""

    device_id: DeviceId
    state: Literal["online", "degraded", "offline"]
    reasons: Annotated[
        list[Annotated[str, msgspec.Meta(max_length=1000)]], msgspec.Meta(max_length=50)
    ]
    version: Line
    model: Line
    model_digest: Line


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """A device's figures of its last minute."""

    device_id: DeviceId
    time: Time
    clock_synced: bool
    uptime_s: Real
    level_dbfs: Real | None
    overruns: Count
    gaps: Count
    drops: Count | None = None
    real_time_factor: Real | None
    latency_s: Real | None
    outbox_depth: Count
    outbox_dropped: Count
    disk_free_bytes: Count | None
    temperature_c: Real | None
    top_scores: Annotated[dict[Label, Share], msgspec.Meta(max_length=50)]


class Feedback(msgspec.Struct, frozen=True, kw_only=True, rename={"label": "class"}):
    """What a person says about one event."""

    schema: Literal["rainwatch/feedback/1"] = "rainwatch/feedback/1"
    event_id: EventId
    verdict: Verdict
    label: Label | None
    by: Annotated[str, msgspec.Meta(max_length=64)]
    at: Time


class Spectrum(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a live spectrogram."""

    device_id: DeviceId
    at: Time
    step_s: Annotated[float, msgspec.Meta(gt=0, le=60)]
    floor_db: Real
    low_hz: Real
    high_hz: Real
    bands: Annotated[bytes, msgspec.Meta(min_length=1, max_length=256)]


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """The sound of one event."""

    device_id: DeviceId
    event_id: EventId
    opus: bytes


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """A retained status that was taken away."""

    device_id: DeviceId


Message = Detection | Status | Health | Feedback | Spectrum | Clip | Cleared

_KINDS: dict[str, type[Detection | Status | Health | Spectrum | Feedback]] = {
    "detection": Detection,
    "status": Status,
    "health": Health,
    "spectrum": Spectrum,
    "feedback": Feedback,
}

_ABOUT_EVENTS = {"clip", "feedback"}
"""Topics that name an event behind them."""

_DEVICE_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def read(topic: str, payload: bytes) -> tuple[str, Message]:
    """Return who speaks and what is said; raise `VoidError` where it means nothing here."""
    _, device_id, kind, *rest = [*topic.split("/"), "", ""][: max(3, topic.count("/") + 1)]
    if len(rest) != (kind in _ABOUT_EVENTS):
        raise VoidError("no such topic")
    event_id = rest[0] if rest else ""
    if not _DEVICE_ID.fullmatch(device_id):
        raise VoidError("no device would have this name")
    if kind == "clip":
        return device_id, _clip(device_id, event_id, payload)
    if kind == "status" and not payload:
        return device_id, Cleared(device_id=device_id)
    wanted = _KINDS.get(kind)
    if wanted is None:
        raise VoidError("no such topic")
    try:
        message: Message = msgspec.json.decode(payload, type=wanted)
        _check_times(message)
    except (ValueError, RecursionError) as error:
        # msgspec's own errors are ValueErrors too.
        raise VoidError(str(error)[:200]) from error
    if isinstance(message, Feedback):
        named, addressed = message.event_id, event_id
    else:
        named, addressed = message.device_id, device_id
    if named != addressed:
        raise VoidError("it is about another one than its topic says")
    return device_id, message


def milliseconds(time: str) -> int:
    """Turn RFC 3339 text into milliseconds since 1970; raise ``ValueError`` where it is none."""
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def text(time_ms: int) -> str:
    """Turn milliseconds since 1970 into RFC 3339 text."""
    return utc_text(datetime.fromtimestamp(time_ms / 1000, UTC))


def _check_times(message: Message) -> None:
    """Refuse the 30th of February; the pattern allows it."""
    for name in ("start", "end", "time", "at"):
        if (value := getattr(message, name, None)) is not None:
            milliseconds(value)


def _clip(device_id: str, event_id: str, payload: bytes) -> Clip:
    if not EVENT_ID.fullmatch(event_id):
        raise VoidError("a clip of no event")
    if not payload.startswith(b"OggS"):
        raise VoidError("a clip that isn't Ogg")
    return Clip(device_id=device_id, event_id=event_id, opus=payload)
