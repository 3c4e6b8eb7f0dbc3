"""Names of the topics that one device publishes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topics:
    """Topics of the device `device_id`, whose form `events.DeviceId` keeps to one level."""

    device_id: str

    @property
    def all(self) -> str:
        """Everything that the device says and is told."""
        return f"rainwatch/{self.device_id}/#"

    @property
    def look(self) -> str:
        """To the device: somebody asks for a minute of its spectrum."""
        return f"rainwatch/{self.device_id}/look"

    @property
    def spectrum(self) -> str:
        """A column a second, while somebody looks."""
        return f"rainwatch/{self.device_id}/spectrum"

    @property
    def detection(self) -> str:
        """Every phase of every event."""
        return f"rainwatch/{self.device_id}/detection"

    @property
    def status(self) -> str:
        """Retained: whether the device can be relied on; also the Last Will."""
        return f"rainwatch/{self.device_id}/status"

    @property
    def health(self) -> str:
        """Retained: the figures of the last minute."""
        return f"rainwatch/{self.device_id}/health"

    def clip(self, event_id: str) -> str:
        """A short recording of one event."""
        return f"rainwatch/{self.device_id}/clip/{event_id}"

    @property
    def feedback(self) -> str:
        """Verdicts on events, to this device; the one wildcard stands for the event's id."""
        return f"rainwatch/{self.device_id}/feedback/+"

    @property
    def home_assistant(self) -> str:
        """Retained: Home Assistant's device discovery, whose ids allow no dot."""
        return f"homeassistant/device/{self.device_id.replace('.', '_')}/config"
