"""One model listening: from the ring's items to detections."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from rainwatchd.alerts.feedback import Feedback
from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.clips.clips import Clips, Correct, Publish
from rainwatchd.clips.labels import Verdict
from rainwatchd.clips.near_misses import NearMisses
from rainwatchd.clips.plan import Origin
from rainwatchd.config.options import Config
from rainwatchd.decision.clock import StreamClock
from rainwatchd.decision.decision import Decision
from rainwatchd.decision.events import Announcer, Detection, Event, Identity
from rainwatchd.errors import Report
from rainwatchd.hearing.analysis import Analysis
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.log_mel import MelSpec
from rainwatchd.hearing.steady_tone import LOOK_EVERY_S, SPAN_S, SteadyTone
from rainwatchd.service.health import Meter

log = logging.getLogger(__name__)

CLIPS_STOP_S = 5.0
"""For the clips that are not written yet when listening ends."""


class Listener:
    """Log-mel, classifier, decision and clips, as one configuration and one model want them."""

    def __init__(
        self,
        config: Config,
        classifier: Classifier,
        source_rate_hz: int,
        *,
        meter: Meter,
        report_clips: Report,
        report_sound: Report,
        publish_clip: Publish,
        correct: Correct,
    ) -> None:
        """Raises `ConfigError` when the model can't do what the configuration wants."""
        spec, clips = classifier.spec, config.clips
        self.config = config
        self.classifier = classifier
        self.rules = config.rules(spec)
        self._source_rate_hz = source_rate_hz
        late_s = spec.window_s + max((rule.late_s for rule in self.rules.values()), default=0.0)
        history_s = max(SPAN_S, clips.history_s(late_s) if clips.save else 0.0)
        self._analysis = Analysis(classifier, source_rate_hz, config.step_s, history_s)
        rate_hz = self._analysis.rate_hz
        self._decision = Decision(
            spec.labels, self.rules, rate_hz, self._analysis.step_s, config.update_s
        )
        self.clock = StreamClock(rate_hz)
        identity = Identity(config.identity, config.lat, config.lon, classifier.name)
        self._announcer = Announcer(identity, self.clock, rate_hz, secrets.token_hex(8))
        self._meter = meter
        self._report_sound = report_sound
        self._open: set[str] = set()
        self._steady: SteadyTone | None = None
        self._look_due = 0
        self._clips: Clips | None = None
        self._near_misses: NearMisses | None = None
        if clips.save and clips.near_misses:
            self._near_misses = NearMisses(spec.labels, self.rules, rate_hz, self._analysis.step_s)
        if clips.save:
            self._clips = Clips(
                clips,
                Path(clips.directory or Path(config.state_directory, "clips")),
                self._analysis.history,
                spec.mel,
                origin=Origin(identity, classifier.digest),
                report=report_clips,
                publish=publish_clip,
                correct=correct,
            )

    def start(self, ring: RingBuffer, position: int, seam: int) -> None:
        """Begin at `position` of the source's samples.

        What the ring still holds from before, as far back as its last gap ends at `seam`, fills
        the first window, so that a change of model loses nothing; it isn't decided upon again.
        """
        self._meter.use_labels(self.classifier.spec.labels)
        if self._clips is not None:
            self._clips.start()
        held = round(self.classifier.spec.window_s * self._source_rate_hz)
        before = ring.copy(max(seam, position - held), position)
        if before.start > 0:
            list(self._analysis.push(Gap(0, before.start)))
        list(self._analysis.push(before))

    def anchor(self, written: int) -> float:
        """Tie the clock to the source's newest sample; return by how much it was set."""
        return self.clock.observe(written * self.clock.rate_hz // self._source_rate_hz)

    def hear(self, item: Chunk | Gap) -> Iterator[Detection]:
        """Take the ring's next item; yield what is detected in it."""
        if isinstance(item, Gap):
            self._meter.gap(item)
        if isinstance(item, Gap) and not self._analysis.bridges(item):
            lost = self._analysis.at_model_rate(item)
            yield from self._announce(self._decision.gap(lost.start, lost.end))
            if self._clips is not None:
                self._clips.gap(lost)
        for window in self._analysis.push(item):
            self._meter.heard(window, self.clock.age_s(window.end))
            yield from self._announce(self._decision.push(window))
            self._look_for_hum(window.end)
            if self._clips is not None:
                self._clips.advance(window.end)
                for miss in self._near_misses.push(window) if self._near_misses else ():
                    self._clips.miss(miss, self.clock)

    def judge(self, feedback: Feedback) -> bool:
        """Write a verdict beside the event's clip; False if it has none. From any thread."""
        verdict = Verdict(
            verdict=feedback.verdict, label=feedback.label, by=feedback.by, at=feedback.at
        )
        return self._clips is not None and self._clips.judge(feedback.event_id, verdict)

    def preview(self, clip: str) -> bytes | None:
        """Return what is published of a clip; None if that is gone or not wanted. Any thread."""
        return None if self._clips is None else self._clips.preview(clip)

    def newest_step(self) -> tuple[Floats, float, MelSpec]:
        """Return the newest step's dB, shape ``(n_mels, frames)``, its length, and its mels."""
        mel = self.classifier.spec.mel
        frames = mel.frames_in(self._analysis.step_s)
        return self._analysis.log_mel[:, -frames:], self._analysis.step_s, mel

    def finish(self) -> Iterator[Detection]:
        """End what is open; save what there is of the clips."""
        yield from self._announce(self._decision.finish("stopped"))
        self._look_for_hum(0)
        if self._clips is not None:
            self._clips.close(self._analysis.history.written, CLIPS_STOP_S)

    def _look_for_hum(self, position: int) -> None:
        """While something is heard without end, see whether it is the supply."""
        if not self._open:
            if self._steady is not None:
                self._steady = None
                self._report_sound(None)
            return
        if self._steady is None:
            self._steady = SteadyTone(self.clock.rate_hz)
            self._look_due = position
        if position < self._look_due or self._steady.hum is not None:
            return
        self._look_due = position + round(LOOK_EVERY_S * self.clock.rate_hz)
        newest = self._analysis.history.copy(position - self._steady.span, position).samples
        if newest.size == self._steady.span and (hum := self._steady.look(newest)):
            trouble = (
                f"steady tone on the microphone: {hum}, heard as {' and '.join(sorted(self._open))}"
                "; unless a machine runs there, mend the power supply or its ground"
            )
            log.warning("%s", trouble)
            self._report_sound(trouble)

    def _announce(self, events: Iterable[Event]) -> Iterator[Detection]:
        for event in events:
            if self._near_misses is not None:
                self._near_misses.alerted(event)
            if event.phase == "offset":
                self._open.discard(event.label)
            else:
                self._open.add(event.label)
            detection = self._announcer.detection(event)
            yield self._clips.attach(event, detection) if self._clips is not None else detection
