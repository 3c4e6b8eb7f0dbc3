"""AudioMoth's triggered recordings, from which it left out what was below its threshold.

A stretch that it left out is one block of 256 samples: the first 32 are the bits of the stretch's
length in blocks, lowest first, 1 for one and -1 for zero; the rest are zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rainwatchd.audio.samples import Floats

BLOCK_SAMPLES = 256
_BITS = 32
_FULL_SCALE = 32768
_MOST_S = 7 * 24 * 3600
"""A stretch that is longer is no stretch: the batteries don't last."""

_NAME = re.compile(r".*\d{6}T", re.IGNORECASE)


def is_triggered(path: Path, comment: bytes) -> bool:
    """Whether an AudioMoth left something out, by the name that it gave or by its comment."""
    told = comment.lower()
    return bool(_NAME.fullmatch(path.stem)) or (
        b"moth" in told and (b"threshold" in told or b"trigger" in told)
    )


class Expander:
    """Finds the stretches that were left out in a stream of samples of 16 bits."""

    def __init__(self, rate_hz: int) -> None:
        self._most = _MOST_S * rate_hz
        self._held: Floats = np.zeros(0, np.float32)

    def push(self, samples: Floats, last: bool = False) -> Iterator[Floats | int]:
        """Yield stretches of sound, and as numbers the samples of what was left out between them.

        Samples that may begin such a block are held back until the next call, or the `last`.
        """
        sound = np.concatenate((self._held, samples))
        self._held = sound[:0]
        heard = 0
        for at in _blocks_in(sound):
            length = _length(sound[at : at + _BITS]) * BLOCK_SAMPLES
            if at < heard or not 0 < length <= self._most:
                continue
            if at > heard:
                yield sound[heard:at]
            yield length
            heard = at + BLOCK_SAMPLES
        keep = 0 if last else min(BLOCK_SAMPLES - 1, sound.size - heard)
        if sound.size - keep > heard:
            yield sound[heard : sound.size - keep]
        self._held = sound[sound.size - keep :]


def _blocks_in(sound: Floats) -> Iterator[int]:
    """Find where 32 samples of one step and 224 of none follow each other."""
    steps = np.abs(sound) * _FULL_SCALE
    loud = np.flatnonzero(steps > 1)
    edges = np.concatenate(([-1], loud, [sound.size]))
    for quiet in np.flatnonzero(np.diff(edges) > BLOCK_SAMPLES):
        start, stop = int(edges[quiet]) + 1, int(edges[quiet + 1])
        ones = np.concatenate(([0], np.cumsum(steps[start:stop])))
        first = np.arange(stop - start - BLOCK_SAMPLES + 1)
        behind = first + _BITS
        block = (ones[behind] - ones[first] == _BITS) & (
            ones[first + BLOCK_SAMPLES] == ones[behind]
        )
        yield from (start + int(at) for at in np.flatnonzero(block))


def _length(bits: Floats) -> int:
    return sum(1 << place for place in range(_BITS) if bits[place] > 0)
