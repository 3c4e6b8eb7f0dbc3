"""Evidence: a FLAC recording of each event, with what was heard just before it.

Encoding happens in a thread of its own behind a bounded queue: analysis never waits for a clip,
and no alert depends on one.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import soundfile

from rainwatchd.audio.ring import Gap, RingBuffer
from rainwatchd.clips.labels import Verdict
from rainwatchd.clips.near_misses import NearMiss
from rainwatchd.clips.options import ClipOptions
from rainwatchd.clips.plan import Job, Origin, Plan
from rainwatchd.clips.png import spectrogram_png
from rainwatchd.clips.preview import preview
from rainwatchd.clips.store import ClipStore, clip_name
from rainwatchd.decision.clock import Clock
from rainwatchd.decision.events import Detection, Event, utc_text
from rainwatchd.errors import Report
from rainwatchd.hearing.log_mel import LogMel, MelSpec

log = logging.getLogger(__name__)

_WAITING = 4
"""Clips that wait to be encoded; encoding a minute takes a small board about a second."""

_NEAR_MISS_S = (8.0, 2.0)
"""Kept of a near miss before and after its peak."""

Publish = Callable[[str, str], None]
"""Given an event id and the name of its clip, which `Clips.preview` knows."""

Correct = Callable[[Detection], None]
"""Given one more message of an event that is over, which takes back what the last one said."""


class Clips:
    """Cuts the clips out of `history`, which holds `ClipOptions.history_s` of sound."""

    def __init__(
        self,
        options: ClipOptions,
        directory: Path,
        history: RingBuffer,
        mel: MelSpec,
        *,
        origin: Origin,
        report: Report,
        publish: Publish | None = None,
        correct: Correct = lambda _: None,
    ) -> None:
        self.saved = 0
        self.handled = 0
        """Clips that the thread is done with, saved or not."""
        self.lost = 0
        """Clips that could not be saved."""
        self._options = options
        self._directory = directory
        self._store = ClipStore(directory, options.quota)
        self._history = history
        self._mel = mel
        self._origin = origin
        self._report = report
        self._publish = publish if options.publish else None
        self._correct = correct
        self._trouble: str | None = None
        self._plans: dict[str, Plan] = {}
        self._unsaved: dict[str, Plan] = {}
        self._unsaved_lock = threading.Lock()
        self._failed: set[str] = set()
        """Events that last while their clips are lost already."""
        self._jobs: queue.Queue[Job | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, name="clips", daemon=True)

    def start(self) -> None:
        """Start the thread that encodes."""
        self._thread.start()

    def attach(self, event: Event, detection: Detection) -> Detection:
        """Plan the event's clip and return the detection with its name.

        While clips cannot be saved, or there is no room for this one, detections name none. Where
        it fails only after the offset has named it, `Correct` is given the offset without it.
        """
        rate_hz = self._mel.sample_rate_hz
        most_bytes = round(self._options.max_duration_s * rate_hz * 2)
        event_id = detection.event_id
        name = clip_name(detection.start, detection.label, event_id)
        if event.phase == "onset":
            start = max(0, event.start - round(self._options.pre_roll_s * rate_hz))
            plan = Plan(
                event_id,
                detection.label,
                name,
                start,
                onset=event.start,
                stop=start + round(self._options.max_duration_s * rate_hz),
                utc=detection.start,
                peak_score=detection.peak_score,
            )
            self._plans[event_id] = plan
            with self._unsaved_lock:
                self._unsaved[event_id] = plan
        elif event.end is not None and event_id in self._plans:
            plan = self._plans[event_id]
            plan.stop = min(plan.stop, event.end + round(self._options.post_roll_s * rate_hz))
            plan.end = event.end
        named = msgspec.structs.replace(detection, clip=name)
        if event_id in self._plans:
            self._plans[event_id].detection = named
            self._plans[event_id].peak_score = detection.peak_score
        likely = not self._trouble and self._store.has_room(most_bytes)
        with self._unsaved_lock:
            answer = named if likely and event_id not in self._failed else detection
            if event.phase == "offset":
                self._failed.discard(event_id)
            if event_id in self._unsaved:
                self._unsaved[event_id].announced = answer
        return answer

    def miss(self, miss: NearMiss, clock: Clock) -> None:
        """Keep a near miss, if it is among the day's highest and nothing else waits."""
        if not self._options.near_misses or not self._jobs.empty():
            return
        before, after = (round(span_s * self._mel.sample_rate_hz) for span_s in _NEAR_MISS_S)
        when = clock.utc(miss.peak)
        utc = None if when is None else utc_text(when)
        tail = f"{miss.peak & (2**48 - 1):012x}"
        sound = self._history.copy(max(0, miss.peak - before), miss.peak + after)
        plan = Plan(
            None,
            miss.label,
            clip_name(utc, miss.label, tail),
            sound.start,
            onset=miss.start,
            stop=sound.end,
            utc=utc,
            peak_score=miss.peak_score,
            end=miss.end,
        )
        self._put(Job(plan, sound))

    def judge(self, event_id: str, verdict: Verdict) -> bool:
        """Write down what a person said of an event; False if it has no clip. From any thread.

        Raises ``OSError`` as the disk does.
        """
        with self._unsaved_lock:
            plan = self._unsaved.get(event_id)
            if plan is not None:
                plan.verdicts.append(verdict)
                return True
        return self._store.judge(event_id, verdict)

    def preview(self, name: str) -> bytes | None:
        """Return what is published of a clip, Ogg Opus; None if it is gone. From any thread."""
        return preview(self._directory / Path(name).name) if self._publish else None

    def advance(self, position: int) -> None:
        """Take the clips that are complete now that sound has come as far as `position`."""
        for event_id in [key for key, plan in self._plans.items() if plan.stop <= position]:
            plan = self._plans.pop(event_id)
            self._put(Job(plan, self._history.copy(plan.start, plan.stop)))

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
        with contextlib.suppress(queue.Full):
            self._jobs.put(None, timeout=timeout_s)
            self._thread.join(timeout_s)
        for plan in list(self._unsaved.values()):
            self._settle(plan)

    def _put(self, job: Job) -> None:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self.lost += 1
            self._settle(job.plan)
            self._tell("encoding falls behind; a clip was left out")

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
            if job.plan.event_id is None:
                self._save_near_miss(job)
            else:
                self._save(job)
        except (OSError, soundfile.SoundFileError) as error:
            self.lost += 1
            self._tell(str(error))
        except Exception as error:
            # One odd clip must not end all that follow.
            self.lost += 1
            log.exception("clips: unexpected error")
            self._tell(f"unexpected error: {error!r}")
        finally:
            self._settle(job.plan)
            self.handled += 1
        return True

    def _save(self, job: Job) -> None:
        flac = job.flac(self._mel.sample_rate_hz)
        if not self._store.make_room(len(flac)):
            self.lost += 1
            self._tell(
                "no room: free some space, raise clips.max_bytes, or lower clips.min_free_bytes"
            )
            return
        self._store.add(job.plan.name, flac)
        job.plan.saved = True
        # A verdict comes either before the label is written, or finds it.
        with self._unsaved_lock:
            self._store.label(job.plan.name, job.label(self._mel.sample_rate_hz, self._origin))
            self._unsaved.pop(job.plan.event_id or "", None)
        self.saved += 1
        self._tell(None)
        if self._publish is not None and job.plan.event_id is not None:
            self._publish(job.plan.event_id, job.plan.name)
        if self._options.spectrogram:
            picture = spectrogram_png(LogMel(self._mel).push(job.sound.samples))
            self._store.add(job.plan.name.replace(".flac", ".png"), picture)

    def _save_near_miss(self, job: Job) -> None:
        plan, most = job.plan, self._options.near_misses
        day = plan.name[:8]
        worst = self._store.weakest_near_misses(plan.label, day, most - 1)
        if worst and worst[-1][0] >= plan.peak_score:
            return
        self._save(job)
        for _, stem in self._store.weakest_near_misses(plan.label, day, most):
            self._store.remove(stem)

    def _settle(self, plan: Plan) -> None:
        """Take note that nothing more is done for a clip; take its name back if it isn't there."""
        with self._unsaved_lock:
            waited = plan.event_id and self._unsaved.pop(plan.event_id, None)
            last = plan.announced
            if not waited or plan.saved or last is None:
                return
            if last.phase != "offset":
                self._failed.add(last.event_id)
                return
        if last.clip is not None:
            self._correct(msgspec.structs.replace(last, seq=last.seq + 1, clip=None))

    def _tell(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.warning("clips: %s", trouble)
            self._report(trouble)
