"""From many channels to the one that is analysed."""

from __future__ import annotations

from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError


def check_channel(channel: int | None, channels: int, source: str) -> None:
    """Raise `AudioError` unless `source` with that many channels has the one chosen."""
    if channel is not None and not 1 <= channel <= channels:
        has = "1 channel" if channels == 1 else f"{channels} channels"
        raise AudioError(f"{source} has {has}, no channel {channel}: choose another or mean")


def to_mono(block: Floats, channel: int | None) -> Floats:
    """Take one channel (the first is 1) or the mean (None) of ``(frames, channels)``."""
    if channel is not None:
        return block[:, channel - 1]
    mono = block[:, 0]
    # Column by column: numpy's mean over a short last axis is several times slower, and a matrix
    # product may round differently at a block's edge.
    for other in range(1, block.shape[1]):
        mono = mono + block[:, other]
    return mono / block.shape[1] if block.shape[1] > 1 else mono
