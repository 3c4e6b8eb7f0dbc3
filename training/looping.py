"""Making a long event of short clips without audible seams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rainwatchd.features import Floats

_CROSSFADE_S = 0.25

_BLOCK_S = 0.25
_FAINT_DB = 30.0
"""Ends this far below the loudest block are no part of an event; an idling engine is some 20 dB
below the same one at full throttle."""


def looped(material: Sequence[Floats], length: int, start: float, rate_hz: int) -> Floats:
    """Play `material` in turn from `start` (a share of the first), crossfaded, to `length`."""
    first = material[0]
    skipped = round(start * max(0, first.size - length))
    out = np.zeros(length, np.float32)
    at = 0
    turn = 0
    fade_in: Floats = np.zeros(0, np.float32)
    while at < length:
        piece = (first[skipped:] if turn == 0 else material[turn % len(material)]).copy()
        overlap = min(round(_CROSSFADE_S * rate_hz), piece.size // 4)
        if turn:
            piece[: fade_in.size] *= fade_in[: piece.size]
        # Equal power: the two sides of a seam are not alike, so their powers add.
        fade_in = np.sqrt(np.linspace(0.0, 1.0, overlap, dtype=np.float32))
        piece[piece.size - overlap :] *= fade_in[::-1]
        stop = min(length, at + piece.size)
        out[at:stop] += piece[: stop - at]
        at += piece.size - overlap
        turn += 1
    return out


def trimmed(samples: Floats, rate_hz: int) -> Floats:
    """Take off what is hardly there at both ends.

    Short clips are padded with zeros, and who records an engine holds a silent microphone to it
    first: over ambience either would be an event with nothing to hear.
    """
    block = round(_BLOCK_S * rate_hz)
    count = samples.size // block
    if count < 2:
        return samples
    power = np.square(samples[: count * block].reshape(count, block), dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(power >= power.max() * 10.0 ** (-_FAINT_DB / 10.0))
    last = samples.size if loud[-1] == count - 1 else (loud[-1] + 1) * block
    return samples[loud[0] * block : last]
