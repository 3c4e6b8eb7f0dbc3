"""Making a long event of short clips without audible seams."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rainwatchd.audio.samples import Floats

_CROSSFADE_S = 0.25

_QUIET = 0.01
"""Share of a clip's peak under which its ends count as padding."""


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


def trimmed(samples: Floats, quiet: float = _QUIET) -> Floats:
    """Take off silence at both ends (ESC pads short clips with zeros).

    Silence is what stays under the share `quiet` of the peak.
    """
    loud = np.flatnonzero(np.abs(samples) > quiet * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1] if loud.size else samples
