"""One clip from its plan to its bytes: what to cut, and the files that are made of it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import soundfile

from rainwatchd.audio.ring import Chunk
from rainwatchd.clips.labels import Label, Verdict
from rainwatchd.decision.events import Detection, Identity


@dataclass(frozen=True)
class Origin:
    """What a label says of where its clip comes from."""

    identity: Identity
    model_digest: str


@dataclass
class Plan:
    """A clip that waits for its last sample; samples count from the start of the stream."""

    event_id: str | None
    """None: a near miss."""
    label: str
    name: str
    start: int
    onset: int
    stop: int
    utc: str | None
    """Of the onset; None where it is unknown."""
    peak_score: float
    end: int | None = None
    """Of the sound; None while it lasts."""
    detection: Detection | None = None
    announced: Detection | None = None
    """The event's last message as it left, with the clip's name or without."""
    saved: bool = False
    verdicts: list[Verdict] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """A clip whose samples are all there."""

    plan: Plan
    sound: Chunk

    def flac(self, rate_hz: int) -> bytes:
        """Return the whole clip as a file."""
        out = io.BytesIO()
        with soundfile.SoundFile(out, "w", rate_hz, 1, "PCM_16", format="FLAC") as file:
            file.title = self.plan.label
            file.comment = self.plan.event_id or "near miss"
            file.write(self.sound.samples)
        return out.getvalue()

    def label(self, rate_hz: int, origin: Origin) -> Label:
        """Return what is known of the clip."""
        plan, sound = self.plan, self.sound
        end = sound.end if plan.end is None else min(plan.end, sound.end)
        return Label(
            event_id=plan.event_id,
            label=plan.label,
            start=plan.utc,
            sound_s=(
                round(max(0, plan.onset - sound.start) / rate_hz, 3),
                round(max(0, end - sound.start) / rate_hz, 3),
            ),
            peak_score=round(plan.peak_score, 4),
            near_miss=plan.event_id is None,
            detection=plan.detection,
            verdicts=list(plan.verdicts),
            device_id=origin.identity.device_id,
            model=origin.identity.model,
            model_digest=origin.model_digest,
            sample_rate_hz=rate_hz,
        )
