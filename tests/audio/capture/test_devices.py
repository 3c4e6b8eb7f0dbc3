"""Choosing a microphone so that the choice survives a reboot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from rainwatchd.audio.capture import devices
from rainwatchd.audio.capture.devices import InputDevice, choose, list_devices
from rainwatchd.errors import AudioError

ONBOARD = InputDevice(0, "HDA Intel: ALC (hw:0,0)", 2, 44_100, True, "PCH", None)
LEFT = InputDevice(3, "USB PnP Audio: - (hw:1,0)", 1, 48_000, False, "Device", "1-1.2")
RIGHT = InputDevice(4, "USB PnP Audio: - (hw:2,0)", 1, 48_000, False, "Device_1", "1-1.3")
ALL = [ONBOARD, LEFT, RIGHT]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, ONBOARD),
        ("hda intel", ONBOARD),
        ("USB PnP Audio: - (hw:2,0)", RIGHT),
        ("card:Device", LEFT),
        ("card:Device_1", RIGHT),
        ("usb:1-1.3", RIGHT),
    ],
)
def test_a_device_is_found_by_name_card_or_port(wanted: str | None, found: InputDevice) -> None:
    assert choose(wanted, ALL) is found


def test_an_ambiguous_name_lists_the_candidates_and_how_to_tell_them_apart() -> None:
    with pytest.raises(AudioError) as caught:
        choose("usb pnp", ALL)
    message = str(caught.value)
    assert "means 2 microphones" in message
    assert "usb:1-1.2" in message
    assert "card:Device_1" in message
    assert "HDA" not in message


@pytest.mark.parametrize("wanted", ["umik", "card:device", "usb:1-1", "usb:"])
def test_an_unknown_device_lists_what_there_is(wanted: str) -> None:
    with pytest.raises(AudioError, match=r"no microphone .*HDA Intel.*usb:1-1\.3"):
        choose(wanted, ALL)


def test_no_device_at_all_is_said() -> None:
    with pytest.raises(AudioError, match="no microphone; there is: none"):
        choose(None, [])


@pytest.mark.parametrize(
    ("cards", "hint"),
    [
        ("--- no soundcards ---\n", "the kernel sees no sound card"),
        (None, "the kernel sees no sound card"),
        (" 0 [Headphones     ]: bcm2835\n                      bcm2835\n", "can it record"),
    ],
)
def test_where_no_microphone_is_it_is_said_where_to_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cards: str | None, hint: str
) -> None:
    monkeypatch.setattr(devices, "list_devices", lambda: [])
    if cards is not None:
        (tmp_path / "cards").write_text(cards)
    with pytest.raises(AudioError, match=hint):
        devices.some_devices(tmp_path / "cards")


def test_cards_and_ports_are_read_from_sysfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A sound card can't be had here: PortAudio's list and /sys are as a Raspberry Pi shows them.
    interface = tmp_path / "devices/platform/soc/usb1/1-1/1-1.2/1-1.2:1.0"
    interface.mkdir(parents=True)
    card = tmp_path / "class/sound/card1"
    card.mkdir(parents=True)
    (card / "id").write_text("Device\n")
    (card / "device").symlink_to(interface)
    listed = [
        {"index": 0, "name": "HDMI: - (hw:0,0)", "max_input_channels": 0},
        {"index": 1, "name": "USB PnP: Audio (hw:1,0)", "max_input_channels": 1},
        {"index": 2, "name": "pulse", "max_input_channels": 32},
    ]
    listed = [device | {"default_samplerate": 44100.0} for device in listed]

    def query_devices(device: int | None = None, kind: str | None = None) -> object:
        return listed[1] if kind else listed

    fake = SimpleNamespace(query_devices=query_devices, PortAudioError=OSError)
    monkeypatch.setattr(devices, "portaudio", lambda: fake)
    assert list_devices(tmp_path) == [
        InputDevice(1, "USB PnP: Audio (hw:1,0)", 1, 44_100, True, "Device", "1-1.2"),
        InputDevice(2, "pulse", 32, 44_100, False, None, None),
    ]
