"""Every training clip decoded once, and stretches of any length drawn from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rainwatchd.features import Floats
from training.dataset import Clip, load

_SHORTEST_S = 0.4
"""Shorter clips give a buzz of the loop's own rate when they are looped."""

_SOURCE_SHARE = 6
"""A collection counts at most as this many recordings when one is drawn, so that none rules."""

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
        self._groups: dict[str, dict[str, dict[str, list[int]]]] = {}
        for index, clip in enumerate(clips):
            if samples[index].size < _SHORTEST_S * rate_hz:
                continue
            sources = self._groups.setdefault(clip.label, {})
            recordings = sources.setdefault(clip.source, defaultdict(list))
            recordings[clip.recording].append(index)

    @property
    def labels(self) -> list[str]:
        """Classes that there is something to draw from."""
        return sorted(self._groups)

    def draw(self, label: str, length: int, rng: np.random.Generator, speed: float = 1.0) -> Floats:
        """Return `length` samples of one random recording of `label`, peak 1 or less.

        A source is drawn first, weighed by its recordings up to a limit, then a recording, then
        a clip; what is too short is looped. `speed` above 1 plays faster and higher.
        """
        sources = self._groups[label]
        names = sorted(sources)
        weights = np.array([min(len(sources[name]), _SOURCE_SHARE) for name in names], float)
        source = sources[names[rng.choice(len(names), p=weights / weights.sum())]]
        recordings = sorted(source)
        clips = source[recordings[rng.integers(len(recordings))]]
        samples = self._samples[clips[rng.integers(len(clips))]]
        wanted = int(np.ceil(length * speed)) + 2
        if samples.size > wanted:
            first = int(rng.integers(samples.size - wanted + 1))
            stretch: Floats = samples[first : first + wanted].astype(np.float32) / 32768.0
        else:
            looped = samples.astype(np.float32) / 32768.0
            stretch = loop(looped, wanted, int(rng.integers(samples.size)))
        if speed == 1.0:
            return stretch[:length]
        at = np.arange(length) * speed
        faster: Floats = np.interp(at, np.arange(stretch.size), stretch).astype(np.float32)
        return faster


def loop(samples: Floats, length: int, first: int = 0) -> Floats:
    """Repeat `samples` to `length` without an audible seam, starting at sample `first`.

    The last tenth (at most 0.25 s at 16 kHz) is laid over the beginning with equal power, so the
    end of a turn runs into the start of the next.
    """
    overlap = min(samples.size // 10, 4000)
    if overlap:
        fade = np.sqrt(np.linspace(0.0, 1.0, overlap, dtype=np.float32))
        turn = samples[: samples.size - overlap].copy()
        turn[:overlap] = turn[:overlap] * fade + samples[-overlap:] * fade[::-1]
    else:
        turn = samples
    repeated: Floats = np.take(turn, np.arange(first, first + length), mode="wrap")
    return repeated


def _decode(clip: Clip, rate_hz: int) -> NDArray[np.int16]:
    samples = load(clip, rate_hz)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak == 0.0:
        return np.zeros(0, np.int16)
    loud = np.flatnonzero(np.abs(samples) > _QUIET * peak)
    samples = samples[loud[0] : loud[-1] + 1]
    return (samples * (32000.0 / peak)).astype(np.int16)


def default_data() -> Path:
    """Return where the labelled recordings lie beside a checkout."""
    return Path(__file__).resolve().parents[2] / "shared" / "data" / "manifest.csv"
