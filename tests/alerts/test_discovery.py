"""What Home Assistant is told, held against what it does with it: Jinja templates included."""

from __future__ import annotations

from typing import Any

import jinja2
import msgspec
import pytest

from rainwatchd.alerts.discovery import discovery
from rainwatchd.alerts.topics import Topics
from rainwatchd.decision.events import Health
from tests.detections import detection

TOPICS = Topics("canopy.7")


def described() -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(
        discovery(TOPICS, ["chainsaw", "storm"], "tiny 1")
    )
    return decoded


def render(template: str, message: object) -> str:
    return str(jinja2.Template(template).render(value_json=msgspec.to_builtins(message)))


def test_the_topic_is_one_that_home_assistant_takes() -> None:
    assert TOPICS.home_assistant == "homeassistant/device/canopy_7/config"


def test_it_has_what_device_discovery_requires() -> None:
    payload = described()

    assert payload["device"]["identifiers"]
    assert payload["origin"]["name"] == "rainwatchd"
    ids = [component["unique_id"] for component in payload["components"].values()]
    assert len(set(ids)) == len(ids)
    for component in payload["components"].values():
        assert component["platform"] in {"binary_sensor", "sensor"}
        assert component["state_topic"].startswith("rainwatch/canopy.7/")


@pytest.mark.parametrize(
    ("label", "message", "state"),
    [
        ("chainsaw", detection(1, "onset"), "ON"),
        ("chainsaw", detection(1, "update"), "ON"),
        ("chainsaw", detection(1, "offset"), "OFF"),
        ("storm", detection(1, "onset"), ""),
        ("chainsaw", msgspec.structs.replace(detection(1, "onset"), historical=True), ""),
    ],
)
def test_a_class_is_on_while_it_is_heard(label: str, message: object, state: str) -> None:
    assert render(described()["components"][label]["value_template"], message) == state


def test_figures_are_those_of_the_health_message() -> None:
    fields = {field.encode_name for field in msgspec.structs.fields(Health)}
    for component in described()["components"].values():
        if component["state_topic"] == TOPICS.health:
            assert component["value_template"].split("value_json.")[1].split()[0] in fields
