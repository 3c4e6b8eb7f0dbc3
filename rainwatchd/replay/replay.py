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
from rainwatchd.audio.ring import Gap
from rainwatchd.config.options import Config
from rainwatchd.decision.clip_judgement import ClipJudgement
from rainwatchd.decision.clock import FixedClock
from rainwatchd.decision.decision import Decision
from rainwatchd.decision.events import Announcer, Detection, Event, Identity
from rainwatchd.errors import AudioError
from rainwatchd.hearing.analysis import Analysis, step_frames
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_spec import ModelSpec
from rainwatchd.hearing.window import Window
from rainwatchd.replay.listening import Ending, Listening, Opened, Passage, Piece, hear_piece
from rainwatchd.replay.pool import Tell


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


class Model(Protocol):
    """What judging needs of a classifier, or of the file that it is made from."""

    @property
    def spec(self) -> ModelSpec:
        """The metadata."""

    @property
    def name(self) -> str:
        """Name and version."""


Follow = Callable[[Path, datetime | None], Follower]
"""Begins to follow a recording, which begins at that time, if it is known."""


class Judge:
    """Turns the windows of one recording into what is found in it, whoever has heard them."""

    def __init__(self, config: Config, device_id: str, model: Model, file: str) -> None:
        """`file` is what the recording is called."""
        spec = model.spec
        self._file = file
        self._rate_hz = spec.sample_rate_hz
        step_s = step_frames(spec, config.step_s) * (spec.hop_length / spec.sample_rate_hz)
        self._decision = Decision(
            spec.labels, config.rules(spec), spec.sample_rate_hz, step_s, config.update_s
        )
        self._identity = Identity(device_id, config.lat, config.lon, model.name)
        self._judgement = ClipJudgement(spec.labels, spec.clip_thresholds)
        self._announcer: Announcer | None = None
        self._start: Start | None = None
        self._windows = 0
        self._peaks: tuple[float, ...] | None = None

    def push(self, passage: Passage, progress: float = 1.0) -> Iterator[Item]:
        """Take what comes next of the recording; `progress` is the part of it that was heard."""
        if isinstance(passage, Opened):
            self._start = passage.start
            clock = FixedClock(None if self._start is None else self._start.utc, self._rate_hz)
            self._announcer = Announcer(self._identity, clock, self._rate_hz, self._file)
        elif isinstance(passage, Gap):
            yield from map(self._found, self._decision.gap(passage.start, passage.end))
        elif isinstance(passage, Window):
            self._peaks = tuple(map(max, self._peaks or passage.scores, passage.scores))
            self._judgement.push(passage.scores)
            self._windows += 1
            yield Scored(
                self._file,
                passage.start / self._rate_hz,
                passage.end / self._rate_hz,
                passage.level_dbfs,
                passage.scores,
                progress,
            )
            yield from map(self._found, self._decision.push(passage))
        else:
            yield from map(self._found, self._decision.finish("end_of_stream"))
            yield self._heard(passage)

    def _found(self, event: Event) -> Found:
        assert self._announcer is not None, "a window comes of what was opened"
        end_s = None if event.end is None else event.end / self._rate_hz
        detection = self._announcer.detection(event)
        return Found(self._file, event.start / self._rate_hz, end_s, detection)

    def _heard(self, ending: Ending) -> Heard:
        start = self._start
        return Heard(
            self._file,
            ending.duration_s,
            self._peaks,
            ending.failure,
            ending.warnings,
            start=None if start is None else start.utc,
            assumed_utc=start is not None and start.assumed,
            windows=self._windows,
            judged=self._judgement.label,
        )


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
        judge = self.judge(classifier, name or printable(path))
        audio = self.config.audio
        source = Recording(path, audio.channel_number, self.realtime, audio.zeros_are_faults)
        try:
            source.open()
            listening = Listening(source, classifier, self.config.step_s, self.utc_offset)
            start = listening.opened.start
            utc = None if start is None else start.utc
            follower = None if self.follow is None else self.follow(path, utc)
            for item in self._hear(source, listening, judge, follower):
                yield item if follower is None else _seen(item, follower)
        except AudioError as error:
            yield from judge.push(Ending(failure=str(error)))
        finally:
            source.close()

    def hear_piece(
        self, path: Path, piece: Piece, classifier: Classifier, tell: Tell
    ) -> Iterator[Passage]:
        """Yield what `judge` takes of a piece; see `listening.hear_piece`."""
        config, utc_offset = self.config, self.utc_offset
        return hear_piece(path, piece, classifier, tell, config=config, utc_offset=utc_offset)

    def judge(self, model: Model, file: str) -> Judge:
        """Return who judges one recording, which is called `file`."""
        return Judge(self.config, self.device_id, model, file)

    def _hear(
        self, source: Recording, listening: Listening, judge: Judge, follower: Follower | None
    ) -> Iterator[Item]:
        yield from judge.push(listening.opened)
        for passage in listening:
            if follower is not None and isinstance(passage, Window):
                follower.observe(listening.analysis, passage)
            yield from judge.push(passage, source.progress)
        yield from judge.push(listening.ending)


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


def replay_id(config: Config) -> str:
    """Return a device id of the replay's own, the same on every machine.

    Under the device's own id a replay that publishes would throw the running daemon out of its
    session, and nobody could tell a rehearsal from an alarm.
    """
    return "replay" if config.device_id is None else f"{config.device_id[:57]}-replay"
