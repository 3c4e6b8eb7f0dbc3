"""Home Assistant's device discovery: one retained message makes the device appear there.

Format: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rainwatchd import __version__
from rainwatchd.alerts.topics import Topics

_SILENT_AFTER_S = 300
"""A class shows as heard until its offset, or for this long if nothing more comes."""


def discovery(topics: Topics, labels: Sequence[str], model: str) -> bytes:
    """Describe the device: a sensor for each class that alerts, and the figures of its health."""
    device_id = topics.device_id
    components: dict[str, dict[str, Any]] = {
        label: {
            "platform": "binary_sensor",
            "unique_id": f"{device_id}_{label}",
            "name": label.capitalize(),
            "device_class": "sound",
            "state_topic": topics.detection,
            # What is historical happened before something that is shown already.
            "value_template": (
                f"{{% if value_json['class'] == '{label}' and not value_json.historical %}}"
                "{{ 'OFF' if value_json.phase == 'offset' else 'ON' }}{% endif %}"
            ),
            "off_delay": _SILENT_AFTER_S,
        }
        for label in labels
    }
    components["status"] = _sensor(topics, "Status", topics.status, "state")
    components["level"] = _sensor(topics, "Level", topics.health, "level_dbfs", "dB")
    components["temperature"] = _sensor(
        topics, "Temperature", topics.health, "temperature_c", "°C"
    ) | {"device_class": "temperature"}
    components["waiting"] = _sensor(topics, "Alerts waiting", topics.health, "outbox_depth")
    return msgspec.json.encode(
        {
            "device": {
                "identifiers": [f"rainwatchd_{device_id}"],
                "name": device_id,
                "manufacturer": "rainwatchd",
                "model": model,
                "sw_version": __version__,
            },
            "origin": {"name": "rainwatchd", "sw_version": __version__},
            "components": components,
            "availability": [
                {
                    "topic": topics.status,
                    "value_template": (
                        "{{ 'offline' if value_json.state == 'offline' else 'online' }}"
                    ),
                }
            ],
        }
    )


def _sensor(
    topics: Topics, name: str, topic: str, field: str, unit: str | None = None
) -> dict[str, Any]:
    sensor = {
        "platform": "sensor",
        "unique_id": f"{topics.device_id}_{field}",
        "name": name,
        "state_topic": topic,
        "value_template": f"{{{{ value_json.{field} }}}}",
    }
    return sensor if unit is None else sensor | {"unit_of_measurement": unit}
