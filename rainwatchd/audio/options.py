"""What can be set about the sound that is analysed."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec


class AudioOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``audio`` section; a replay uses `channel` alone."""

    channel: Annotated[int, msgspec.Meta(ge=1, le=1024)] | Literal["mean"] = "mean"
    """One channel, the first being 1, or the mean of all."""

    @property
    def channel_number(self) -> int | None:
        """The channel to take; None for the mean."""
        return None if self.channel == "mean" else self.channel
