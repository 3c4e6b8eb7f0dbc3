"""A replay's detections on MQTT, by the same outbox and uplink as live ones."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rainwatchd.alerts.outbox import Outbox
from rainwatchd.alerts.topics import Topics
from rainwatchd.alerts.uplink import FAREWELL_S, Uplink
from rainwatchd.config.options import Config
from rainwatchd.errors import RainwatchError
from rainwatchd.replay.replay import Found, Item, replay_id

PATIENCE_S = 15.0
"""How long the broker may take nothing before the replay gives up."""

_NO_STATUS = b""
"""An empty retained message: the broker keeps no status of a device that was only replayed."""


class Publisher:
    """Publishes detections; its outbox lasts as long as the replay."""

    def __init__(self, config: Config) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rainwatchd-")
        self._trouble: str | None = None
        self._outbox = Outbox(Path(self._folder.name), config.outbox, self._report)
        topics = Topics(replay_id(config))
        self._uplink = Uplink(config.mqtt, topics, self._outbox, _NO_STATUS, self._report)
        self._uplink.start()

    def take(self, item: Item) -> None:
        """Queue a detection."""
        if isinstance(item, Found):
            self._outbox.put(item.detection)
            self._uplink.wake()

    def finish(self) -> None:
        """Wait until the broker has all; raise `RainwatchError` saying what it has not, and why."""
        left, since_s = self._outbox.depth, time.monotonic()
        while left and time.monotonic() - since_s < PATIENCE_S:
            time.sleep(0.05)
            if self._outbox.depth < left:
                left, since_s = self._outbox.depth, time.monotonic()
        if left:
            raise RainwatchError(
                f"{left} messages did not reach the broker: {self._trouble or 'no answer'}"
            )

    def close(self) -> None:
        """End the session and throw the outbox away."""
        self._uplink.stop(FAREWELL_S, _NO_STATUS)
        self._outbox.close()
        self._folder.cleanup()

    def _report(self, trouble: str | None) -> None:
        self._trouble = trouble
