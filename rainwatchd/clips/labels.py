"""What is known of a clip, in a file beside it: what was decided, and what people said of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from rainwatchd.decision.events import Detection

Said = Literal["true", "false", "unsure"]

SUFFIX = ".json"

_MOST_VERDICTS = 20
"""Kept of one clip; the oldest go."""


class Verdict(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"label": "class"}
):
    """What one person says about one event."""

    verdict: Said
    label: str | None
    """What it was instead, if known."""
    by: str
    at: str
    """UTC, RFC 3339."""


class Label(msgspec.Struct, frozen=True, kw_only=True, rename={"label": "class"}):
    """The document beside a clip. Later versions may add fields."""

    schema: Literal["rainwatch/label/1"] = "rainwatch/label/1"
    event_id: str | None
    """None: no alert was raised."""
    label: str
    """What it was taken for, or nearly."""
    start: str | None
    """When the sound began, UTC; None for a recording that nothing tells the time of."""
    sound_s: tuple[float, float]
    """Where in the clip the sound begins and ends, in seconds."""
    peak_score: float
    """Highest smoothed score."""
    near_miss: bool = False
    """A peak that raised no alert."""
    detection: Detection | None = None
    """The event's last message when the clip was written."""
    verdicts: list[Verdict] = []
    device_id: str
    model: str
    model_digest: str
    sample_rate_hz: int
    cut_from: tuple[str, float] | None = None
    """The recording that a peak was cut out of, and where in it the sound begins, in seconds; None
    on the device."""

    @property
    def judged(self) -> bool:
        """Whether anybody has said anything."""
        return bool(self.verdicts)

    @property
    def last(self) -> Verdict | None:
        """The verdict that counts: the last by its time; of several at once, the last given."""
        return max(reversed(self.verdicts), key=lambda verdict: verdict.at, default=None)

    @property
    def contradicted(self) -> bool:
        """Whether people disagree."""
        return len({verdict.verdict for verdict in self.verdicts} - {"unsure"}) > 1

    def judge(self, verdict: Verdict) -> Label:
        """Return the label with one more verdict; one that it has already changes nothing."""
        if verdict in self.verdicts:
            return self
        kept = [*self.verdicts, verdict][-_MOST_VERDICTS:]
        return msgspec.structs.replace(self, verdicts=kept)


def encode(label: Label) -> bytes:
    """Write a label, readable for people."""
    return msgspec.json.format(msgspec.json.encode(label), indent=1) + b"\n"


def decode(document: bytes) -> Label:
    """Read a label; raise ``msgspec.DecodeError`` naming what is wrong."""
    return msgspec.json.decode(document, type=Label)
