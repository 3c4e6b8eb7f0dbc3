"""Options of the evidence clips."""

from __future__ import annotations

from typing import Annotated

import msgspec

from rainwatchd.clips.store import Quota

Bytes = Annotated[int, msgspec.Meta(ge=0)]


class ClipOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of the evidence clips."""

    save: bool = True
    directory: str | None = None
    """None: ``clips`` in the state directory."""
    pre_roll_s: Annotated[float, msgspec.Meta(ge=0, le=30)] = 5.0
    """Heard before the event's start."""
    post_roll_s: Annotated[float, msgspec.Meta(ge=0, le=30)] = 2.0
    """Heard after its end."""
    max_duration_s: Annotated[float, msgspec.Meta(ge=1, le=300)] = 60.0
    """Of a longer event only the beginning is kept."""
    max_bytes: Bytes = 1 << 30
    max_age_days: Annotated[float, msgspec.Meta(gt=0)] = 90.0
    min_free_bytes: Bytes = 200 << 20
    """Space on the disk that clips leave to others."""
    spectrogram: bool = False
    """Save a picture beside each clip."""
    near_misses: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    """Highest peaks of each class and day that raised no alert, to be kept as clips too."""
    publish: bool = False
    """Publish ten seconds of each saved clip over MQTT, some 30 kB, for a ranger to listen to."""

    def history_s(self, late_s: float) -> float:
        """How much sound must be held where an event is known at most `late_s` after it began."""
        return max(self.max_duration_s, self.pre_roll_s) + late_s

    @property
    def quota(self) -> Quota:
        """What the folder may hold."""
        return Quota(self.max_bytes, self.max_age_days * 86400.0, self.min_free_bytes)
