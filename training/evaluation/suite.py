"""The whole test of one model or of the models of a cross-validation: which streams, from what."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from training.dataset import Clip, DataError
from training.evaluation.kinds import group
from training.evaluation.matching import LOGGING
from training.evaluation.scoring import Listener, Scored
from training.evaluation.short_clips import clip_streams
from training.evaluation.store import Store
from training.evaluation.streams import Stream, event_streams, joined_stream, lone_streams

_log = logging.getLogger(__name__)

SNR_DB: Mapping[str, tuple[float, ...]] = {
    "chainsaw": (10.0, 0.0, -5.0, -10.0, -15.0),
    "engine": (10.0, 0.0, -5.0),
    "passing": (10.0, 0.0, -5.0),
    "engine, other": (10.0, 0.0, -5.0),
}
"""Ratios at which each group of `training.evaluation.kinds` is tested; see
`training.soundscape.snr`."""

_SHARES = {"chainsaw": 1.0, "engine": 1.5, "passing": 0.75, "engine, other": 0.75}
"""Events of each group over those of chainsaws: there are more kinds of engines than of saws."""

LAND = ("background", "storm")
"""What a device hears all day: false alarms here are counted by the hour."""

EVENTS = 45
"""Chainsaws at each ratio, over all models together."""

_SHORTEST_S = 5.0
"""Recordings of what must raise no alert that count."""
_SHORTEST_BARE_S = 1.0

_SEED = 20240512

Place = tuple[str, float]
"""(group, signal-to-noise ratio in dB)"""


@dataclass(frozen=True)
class Subject:
    """A model with the clips that it has not been trained on."""

    listener: Listener
    clips: tuple[Clip, ...]
    digest: str = ""
    """Of the model's bytes, by which its scores are kept; empty: they aren't."""
    model: Path | None = None
    """Its file, where it is one."""


@dataclass(frozen=True)
class Heard:
    """What one subject made of all its test streams."""

    events: Mapping[Place, Scored]
    """Events over ambience, one a minute."""
    land: tuple[Scored, ...]
    """Everything that a device hears all day, end to end, at its own level: one stream or none."""
    others: tuple[Scored, ...]
    """What must raise no alert though it may sound like one, each recording by itself."""
    bare: tuple[Scored, ...]
    """Chainsaws and engines as they were recorded, each by itself."""
    clips: tuple[Scored, ...]
    """At most five seconds of every recording, each by itself."""

    def of(self, place_group: str) -> list[Scored]:
        """Event streams of one group at all ratios."""
        return [scored for (name, _), scored in self.events.items() if name == place_group]


@dataclass(frozen=True)
class Suite:
    """What several subjects made of their parts of one test."""

    parts: tuple[Heard, ...]

    def without(self, number: int) -> Suite:
        """Leave one part out: what its rules may be chosen on."""
        return Suite(self.parts[:number] + self.parts[number + 1 :])

    @property
    def land_h(self) -> float:
        """Hours of the land."""
        return sum(s.stream.duration_s for part in self.parts for s in part.land) / 3600.0

    @property
    def places(self) -> list[Place]:
        """Groups and ratios that any part holds, in the order of `SNR_DB`."""
        known = {place for part in self.parts for place in part.events}
        every = [(name, ratio) for name, ratios in SNR_DB.items() for ratio in ratios]
        return [place for place in every if place in known]


@dataclass(frozen=True)
class Plan:
    """The streams of one subject."""

    events: Mapping[Place, Stream]
    land: tuple[Stream, ...]
    others: tuple[Stream, ...]
    bare: tuple[Stream, ...]
    clips: tuple[Stream, ...]


def plan(clips: Sequence[Clip], rate_hz: int, slots: Mapping[str, int], seed: int) -> Plan:
    """Return the streams that `clips` give; `slots` is the number of events by group.

    A group without a single recording has no streams; where nothing at all can be tested,
    `DataError` is raised.
    """
    beds = [clip for clip in clips if clip.label in LAND]
    loud = [clip for clip in clips if clip.label in LOGGING]
    others = [clip for clip in clips if clip.label == "other"]
    if not beds and not loud and not others:
        raise DataError(
            "none of the labelled clips is held out: there is nothing to test on; train a model "
            "with --fold 1 and test it, or name it by --folds"
        )
    events: dict[Place, Stream] = {}
    for name, ratios_db in SNR_DB.items():
        own = [clip for clip in loud if group(clip) == name]
        if own and beds:
            streams = event_streams(
                own, beds, ratios_db=ratios_db, slots=slots[name], rate_hz=rate_hz, seed=seed
            )
            events |= {(name, snr_db): stream for snr_db, stream in streams.items()}
    return Plan(
        events,
        (joined_stream("land", beds, rate_hz=rate_hz),) if beds else (),
        _alone(others, rate_hz, _SHORTEST_S),
        _alone(loud, rate_hz, _SHORTEST_BARE_S),
        tuple(clip_streams(clips, rate_hz=rate_hz)),
    )


def _alone(clips: Sequence[Clip], rate_hz: int, shortest_s: float) -> tuple[Stream, ...]:
    streams = lone_streams(clips, rate_hz=rate_hz)
    return tuple(stream for stream in streams if stream.truth[0].offset_s >= shortest_s)


def run(
    tested: Sequence[Subject],
    events: int = EVENTS,
    *,
    seed: int = _SEED,
    scores: Path | None = None,
    clips: bool = True,
) -> Suite:
    """Score all test streams; `events` chainsaws at each ratio are dealt evenly to the subjects.

    In the folder `scores` what was scored is kept by model and stream, and not scored again.
    Without `clips` the five-second clips, which only `judge` wants, are left out.
    """
    slots = {name: -(-round(events * part) // len(tested)) for name, part in _SHARES.items()}
    parts = []
    for number, subject in enumerate(tested):
        streams = plan(subject.clips, subject.listener.rate_hz, slots, seed + number)
        parts.append(_heard(subject, streams if clips else replace(streams, clips=()), scores))
    return Suite(tuple(parts))


def _heard(subject: Subject, streams: Plan, scores: Path | None) -> Heard:
    store = Store(scores, subject.listener, subject.digest)

    def hear(what: str, group: Sequence[Stream]) -> tuple[Scored, ...]:
        minutes = sum(stream.duration_s for stream in group) / 60
        _log.info("%s: %s, %.0f min", subject.listener.name, what, minutes)
        return store.scored(group)

    return Heard(
        {place: hear(stream.name, [stream])[0] for place, stream in streams.events.items()},
        hear("land", streams.land),
        hear("others", streams.others),
        hear("bare recordings", streams.bare),
        hear("five-second clips", streams.clips),
    )
