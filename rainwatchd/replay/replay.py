"""One recording through the very path of live sound, from the ring buffer to detections."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from rainwatchd.audio.files.times import Start
from rainwatchd.audio.formats import printable
from rainwatchd.audio.recording import Recording
from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.config.options import Config
from rainwatchd.decision.clip_judgement import ClipJudgement
from rainwatchd.decision.clock import FixedClock
from rainwatchd.decision.decision import Decision
from rainwatchd.decision.events import Announcer, Detection, Event, Identity
from rainwatchd.errors import AudioError
from rainwatchd.hearing.analysis import Analysis
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.window import Window

_RING_SAMPLES = 1 << 16
"""Room for two of a recording's blocks."""


@dataclass(frozen=True)
class Found:
    """What was decided at one moment of a recording."""

    file: str
    start_s: float
    """Seconds into the file."""
    end_s: float | None
    """None until the offset."""
    detection: Detection


@dataclass(frozen=True)
class Scored:
    """One window of a recording; seconds count from its start."""

    file: str
    start_s: float
    end_s: float
    level_dbfs: float
    scores: tuple[float, ...]
    """One a label."""
    progress: float
    """Part of the recording that has been heard, 0 to 1."""


@dataclass(frozen=True)
class Heard:
    """The end of a recording."""

    file: str
    duration_s: float
    """How much of it was heard."""
    peaks: tuple[float, ...] | None
    """The highest score of each label; None when nothing was heard."""
    failure: str | None
    """Why not all of it was heard: one line that names the file."""
    warnings: tuple[str, ...] = ()
    """What is odd about it though it was heard, a line each that names the file."""
    start: datetime | None = None
    """UTC of its first sample; None where nothing tells it."""
    assumed_utc: bool = False
    """Whether its time was taken for UTC, though nothing says so."""
    windows: int = 0
    """How many were scored; an alert takes some."""
    judged: str | None = None
    """What it is as a whole, by the rule for recordings that are too short for an alert."""


Item = Found | Scored | Heard


class Follower(Protocol):
    """Follows one recording in the process that hears it, such as a picture of it."""

    def observe(self, analysis: Analysis, window: Window) -> None:
        """See a window, while `Analysis.log_mel` is still that window's."""

    def take(self, item: Item) -> None:
        """Take the next item."""

    def finish(self) -> None:
        """Do what is left to do behind the last item; raise `OSError` if that fails."""


Follow = Callable[[Path, datetime | None], Follower]
"""Begins to follow a recording, which begins at that time, if it is known."""


@dataclass(frozen=True)
class Replay:
    """How recordings are heard."""

    config: Config
    device_id: str
    realtime: bool = False
    utc_offset: timedelta | None = None
    """Of recordings that tell a time without one; None takes it for UTC."""
    follow: Follow | None = None

    def hear(self, path: Path, classifier: Classifier, name: str | None = None) -> Iterator[Item]:
        """Yield every window and what is found in it, as it comes, and in the end one `Heard`.

        What is wrong with the recording goes into `Heard.failure`, not into an exception: what
        can be heard is heard, and other recordings still run. `name` is what the recording is
        called where `path` is only a copy of it.
        """
        file = name or printable(path)
        audio = self.config.audio
        source = Recording(path, audio.channel_number, self.realtime, audio.zeros_are_faults)
        try:
            source.open()
            start = source.start(self.utc_offset)
            utc = None if start is None else start.utc
            follower = None if self.follow is None else self.follow(path, utc)
            for item in self._hear(source, file, classifier, start, follower):
                yield item if follower is None else _seen(item, follower)
        except AudioError as error:
            yield Heard(file, 0.0, None, str(error))
        finally:
            source.close()

    def _hear(
        self,
        source: Recording,
        file: str,
        classifier: Classifier,
        start: Start | None,
        follower: Follower | None,
    ) -> Iterator[Item]:
        spec = classifier.spec
        rate_hz = spec.sample_rate_hz
        analysis = Analysis(classifier, source.rate_hz, self.config.step_s)
        decision = Decision(
            spec.labels,
            self.config.rules(spec),
            rate_hz,
            analysis.step_s,
            self.config.update_s,
        )
        identity = Identity(self.device_id, self.config.lat, self.config.lon, classifier.name)
        clock = FixedClock(None if start is None else start.utc, rate_hz)
        announcer = Announcer(identity, clock, rate_hz, file)

        def found(event: Event) -> Found:
            end_s = None if event.end is None else event.end / rate_hz
            return Found(file, event.start / rate_hz, end_s, announcer.detection(event))

        judgement = ClipJudgement(spec.labels, spec.clip_thresholds)
        windows = 0
        peaks: tuple[float, ...] | None = None
        failure: str | None = None
        try:
            for window in _windows(source, analysis):
                if isinstance(window, Gap):
                    yield from map(found, decision.gap(window.start, window.end))
                    continue
                if follower is not None:
                    follower.observe(analysis, window)
                peaks = tuple(map(max, peaks or window.scores, window.scores))
                judgement.push(window.scores)
                windows += 1
                yield Scored(
                    file,
                    window.start / rate_hz,
                    window.end / rate_hz,
                    window.level_dbfs,
                    window.scores,
                    source.progress,
                )
                yield from map(found, decision.push(window))
        except AudioError as error:
            failure = str(error)
        yield from map(found, decision.finish("end_of_stream"))
        yield Heard(
            file,
            source.position_s,
            peaks,
            failure,
            tuple(source.warnings),
            start=None if start is None else start.utc,
            assumed_utc=start is not None and start.assumed,
            windows=windows,
            judged=judgement.label,
        )


def _seen(item: Item, follower: Follower) -> Item:
    """Show an item to who follows; what fails at the end becomes the recording's failure."""
    follower.take(item)
    if isinstance(item, Heard):
        try:
            follower.finish()
        except OSError as error:
            failure = f"{error.filename or item.file}: {error.strerror}"
            return replace(item, failure=item.failure or failure)
    return item


def _windows(source: Recording, analysis: Analysis) -> Iterator[Window | Gap]:
    """Yield all that can be heard, and gaps in it at the model's rate.

    Only then raise what the source complained of.
    """
    ring = RingBuffer(_RING_SAMPLES)
    failure: AudioError | None = None
    more = True
    while more:
        try:
            more = source.fill(ring, timeout_s=1.0)
        except AudioError as error:
            failure, more = error, False
        for item in ring:
            yield from _heard(item, analysis)
    yield from analysis.finish()
    if failure is not None:
        raise failure


def _heard(item: Chunk | Gap, analysis: Analysis) -> Iterator[Window | Gap]:
    if isinstance(item, Chunk) or analysis.bridges(item):
        yield from analysis.push(item)
        return
    # Sound before a gap may be shorter than a window, or end between two steps.
    yield from analysis.finish()
    yield from analysis.push(item)
    yield analysis.at_model_rate(item)


def replay_id(config: Config) -> str:
    """Return a device id of the replay's own, the same on every machine.

    Under the device's own id a replay that publishes would throw the running daemon out of its
    session, and nobody could tell a rehearsal from an alarm.
    """
    return "replay" if config.device_id is None else f"{config.device_id[:57]}-replay"
