"""Home Assistant forgets a device that was renamed, or that asks to be forgotten."""

from __future__ import annotations

from pathlib import Path

from rainwatchd.alerts.discovery_note import DiscoveryNote, take_back
from tests.alerts.test_uplink import device
from tests.broker import Broker, Subscriber, until


def topic(name: str) -> str:
    return f"homeassistant/device/{name}/config"


def test_what_was_published_is_taken_back_once(tmp_path: Path, broker: Broker) -> None:
    note = DiscoveryNote(tmp_path)
    with device(tmp_path, port=broker.port) as canopy:
        canopy.uplink.retain(topic("old"), b"{}")
        take_back(canopy.uplink, note, topic("old"))
        until(lambda: canopy.uplink.connected and not canopy.uplink._unsent, "the discovery")
        assert list(note.stale(topic("old"))) == []
        take_back(canopy.uplink, note, topic("new"))
        until(lambda: list(note.stale(topic("new"))) == [], "the old one to be forgotten")
        take_back(canopy.uplink, note, None)
        until(lambda: list(note.stale(None)) == [], "the new one to be forgotten")
    with Subscriber(broker.port) as subscriber:
        until(lambda: subscriber.states, "what is retained")
        assert subscriber.on("/config") == []
    assert not (tmp_path / "home-assistant.topics").exists()


def test_a_device_that_never_published_clears_nothing(tmp_path: Path) -> None:
    assert list(DiscoveryNote(tmp_path).stale(None)) == []
    assert list(tmp_path.iterdir()) == []
