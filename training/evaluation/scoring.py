"""Scores of any model over any stream, made by the daemon's own code from the ring buffer on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from rainwatchd.audio.ring import RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.decision.decision import Decision
from rainwatchd.decision.events import Event
from rainwatchd.hearing.analysis import Analysis, Scorer
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.hearing.window import Window
from training.dataset import DataError
from training.evaluation.streams import Stream

_RING_S = 8


class Listener(Protocol):
    """Anything that scores a stream of sound: the daemon's model, or a baseline."""

    name: str
    labels: tuple[str, ...]
    rate_hz: int
    step_s: float
    window_s: float

    def windows(self, blocks: Iterable[Floats]) -> Iterator[Window]:
        """Score a whole stream given as float32 blocks of shape ``(n,)`` at ``rate_hz``."""


class DaemonListener:
    """A model as the daemon runs it: ring buffer, analysis, ONNX Runtime."""

    def __init__(self, classifier: Scorer, name: str) -> None:
        spec = classifier.spec
        self.name = name
        self.labels = tuple(spec.labels)
        self.rate_hz = spec.sample_rate_hz
        self.step_s = spec.step_s
        self.window_s = spec.window_s
        self._classifier = classifier

    def windows(self, blocks: Iterable[Floats]) -> Iterator[Window]:
        """Push the stream through the ring as a recording would be."""
        ring = RingBuffer(_RING_S * self.rate_hz)
        analysis = Analysis(self._classifier, self.rate_hz)
        for block in blocks:
            rest = block
            while rest.size:
                piece, rest = rest[: ring.free], rest[ring.free :]
                ring.write(piece)
                for item in ring:
                    yield from analysis.push(item)
        yield from analysis.finish()


@dataclass(frozen=True)
class Scored:
    """A stream with the windows that a listener made of it."""

    stream: Stream
    labels: tuple[str, ...]
    step_s: float
    windows: tuple[Window, ...]

    def events(self, rules: Mapping[str, DecisionRule]) -> list[Event]:
        """Let the daemon's decision make events of the windows."""
        decision = Decision(self.labels, rules, self.stream.rate_hz, self.step_s)
        events = [event for window in self.windows for event in decision.push(window)]
        return events + decision.finish("end_of_stream")


def score(listener: Listener, stream: Stream) -> Scored:
    """Score a whole stream, which must be at the listener's rate."""
    if stream.rate_hz != listener.rate_hz:
        raise ValueError(f"{stream.name} has {stream.rate_hz} Hz, the model {listener.rate_hz}")
    windows = tuple(listener.windows(stream.blocks()))
    return Scored(stream, listener.labels, listener.step_s, windows)


class HeldOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model has not been trained on: the JSON file that stands beside a fold's model."""

    held_out_recordings: list[str]
    """Never seen, neither by training nor by tuning."""
    validation_recordings: list[str] = []
    """Not trained on; rules and stopping were chosen on them."""


def held_out(model: Path) -> HeldOut | None:
    """Read ``MODEL.json`` beside ``MODEL.onnx``; None where there is none."""
    path = model.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=HeldOut)
    except msgspec.DecodeError as error:
        raise DataError(f'{path}: must be {{"held_out_recordings": [names]}} ({error})') from error
