"""Evidence: a FLAC recording of each event, with what was heard just before it.

Encoding happens in a thread of its own behind a bounded queue: analysis never waits for a clip,
and no alert depends on one.
"""

from __future__ import annotations

import io
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import soundfile
import soxr

from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.clips.png import spectrogram_png
from rainwatchd.clips.store import ClipStore, Quota, clip_name
from rainwatchd.decision.events import Detection, Event
from rainwatchd.errors import Report
from rainwatchd.hearing.log_mel import LogMel, MelSpec

log = logging.getLogger(__name__)

_WAITING = 4
"""Clips that wait to be encoded; encoding a minute takes a small board about a second."""

_PREVIEW_RATE_HZ = 8000
"""Keeps all that identifies a saw or an engine; Opus makes some 3 kB of each second of it."""

_PREVIEW_S = 10.0

Bytes = Annotated[int, msgspec.Meta(ge=0)]


class ClipOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of the evidence clips."""

    save: bool = True
    directory: str | None = None
    """None: ``clips`` in the state directory."""
    pre_roll_s: Annotated[float, msgspec.Meta(ge=0, le=30)] = 5.0
    """Heard before the event's start."""
    post_roll_s: Annotated[float, msgspec.Meta(ge=0, le=30)] = 2.0
    """Heard after its end."""
    max_duration_s: Annotated[float, msgspec.Meta(ge=1, le=300)] = 60.0
    """Of a longer event only the beginning is kept."""
    max_bytes: Bytes = 1 << 30
    max_age_days: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    min_free_bytes: Bytes = 200 << 20
    """Space on the disk that clips leave to others."""
    spectrogram: bool = False
    """Save a picture beside each clip."""
    publish: bool = False
    """Publish ten seconds of each clip over MQTT, some 30 kB, for a ranger to listen to."""

    def history_s(self, late_s: float) -> float:
        """How much sound must be held where an event is known at most `late_s` after it began."""
        return max(self.max_duration_s, self.pre_roll_s) + late_s

    @property
    def quota(self) -> Quota:
        """What the folder may hold."""
        return Quota(self.max_bytes, self.max_age_days * 86400.0, self.min_free_bytes)


@dataclass
class _Plan:
    """A clip that waits for its last sample."""

    event_id: str
    label: str
    name: str
    start: int
    onset: int
    stop: int


@dataclass(frozen=True)
class _Job:
    """A clip whose samples are all there."""

    plan: _Plan
    sound: Chunk


Publish = Callable[[str, bytes], None]
"""Given an event id and an Ogg Opus file."""


class Clips:
    """Cuts the clips out of `history`, which holds `ClipOptions.history_s` of sound."""

    def __init__(
        self,
        options: ClipOptions,
        directory: Path,
        history: RingBuffer,
        mel: MelSpec,
        *,
        report: Report,
        publish: Publish | None = None,
    ) -> None:
        self.saved = 0
        self.lost = 0
        """Clips that could not be saved."""
        self._options = options
        self._store = ClipStore(directory, options.quota)
        self._history = history
        self._mel = mel
        self._report = report
        self._publish = publish if options.publish else None
        self._trouble: str | None = None
        self._plans: dict[str, _Plan] = {}
        self._jobs: queue.Queue[_Job | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="clips", daemon=True)

    def start(self) -> None:
        """Start the thread that encodes."""
        self._thread.start()

    def attach(self, event: Event, detection: Detection) -> Detection:
        """Plan the event's clip and return the detection with its name.

        While clips cannot be saved, detections name none.
        """
        rate_hz = self._mel.sample_rate_hz
        event_id = detection.event_id
        if event.phase == "onset":
            start = max(0, event.start - round(self._options.pre_roll_s * rate_hz))
            name = clip_name(detection.start, detection.label, event_id)
            stop = start + round(self._options.max_duration_s * rate_hz)
            self._plans[event_id] = _Plan(event_id, detection.label, name, start, event.start, stop)
        elif event.end is not None and event_id in self._plans:
            plan = self._plans[event_id]
            plan.stop = min(plan.stop, event.end + round(self._options.post_roll_s * rate_hz))
        if self._trouble:
            return detection
        name = clip_name(detection.start, detection.label, event_id)
        return msgspec.structs.replace(detection, clip=name)

    def advance(self, position: int) -> None:
        """Take the clips that are complete now that sound has come as far as `position`."""
        for plan in [plan for plan in self._plans.values() if plan.stop <= position]:
            del self._plans[plan.event_id]
            try:
                self._jobs.put_nowait(_Job(plan, self._history.copy(plan.start, plan.stop)))
            except queue.Full:
                self.lost += 1
                self._tell("encoding falls behind; a clip was left out")

    def gap(self, gap: Gap) -> None:
        """Take the clips whose last sound is lost in `gap`, before its silence covers the rest."""
        for plan in self._plans.values():
            if plan.stop <= gap.end:
                plan.stop = min(plan.stop, gap.start)
        self.advance(gap.start)

    def close(self, position: int, timeout_s: float) -> None:
        """Save what is there of every clip, for at most `timeout_s`."""
        for plan in self._plans.values():
            plan.stop = min(plan.stop, position)
        self.advance(position)
        try:
            self._jobs.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _work(self) -> None:
        try:
            self._store.prepare()
        except OSError as error:
            self._tell(str(error))
        while self._encode_next():
            pass

    def _encode_next(self) -> bool:
        """Wait for a job and do it, in a call of its own: its samples end with it."""
        job = self._jobs.get()
        if job is None:
            return False
        try:
            self._save(job)
            if self._publish is not None:
                self._preview(job, self._publish)
        except (OSError, soundfile.SoundFileError) as error:
            self.lost += 1
            self._tell(str(error))
        except Exception as error:
            # One odd clip must not end all that follow.
            self.lost += 1
            log.exception("clips: unexpected error")
            self._tell(f"unexpected error: {error!r}")
        return True

    def _save(self, job: _Job) -> None:
        flac = self._flac(job)
        if not self._store.make_room(len(flac)):
            self.lost += 1
            self._tell(
                "no room: free some space, raise clips.max_bytes, or lower clips.min_free_bytes"
            )
            return
        self._store.add(job.plan.name, flac)
        self.saved += 1
        self._tell(None)
        if self._options.spectrogram:
            picture = spectrogram_png(LogMel(self._mel).push(job.sound.samples))
            self._store.add(job.plan.name.replace(".flac", ".png"), picture)

    def _preview(self, job: _Job, publish: Publish) -> None:
        rate_hz = self._mel.sample_rate_hz
        first = max(0, job.plan.onset - job.sound.start)
        samples = job.sound.samples[first : first + round(_PREVIEW_S * rate_hz)]
        if samples.size:
            publish(job.plan.event_id, _opus(samples, rate_hz))

    def _flac(self, job: _Job) -> bytes:
        out = io.BytesIO()
        rate_hz = self._mel.sample_rate_hz
        with soundfile.SoundFile(out, "w", rate_hz, 1, "PCM_16", format="FLAC") as file:
            file.title = job.plan.label
            file.comment = job.plan.event_id
            file.write(job.sound.samples)
        return out.getvalue()

    def _tell(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.warning("clips: %s", trouble)
            self._report(trouble)


def _opus(samples: Floats, rate_hz: int) -> bytes:
    out = io.BytesIO()
    low = soxr.resample(samples, rate_hz, _PREVIEW_RATE_HZ)
    soundfile.write(out, low, _PREVIEW_RATE_HZ, format="OGG", subtype="OPUS")
    return out.getvalue()
