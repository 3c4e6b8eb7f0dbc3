"""What can be set about the sound that is analysed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class AudioOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``audio`` section; a replay uses `channel` alone."""

    device: str | None = None
    """The microphone: a name or a part of it, ``card:ID``, ``usb:PATH``; None: the default."""
    channel: Annotated[int, msgspec.Meta(ge=1, le=1024)] | Literal["mean"] = "mean"
    """One channel, the first being 1, or the mean of all."""
    zeros_are_faults: bool = True
    """Whether seconds of nothing but zeros mean a broken microphone, and not a noise gate."""
    recovery_timeout_s: Annotated[float, msgspec.Meta(ge=10, le=86400)] = 120.0
    """How long a lost microphone is sought before the process ends, to be started afresh."""

    @property
    def channel_number(self) -> int | None:
        """The channel to take; None for the mean."""
        return None if self.channel == "mean" else self.channel
