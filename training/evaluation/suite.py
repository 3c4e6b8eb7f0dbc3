"""The whole test of one model or of the models of a cross-validation: which streams, from what."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rainwatchd.hearing.classifier import Classifier
from training.dataset import Clip, DataError
from training.evaluation.matching import LOGGING
from training.evaluation.scoring import DaemonListener, Listener, Scored, held_out, score
from training.evaluation.streams import Stream, event_streams, joined_stream

_log = logging.getLogger(__name__)

SNR_DB: Mapping[str, tuple[float, ...]] = {
    "chainsaw": (10.0, 0.0, -5.0, -10.0, -15.0),
    "engine": (10.0, 0.0, -5.0),
}
"""Ratios at which each class is tested; see `training.soundscape.snr`."""

Part = Literal["held out", "validation"]

AMBIENCE = ("background", "other", "storm")
_BEDS = ("background", "storm")
EVENTS = 40
"""Events at each ratio, over all models together."""

_SEED = 20240512


@dataclass(frozen=True)
class Subject:
    """A model with the clips that it has not been trained on."""

    listener: Listener
    clips: tuple[Clip, ...]


@dataclass(frozen=True)
class Suite:
    """Scores of every test stream; several of a kind when several models share the test."""

    events: Mapping[tuple[str, float], tuple[Scored, ...]]
    """(label, signal-to-noise ratio in dB) -> streams with events."""
    ambience: tuple[Scored, ...]
    """Everything that should raise no logging alert, at its own level."""
    clips: tuple[Scored, ...]
    """Chainsaws and engines as they were recorded, end to end."""

    def of(self, label: str) -> list[Scored]:
        """Event streams of one label at all ratios."""
        return [
            scored for (name, _), group in self.events.items() if name == label for scored in group
        ]

    @property
    def ambience_h(self) -> float:
        """Hours of ambience."""
        return sum(scored.stream.duration_s for scored in self.ambience) / 3600.0


def subjects(
    models: Sequence[Path], clips: Sequence[Clip], part: Part = "held out"
) -> list[Subject]:
    """Load models and pair each with its clips; see `held_out_clips`."""
    return [
        Subject(DaemonListener(Classifier(path), path.stem), tuple(mine))
        for path, mine in zip(models, held_out_clips(models, clips, part), strict=True)
    ]


def held_out_clips(
    models: Sequence[Path], clips: Sequence[Clip], part: Part = "held out"
) -> list[list[Clip]]:
    """Return each model's held-out (or ``validation``) clips by the JSON beside it.

    Clips for measuring only (``use`` is ``evaluate``) were never trained on: they are dealt out
    to the models, so that each counts once. Without a JSON a model is tested on everything.
    """
    taken = []
    unseen = [clip for clip in clips if clip.use == "evaluate"]
    for number, path in enumerate(models):
        known = held_out(path)
        own = unseen[number :: len(models)] if part == "held out" else []
        if known is None:
            _log.warning(
                "%s: no %s beside it says what it was not trained on; it is tested on all of the "
                "data, and figures on what it has heard before flatter it",
                path,
                path.with_suffix(".json").name,
            )
            mine = [clip for clip in clips if clip.use != "evaluate"]
        else:
            names = set(
                known.held_out_recordings if part == "held out" else known.validation_recordings
            )
            mine = [clip for clip in clips if clip.recording in names and clip.use != "evaluate"]
        taken.append(mine + own)
    return taken


def plan(
    clips: Sequence[Clip], rate_hz: int, slots: int, seed: int
) -> tuple[dict[tuple[str, float], Stream], list[Stream], list[Stream]]:
    """Return the event streams, the ambience and the plain clips that `clips` give.

    A class without a single recording has no streams; where nothing at all can be tested,
    `DataError` is raised.
    """
    beds = [clip for clip in clips if clip.label in _BEDS]
    events: dict[tuple[str, float], Stream] = {}
    for label, ratios_db in SNR_DB.items():
        own = [clip for clip in clips if clip.label == label]
        if own and beds:
            streams = event_streams(
                own, beds, ratios_db=ratios_db, slots=slots, rate_hz=rate_hz, seed=seed
            )
            events |= {(label, snr_db): stream for snr_db, stream in streams.items()}
    quiet = [clip for clip in clips if clip.label in AMBIENCE]
    loud = [clip for clip in clips if clip.label in LOGGING]
    if not quiet and not loud:
        raise DataError(
            "none of the labelled clips is held out: there is nothing to test on; train a model "
            "with --fold 1 and test it, or name it by --folds"
        )
    return (
        events,
        [joined_stream("ambience", quiet, rate_hz=rate_hz)] if quiet else [],
        [joined_stream("clips", loud, rate_hz=rate_hz)] if loud else [],
    )


def run(
    tested: Sequence[Subject], events: int = EVENTS, *, seed: int = _SEED, clips: bool = True
) -> Suite:
    """Score all test streams; `events` at each ratio are dealt evenly to the subjects.

    Without `clips` the recordings of events as they are, which only `judge` wants, are left out.
    """
    heard: dict[tuple[str, float], list[Scored]] = {}
    ambience = []
    plain = []
    for number, subject in enumerate(tested):
        listener = subject.listener
        slots = -(-events // len(tested))
        streams, quiet, loud = plan(subject.clips, listener.rate_hz, slots, seed + number)
        for key, stream in streams.items():
            heard.setdefault(key, []).append(_scored(listener, stream))
        ambience += [_scored(listener, stream) for stream in quiet]
        plain += [_scored(listener, stream) for stream in loud if clips]
    return Suite({key: tuple(group) for key, group in heard.items()}, tuple(ambience), tuple(plain))


def _scored(listener: Listener, stream: Stream) -> Scored:
    _log.info("%s: %s, %.0f min", listener.name, stream.name, stream.duration_s / 60)
    return score(listener, stream)
