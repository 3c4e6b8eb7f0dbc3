"""Stretches of a recording, as they are heard."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from rainwatchd.audio.recording import Recording
from rainwatchd.audio.ring import Gap
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError


def excerpts(
    path: Path, spans_s: Sequence[tuple[float, float]], channel: int | None = None
) -> tuple[list[Floats], int]:
    """Return the samples from each start to its end, shape ``(n,)``, and their rate in Hz.

    What an AudioMoth left out is silence. The recording is decoded once, from its beginning: only
    so is a place in it what it was when it was heard. Raises `AudioError` where none of it is to
    be had; of what is damaged further on, less comes.
    """
    source = Recording(path, channel)
    try:
        source.open()
        rate_hz = source.rate_hz
        spans = [(round(start * rate_hz), round(stop * rate_hz)) for start, stop in spans_s]
        pieces: list[list[Floats]] = [[] for _ in spans]
        last = max((stop for _, stop in spans), default=0)
        with suppress(AudioError):
            for item in source.items():
                if item.start >= last:
                    break
                for (start, stop), piece in zip(spans, pieces, strict=True):
                    first, behind = max(start, item.start), min(stop, item.end)
                    if first >= behind:
                        continue
                    if isinstance(item, Gap):
                        piece.append(np.zeros(behind - first, np.float32))
                    else:
                        piece.append(item.samples[first - item.start : behind - item.start])
    finally:
        source.close()
    return [np.concatenate([np.zeros(0, np.float32), *piece]) for piece in pieces], rate_hz
