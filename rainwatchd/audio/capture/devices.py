"""Which microphone is meant: PortAudio's indexes change with each plug, names and ports don't."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rainwatchd.audio.capture.microphone import portaudio
from rainwatchd.errors import AudioError

_ALSA_CARD = re.compile(r"\(hw:(\d+),\d+\)")
"""How PortAudio ends the names of ALSA's hardware devices."""


@dataclass(frozen=True)
class InputDevice:
    """One device that PortAudio can record from."""

    index: int
    """PortAudio's, valid until it is initialised again."""
    name: str
    channels: int
    rate_hz: int
    is_default: bool
    card_id: str | None = None
    """ALSA's name of the card, such as ``Device``: stable with one card of a kind."""
    usb_path: str | None = None
    """The port that it is plugged into, such as ``1-1.2``: stable whatever the card."""

    def __str__(self) -> str:
        """Name all ways to choose the device."""
        ways = [repr(self.name)]
        ways += [f"card:{self.card_id}"] if self.card_id else []
        ways += [f"usb:{self.usb_path}"] if self.usb_path else []
        return " = ".join(ways)


def list_devices(sysfs: Path = Path("/sys")) -> list[InputDevice]:
    """Return the devices with inputs; `AudioError` where PortAudio is missing."""
    sounddevice = portaudio()
    try:
        default = sounddevice.query_devices(kind="input")["index"]
    except (sounddevice.PortAudioError, ValueError):
        default = None
    devices = []
    for found in sounddevice.query_devices():
        if found["max_input_channels"] < 1:
            continue
        hardware = _ALSA_CARD.search(found["name"])
        card = sysfs / "class/sound" / f"card{hardware[1]}" if hardware else None
        devices.append(
            InputDevice(
                index=found["index"],
                name=found["name"],
                channels=found["max_input_channels"],
                rate_hz=round(found["default_samplerate"]),
                is_default=found["index"] == default,
                card_id=_card_id(card) if card else None,
                usb_path=_usb_path(card) if card else None,
            )
        )
    return devices


def some_devices(cards: Path = Path("/proc/asound/cards")) -> list[InputDevice]:
    """Return the devices with inputs; raise `AudioError` that says where to look if none has."""
    if devices := list_devices():
        return devices
    try:
        listed = [line.strip() for line in cards.read_text(encoding="utf-8").splitlines() if line]
    except OSError:
        listed = []
    if not any("[" in line for line in listed):
        raise AudioError(
            "no microphone: the kernel sees no sound card; is it plugged in (lsusb), does it get "
            "enough power (dmesg), is its overlay in /boot/firmware/config.txt?"
        )
    raise AudioError(
        f"no microphone, though there is a sound card ({listed[0]}); can it record (arecord -l), "
        "is another program using it, is this user in the group audio?"
    )


def choose(wanted: str | None, devices: Sequence[InputDevice]) -> InputDevice:
    """Return the one device that `wanted` means; None means the system's default.

    ``card:ID`` and ``usb:PATH`` compare whole; otherwise a whole name wins over a part of a name,
    and case doesn't matter. Raises `AudioError` listing the candidates unless there is just one.
    """
    if wanted is None:
        found = [device for device in devices if device.is_default] or list(devices)[:1]
    elif wanted.startswith("card:"):
        found = [device for device in devices if device.card_id == wanted[5:]]
    elif wanted.startswith("usb:"):
        found = [device for device in devices if device.usb_path == wanted[4:]]
    else:
        name = wanted.casefold()
        found = [device for device in devices if device.name.casefold() == name]
        found = found or [device for device in devices if name in device.name.casefold()]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(map(str, found or devices)) or "none"
    if found:
        raise AudioError(f"audio.device {wanted!r} means {len(found)} microphones: {listed}")
    what = "no microphone" if wanted is None else f"no microphone {wanted!r} (audio.device)"
    raise AudioError(f"{what}; there is: {listed}")


def _card_id(card: Path) -> str | None:
    try:
        return (card / "id").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _usb_path(card: Path) -> str | None:
    # card1/device leads to the USB interface, .../1-1/1-1.2/1-1.2:1.0.
    port, is_interface, _ = (card / "device").resolve().name.partition(":")
    return port if is_interface and re.fullmatch(r"\d+-[\d.]+", port) else None
