"""From many channels to the one that is analysed."""

from __future__ import annotations

import numpy as np

from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError

_CANCELLED = 0.05
"""The mean's power, over what it would be if the channels had nothing in common. Below it the
channels are the same sound with opposite signs, as from a balanced cable in a stereo socket: even
where one is 2 dB louder."""

_SURE_S = 1.0
"""A wide stereo recording may cancel for a moment; a wrong plug does so for ever."""


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


class Mixer:
    """Takes one channel or the mean of all; where the mean is deaf, the loudest channel."""

    def __init__(self, channel: int | None, rate_hz: int) -> None:
        self.opposed = False
        """Whether the channels have cancelled each other for so long that it is no accident."""
        self._channel = channel
        self._sure = round(_SURE_S * rate_hz)
        self._cancelled = 0
        self._loudest: int | None = None

    def mix(self, block: Floats) -> Floats:
        """Return samples of shape ``(n,)`` for a block of shape ``(n, channels)``."""
        mono = to_mono(block, self._channel)
        if self._channel is not None or block.shape[1] == 1:
            return mono
        powers = np.einsum("ij,ij->j", block, block)
        unrelated = float(powers.sum()) / block.shape[1] ** 2
        if unrelated == 0.0:
            return mono
        if not float(np.dot(mono, mono)) < _CANCELLED * unrelated:
            self._cancelled = 0
            return mono
        self._cancelled += len(block)
        self.opposed = self.opposed or self._cancelled >= self._sure
        # Channels that are equally loud must not take turns: their signs are opposite.
        loudest = self._loudest
        if loudest is None or 2 * float(powers[loudest]) < float(powers.max()):
            loudest = self._loudest = int(powers.argmax())
        return block[:, loudest]
