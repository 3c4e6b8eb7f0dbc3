"""Every training clip decoded once, and stretches of any length drawn from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats
from training.dataset import Clip, load
from training.soundscape.looping import looped, trimmed

_SHORTEST_S = 0.4
"""Shorter clips give a buzz of the loop's own rate when they are looped."""

_KIND_SHARE = 6
"""A kind of sound of one collection counts at most as this many recordings, so that none rules:
26 minutes of engines are one car on as many days, 22 loops come from one game."""

_NEGATIVE_SHARE = 24
"""The same for kinds of negatives over all collections: there are 130 dogs."""

_FREESOUND = "freesound-"
"""Recordings that are named so are each somebody else's: another machine, another microphone."""

_WHOLE_S = 4.0
"""A shorter recording counts by its length: half a second, looped, is soon known by heart."""

_LONG = 3.0
"""A long negative counts by the root of its length, up to this many times: an hour of a forest
holds more than a call, and not as much more as it is longer."""

_HARD = 1.5
"""What sounds wholly like a machine and is none is drawn 1 + this many times as often."""

_NEGATIVES = ("background", "other")

_QUIET = 0.02
"""Share of a clip's peak under which its ends count as padding."""


@dataclass(frozen=True)
class Drawn:
    """A stretch of sound, and what it was cut from."""

    samples: Floats
    """Shape ``(length,)``."""
    clip: Clip


class Library:
    """Clips of a split at one rate, kept as 16-bit samples and drawn by class."""

    def __init__(self, clips: Sequence[Clip], rate_hz: int, workers: int = 2) -> None:
        """Decode `clips`; raise `DataError` naming the first that cannot be read."""
        self.rate_hz = rate_hz
        with ProcessPoolExecutor(workers) as pool:
            decoded = pool.map(_decode, clips, [rate_hz] * len(clips), chunksize=16)
            samples = list(decoded)
        self._clips = list(clips)
        self._samples = samples
        usable = [n for n, heard in enumerate(samples) if heard.size >= _SHORTEST_S * rate_hz]
        self._indices: dict[str, list[int]] = defaultdict(list)
        for index in usable:
            self._indices[clips[index].label].append(index)
        self._weights = {
            label: _weights([clips[index] for index in indices])
            for label, indices in self._indices.items()
        }

    @property
    def labels(self) -> list[str]:
        """Classes that there is something to draw from."""
        return sorted(self._indices)

    def draw(self, label: str, length: int, rng: np.random.Generator, speed: float = 1.0) -> Drawn:
        """Return `length` samples of one clip of `label`, played at `speed`, anywhere in it.

        A shorter clip is looped.
        """
        index = rng.choice(self._indices[label], p=self._weights[label])
        samples = self._samples[index]
        wanted = int(np.ceil(length * speed)) + 2
        if samples.size > wanted:
            first = int(rng.integers(samples.size - wanted + 1))
            stretch: Floats = samples[first : first + wanted].astype(np.float32) / 32768.0
        else:
            first = int(rng.integers(samples.size))
            sound = samples.astype(np.float32) / 32768.0
            stretch = looped([sound], first + wanted, 0.0, self.rate_hz)[first:]
        if speed == 1.0:
            return Drawn(stretch[:length], self._clips[index])
        at = np.arange(length) * speed
        faster: Floats = np.interp(at, np.arange(stretch.size), stretch).astype(np.float32)
        return Drawn(faster, self._clips[index])


def _weights(clips: Sequence[Clip]) -> NDArray[np.float64]:
    """Return each clip's share of the draws, summing to 1."""
    recordings: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        recordings[clip.recording].append(clip)
    kinds = Counter(_kind(own[0]) for own in recordings.values())
    weights = []
    for clip in clips:
        own = recordings[clip.recording]
        negative = clip.label in _NEGATIVES
        count = kinds[_kind(own[0])]
        share = _NEGATIVE_SHARE if negative else _KIND_SHARE
        if not negative and own[0].recording.startswith(_FREESOUND):
            share = count
        worth = sum(part.duration_s for part in own) / _WHOLE_S
        longest = _LONG if negative else 1.0
        weight = min(count, share) / count / len(own) * min(worth, max(1.0, worth**0.5), longest)
        if negative:
            weight *= 1.0 + _HARD * clip.machine_like
        weights.append(weight)
    shares: NDArray[np.float64] = np.array(weights) / sum(weights)
    return shares


def _kind(clip: Clip) -> tuple[str, ...]:
    return (clip.sub_label,) if clip.label in _NEGATIVES else (clip.source, clip.sub_label)


def _decode(clip: Clip, rate_hz: int) -> NDArray[np.int16]:
    samples = load(clip, rate_hz)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0.0:
        return np.zeros(0, np.int16)
    return (trimmed(samples, _QUIET) * (32000.0 / peak)).astype(np.int16)


def default_data() -> Path:
    """Return where the labelled recordings lie beside a checkout."""
    return Path(__file__).resolve().parents[3] / "shared" / "data" / "manifest.csv"
