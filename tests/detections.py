"""Detections to put into an outbox."""

from __future__ import annotations

import msgspec

from rainwatchd.decision.events import Detection, Phase, interrupted

PHASES: tuple[Phase, Phase, Phase] = ("onset", "update", "offset")


def detection(event: int, phase: Phase = "onset", padding: int = 0) -> Detection:
    """One phase of the event that began `event` seconds after midnight."""
    seq = PHASES.index(phase)
    start = f"2024-05-12T{event // 3600 % 24:02}:{event // 60 % 60:02}:{event % 60:02}.000Z"
    began = Detection(
        event_id=f"018f6a00-0000-7000-8000-{event:012x}",
        seq=max(0, seq - 1) if phase == "offset" else seq,
        phase="onset" if phase == "offset" else phase,
        label="chainsaw",
        start=start,
        end=None,
        duration_s=6.5,
        score=0.9,
        peak_score=0.95,
        level_dbfs=-31.5,
        device_id="canopy-7",
        lat=-3.1,
        lon=-60.0,
        model="tiny 1" + "-" * padding,
        clock_synced=True,
    )
    if phase != "offset":
        return began
    return msgspec.structs.replace(interrupted(began), end_reason="released")


def event(number: int) -> list[Detection]:
    """All three messages of an event."""
    return [detection(number, phase) for phase in PHASES]
