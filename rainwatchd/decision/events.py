"""What flows through the daemon, and the messages that leave it.

Inside, events count samples at the model's rate from the start of the stream; `Announcer` attaches
identity and UTC at the edge. The messages' fields are a contract: ``schemas/*.schema.json``.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec

from rainwatchd.decision.clock import Clock

Phase = Literal["onset", "update", "offset"]

EndReason = Literal["released", "gap", "end_of_stream", "stopped", "interrupted"]
"""Why an event ended: the sound stopped, the microphone failed for too long, the recording ended,
the daemon was stopped in order, or it was killed (found at the next start)."""

DeviceId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9_.-]{1,64}\Z",
        description="1 to 64 letters, digits, '_', '-' and '.'",
    ),
]


@dataclass(frozen=True)
class Event:
    """One thing that the decision says about one sound: it began, it lasts, it ended."""

    phase: Phase
    label: str
    seq: int
    """0 at onset, one more with each message of the same event."""
    start: int
    """Sample at which the sound began, estimated; the same in every message of the event."""
    end: int | None
    """Sample at which it ended, estimated; None until the offset."""
    score: float
    """Mean smoothed score, from the onset to the last window above the off-threshold."""
    peak_score: float
    """Highest smoothed score so far."""
    level_dbfs: float
    """Level of the loudest step so far, re full scale."""
    detected_at: int
    """Where the stream stood when this was decided; minus `start`, the detection latency."""
    end_reason: EndReason | None = None


class Detection(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"label": "class"}
):
    """The message of one event phase, as ``detection.schema.json`` describes it."""

    schema: Literal["rainwatch/detection/1"] = "rainwatch/detection/1"
    event_id: str
    seq: int
    phase: Phase
    label: str
    start: str | None
    """None for a recording that nothing tells the time of."""
    end: str | None
    duration_s: float
    """From start to end; before the offset, from start to the newest sample heard."""
    score: float
    peak_score: float
    level_dbfs: float
    device_id: DeviceId
    lat: float | None
    lon: float | None
    model: str
    clock_synced: bool
    """Whether the clock could be trusted at the onset, from which all times are counted."""
    historical: bool = False
    """Delivered late, from the outbox."""
    clip: str | None = None
    end_reason: EndReason | None = None


@dataclass(frozen=True)
class Identity:
    """Who speaks: the fields that every detection of a device shares."""

    device_id: str
    lat: float | None
    lon: float | None
    model: str


class Announcer:
    """Turns events into detections; an event keeps the id and start that its onset was given.

    `stream` tells streams of one device apart whose clocks may coincide: a file's name in a
    replay, a random token in a live run. Ids depend on nothing else that a replay could change.
    """

    def __init__(self, identity: Identity, clock: Clock, rate_hz: int, stream: str) -> None:
        self._identity = identity
        self._clock = clock
        self._rate_hz = rate_hz
        self._stream = stream
        self._open: dict[str, tuple[str, datetime | None, bool]] = {}

    def detection(self, event: Event) -> Detection:
        """Describe one event."""
        if event.phase == "onset":
            start = self._clock.utc(event.start)
            self._open[event.label] = (self._event_id(event, start), start, self._clock.synced)
        event_id, start, synced = self._open[event.label]
        if event.phase == "offset":
            del self._open[event.label]
        until = event.detected_at if event.end is None else event.end
        # Counted in samples, so that a clock stepped in between cannot tear the event.
        duration_s = round((until - event.start) / self._rate_hz, 3)
        end = None
        if start is not None and event.end is not None:
            end = utc_text(start + timedelta(seconds=duration_s))
        return Detection(
            event_id=event_id,
            seq=event.seq,
            phase=event.phase,
            label=event.label,
            start=None if start is None else utc_text(start),
            end=end,
            duration_s=duration_s,
            score=round(event.score, 4),
            peak_score=round(event.peak_score, 4),
            level_dbfs=round(event.level_dbfs, 1),
            device_id=self._identity.device_id,
            lat=self._identity.lat,
            lon=self._identity.lon,
            model=self._identity.model,
            clock_synced=synced,
            end_reason=event.end_reason,
        )

    def _event_id(self, event: Event, start: datetime | None) -> str:
        """Return a UUID of version 7 (RFC 9562) whose random bits are a hash of the event."""
        origin = (self._identity.device_id, self._stream, event.label, str(event.start))
        digest = hashlib.blake2b("\0".join(origin).encode(), digest_size=10).digest()
        since_1970_s = 0.0 if start is None else start.timestamp()
        milliseconds = max(0, round(since_1970_s * 1000)) & (2**48 - 1)
        bits = milliseconds << 80 | int.from_bytes(digest, "big")
        bits = bits & ~(0xF << 76) | 0x7 << 76
        bits = bits & ~(0x3 << 62) | 0x2 << 62
        return str(uuid.UUID(int=bits))


def utc_text(time: datetime) -> str:
    """Write a UTC time as RFC 3339 with milliseconds and ``Z``."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def interrupted(last: Detection) -> Detection:
    """Return the offset of an event whose daemon was killed after it had sent `last`.

    It names no clip: what was to be saved at the end never was.
    """
    end = None
    if last.start is not None:
        end = utc_text(datetime.fromisoformat(last.start) + timedelta(seconds=last.duration_s))
    return msgspec.structs.replace(
        last,
        seq=last.seq + 1,
        phase="offset",
        end=end,
        clip=None,
        end_reason="interrupted",
    )


class Status(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The retained message that says whether the device can be relied on."""

    schema: Literal["rainwatch/status/1"] = "rainwatch/status/1"
    device_id: DeviceId
    state: Literal["online", "degraded", "offline"]
    reasons: list[str] = []
    """Why it is degraded, one entry a cause: ``microphone: no callback for 5 s``."""
    version: str
    model: str
    model_digest: str


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The figures that the daemon publishes each minute."""

    schema: Literal["rainwatch/health/1"] = "rainwatch/health/1"
    device_id: DeviceId
    time: str
    clock_synced: bool
    uptime_s: float
    level_dbfs: float | None
    drops: int
    overruns: int
    gaps: int
    real_time_factor: float | None
    latency_s: float | None
    outbox_depth: int
    outbox_dropped: int
    feedback: dict[str, int]
    disk_free_bytes: int | None
    temperature_c: float | None
    top_scores: dict[str, float]
