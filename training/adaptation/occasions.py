"""Which labelled recordings hear the same animal or machine go on: these are held out together.

Held out one by one, a helicopter that circles and alarms three times would be learned from two of
its clips and proved on the third.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import soundfile

from rainwatchd.audio.files.times import start_of
from rainwatchd.clips.labels import Label

APART_S = 180.0
"""Sounds of one source that follow each other more closely are of one occasion."""


class Moment(NamedTuple):
    """When something was heard, by what; seconds of one source compare with each other alone."""

    source: str
    start_s: float
    end_s: float


def moment_of(label: Label) -> Moment | None:
    """Return when a judged clip's sound was heard; None where nothing tells it."""
    length_s = max(0.0, label.sound_s[1] - label.sound_s[0])
    if label.detection is not None:
        # Of a long event the clip is only the beginning.
        length_s = max(length_s, label.detection.duration_s)
    source, start_s = label.device_id, _seconds(label.start)
    if start_s is None and label.cut_from is not None:
        source, start_s = label.cut_from
    return None if start_s is None else Moment(source, start_s, start_s + length_s)


def moment_of_file(path: Path, source: str) -> Moment | None:
    """Return when a recording was made, by its name or metadata; None where nothing tells it."""
    try:
        start, length_s = start_of(path), soundfile.info(path).duration
    except (OSError, soundfile.SoundFileError):
        return None
    if start is None:
        return None
    start_s = start.utc.timestamp()
    return Moment(source, start_s, start_s + length_s)


def numbered(moments: Sequence[Moment]) -> list[int]:
    """Return the number of each moment's occasion, in the order given."""
    numbers = [0] * len(moments)
    number, source, end_s = -1, None, 0.0
    for place in sorted(range(len(moments)), key=lambda place: moments[place]):
        moment = moments[place]
        if moment.source != source or moment.start_s > end_s + APART_S:
            number, source, end_s = number + 1, moment.source, moment.end_s
        end_s = max(end_s, moment.end_s)
        numbers[place] = number
    return numbers


def _seconds(utc: str | None) -> float | None:
    try:
        return None if utc is None else datetime.fromisoformat(utc).timestamp()
    except ValueError:
        return None
