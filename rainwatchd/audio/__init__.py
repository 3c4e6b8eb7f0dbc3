"""Where sound comes from: microphones and recordings, made alike at the ring buffer.

Devices and files come in; chunks of mono samples and the gaps between them go out.
"""

from __future__ import annotations

from typing import Protocol

from rainwatchd.audio.ring import RingBuffer


class AudioSource(Protocol):
    """Writes mono float32 samples, full scale 1.0, into a ring buffer at its own rate."""

    rate_hz: int
    """Samples per second; known after `open`."""
    channels: int
    """What the source has, before one is chosen or all are averaged; known after `open`."""

    def open(self) -> None:
        """Make ready to be heard; raise `AudioError` naming the source and the reason."""

    def fill(self, ring: RingBuffer, timeout_s: float) -> bool:
        """Wait at most `timeout_s` for samples to arrive in `ring`; False at the end for good.

        Raises `AudioError` when the source fails; what was written before remains readable.
        """

    def close(self) -> None:
        """Let go of the device or file; closing twice does no harm."""
