"""A spectrogram for who looks from afar: a column a second, only while somebody asks for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Literal

import msgspec
import numpy as np

from rainwatchd.alerts.topics import Topics
from rainwatchd.alerts.uplink import Uplink
from rainwatchd.audio.samples import Floats
from rainwatchd.decision.events import utc_text
from rainwatchd.hearing.log_mel import FLOOR_DB
from rainwatchd.service.listener import Listener

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""What one request is good for: who goes away without a word costs no more."""

BANDS = 64

DB_PER_COUNT = 0.5
"""One count of a band: 256 of them reach from the floor to beyond full scale."""


class Spectrum(msgspec.Struct, frozen=True, kw_only=True):
    """One column, as ``spectrum.schema.json`` describes it."""

    schema: Literal["rainwatch/spectrum/1"] = "rainwatch/spectrum/1"
    device_id: str
    at: str
    step_s: float
    floor_db: float
    low_hz: float
    high_hz: float
    bands: bytes


class LiveSpectrum:
    """Answers requests on the device's ``look`` topic, where the configuration allows it."""

    def __init__(
        self, uplink: Uplink, topics: Topics, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._uplink = uplink
        self._topics = topics
        self._monotonic = monotonic
        self._until_s = -LOOK_S

    def allow(self) -> None:
        """Listen for requests; before the uplink is started."""
        self._uplink.subscribe(self._topics.look, self._take)

    def show(self, listener: Listener) -> None:
        """Send the newest column, if somebody looks."""
        if self._monotonic() > self._until_s:
            return
        log_mel, step_s, mel = listener.newest_step()
        column = Spectrum(
            device_id=self._topics.device_id,
            at=utc_text(listener.clock.now()),
            step_s=step_s,
            floor_db=FLOOR_DB,
            low_hz=mel.fmin_hz,
            high_hz=mel.fmax_hz,
            bands=bands(log_mel),
        )
        self._uplink.offer(self._topics.spectrum, msgspec.json.encode(column))

    def _take(self, _topic: str, _payload: bytes) -> None:
        if self._monotonic() > self._until_s:
            log.info("somebody looks at the spectrum")
        self._until_s = self._monotonic() + LOOK_S


def bands(log_mel: Floats) -> bytes:
    """Pack dB, shape ``(n_mels, frames)``, into a byte a band, the lowest first."""
    column = log_mel.mean(axis=1)
    # Mel bands are evenly spread over the pitch that is heard; so are these.
    at = np.linspace(0, column.size - 1, BANDS)
    levels = np.interp(at, np.arange(column.size), column)
    counts = np.rint((levels - FLOOR_DB) / DB_PER_COUNT)
    return bytes(counts.clip(0, 255).astype(np.uint8))
