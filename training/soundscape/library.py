"""Every training clip decoded once, and stretches of any length drawn from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats
from training.dataset import Clip, load
from training.soundscape.looping import looped, trimmed

_SHORTEST_S = 0.4
"""Shorter clips give a buzz of the loop's own rate when they are looped."""

_KIND_SHARE = 10
"""A kind of sound in one collection counts at most as this many recordings, so that none rules:
74 minutes of engines are one car on as many days."""

_WHOLE_S = 4.0
"""A shorter recording counts by its length: half a second, looped, is soon known by heart."""

_HARD = 1.5
"""What sounds wholly like a machine and is none is drawn 1 + this many times as often."""

_NEGATIVES = ("background", "other")

_QUIET = 0.02
"""Share of a clip's peak under which its ends count as padding."""


class Library:
    """Clips of a split at one rate, kept as 16-bit samples and drawn by class."""

    def __init__(self, clips: Sequence[Clip], rate_hz: int, workers: int = 2) -> None:
        """Decode `clips`; raise `DataError` naming the first that cannot be read."""
        self.rate_hz = rate_hz
        with ProcessPoolExecutor(workers) as pool:
            decoded = pool.map(_decode, clips, [rate_hz] * len(clips), chunksize=16)
            samples = list(decoded)
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

    def draw(self, label: str, length: int, rng: np.random.Generator, speed: float = 1.0) -> Floats:
        """Return `length` samples of one random recording of `label`, peak 1 or less.

        A recording counts by its length, by how many there are of its kind and, where it is a
        negative, by how much it sounds like a machine; what is too short is looped. `speed`
        above 1 plays faster and higher.
        """
        samples = self._samples[rng.choice(self._indices[label], p=self._weights[label])]
        wanted = int(np.ceil(length * speed)) + 2
        if samples.size > wanted:
            first = int(rng.integers(samples.size - wanted + 1))
            stretch: Floats = samples[first : first + wanted].astype(np.float32) / 32768.0
        else:
            first = int(rng.integers(samples.size))
            sound = samples.astype(np.float32) / 32768.0
            stretch = looped([sound], first + wanted, 0.0, self.rate_hz)[first:]
        if speed == 1.0:
            return stretch[:length]
        at = np.arange(length) * speed
        faster: Floats = np.interp(at, np.arange(stretch.size), stretch).astype(np.float32)
        return faster


def _weights(clips: Sequence[Clip]) -> NDArray[np.float64]:
    """Return each clip's share of the draws, summing to 1."""
    recordings: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        recordings[clip.recording].append(clip)
    kinds = Counter((own[0].source, own[0].sub_label) for own in recordings.values())
    weights = []
    for clip in clips:
        own = recordings[clip.recording]
        count = kinds[own[0].source, own[0].sub_label]
        weight = min(count, _KIND_SHARE) / count / len(own)
        weight *= min(1.0, sum(part.duration_s for part in own) / _WHOLE_S)
        if clip.label in _NEGATIVES:
            weight *= 1.0 + _HARD * clip.machine_like
        weights.append(weight)
    return np.array(weights) / sum(weights)


def _decode(clip: Clip, rate_hz: int) -> NDArray[np.int16]:
    samples = load(clip, rate_hz)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0.0:
        return np.zeros(0, np.int16)
    return (trimmed(samples, _QUIET) * (32000.0 / peak)).astype(np.int16)


def default_data() -> Path:
    """Return where the labelled recordings lie beside a checkout."""
    return Path(__file__).resolve().parents[3] / "shared" / "data" / "manifest.csv"
