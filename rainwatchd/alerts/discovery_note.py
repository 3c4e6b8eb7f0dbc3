"""Which of Home Assistant's topics this device has written to, so that it can take them back."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rainwatchd.alerts.uplink import Uplink

log = logging.getLogger(__name__)


def take_back(uplink: Uplink, note: DiscoveryNote, wanted: str | None) -> None:
    """Clear what is retained under topics other than `wanted`: Home Assistant drops the device."""
    for topic in note.stale(wanted):
        uplink.retain(topic, b"", once_kept=partial(note.forget, topic))


class DiscoveryNote:
    """A line a topic, in a file that outlives the configuration."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "home-assistant.topics"

    def stale(self, wanted: str | None) -> Iterator[str]:
        """Note the topic that is wanted now; yield those that are not wanted any more."""
        noted = self._read()
        if wanted is not None and wanted not in noted:
            self._write([*noted, wanted])
        yield from (topic for topic in noted if topic != wanted)

    def forget(self, topic: str) -> None:
        """Take note that the broker has nothing there any more."""
        self._write([other for other in self._read() if other != topic])

    def _read(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError):
            return []

    def _write(self, topics: list[str]) -> None:
        try:
            if topics:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_text("".join(f"{topic}\n" for topic in topics), encoding="utf-8")
            else:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("home assistant: %s: %s", self._path, error)
