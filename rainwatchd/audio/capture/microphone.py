"""Sound from PortAudio."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
import time
from types import ModuleType
from typing import Any

from rainwatchd.audio.capture.losses import Lateness
from rainwatchd.audio.channels import Mixer, check_channel
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError

BLOCK_S = 0.2
"""Sound in one callback. PortAudio would choose 10 ms: a hundred wake-ups a second of Python,
which cost several times what the sound costs to analyse."""

LATENCY_S = 2.0
"""Sound that the driver holds for a machine that is busy elsewhere. PortAudio's own idea of a high
latency is two blocks: a starved board lost sound a dozen times a minute."""

MOST_CHANNELS = 8
"""A device with more is a sound server that makes as many as are asked for: it mixes better."""


@functools.cache
def portaudio() -> ModuleType:
    """Return the sounddevice module, whose import initialises PortAudio and lists the devices."""
    _silence_c()
    try:
        import sounddevice  # noqa: PLC0415
    except OSError as error:
        raise AudioError("PortAudio is missing: install the package libportaudio2") from error
    _silence_alsa()
    _shorten_periods(sounddevice)
    module: ModuleType = sounddevice
    return module


def restart_portaudio() -> None:
    """Have PortAudio list the devices anew, which it does only when it is initialised.

    Every stream must be closed. sounddevice has no public name for this.
    """
    module = portaudio()
    try:
        module._terminate()
        module._initialize()
    except module.PortAudioError as error:
        raise AudioError(f"PortAudio cannot be initialised: {error}") from error


def _silence_alsa() -> None:
    """Keep ALSA from printing forty lines about devices that nobody asked for, at each scan."""
    with contextlib.suppress(OSError):
        ctypes.CDLL("libasound.so.2").snd_lib_error_set_handler(_IGNORE)


def _silence_c() -> None:
    """Keep PortAudio from printing which of its expressions failed: what it means is raised.

    It writes to C's ``stderr``, which is neither Python's nor where glibc says why it aborts.
    """
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    nowhere = libc.fopen(b"/dev/null", b"w")
    if nowhere:
        ctypes.c_void_p.in_dll(libc, "stderr").value = nowhere


def _shorten_periods(sounddevice: ModuleType) -> None:
    """Have ALSA's buffer cut into blocks: PortAudio's four parts of it would come in bursts."""
    # Missing where PortAudio was built without ALSA.
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(sounddevice._libname)
        library.PaAlsa_SetNumPeriods(round(LATENCY_S / BLOCK_S))


_IGNORE = ctypes.CFUNCTYPE(None)(lambda: None)
"""ALSA keeps the pointer, so the function must live as long as the process."""


class Microphone:
    """One PortAudio input stream; its callback only copies into the ring.

    It neither chooses the device nor opens it again: `active`, `blocks` and `callback_age_s` tell
    a supervisor what it needs to know. Opening and closing may hang for as long as the sound
    server does.
    """

    rate_hz: int
    channels: int

    def __init__(self, device: int | None, channel: int | None, rate_hz: int | None = None) -> None:
        """`device` is PortAudio's index (None: its default); `channel` counts from 1, None: mean.

        `rate_hz` None takes the device's own rate, which needs no conversion in the driver.
        """
        self.name = "microphone"
        self.blocks = 0
        """Callbacks so far."""
        self.overflows = 0
        """Callbacks before which the driver dropped samples."""
        self._device = device
        self._channel = channel
        self._wanted_rate_hz = rate_hz
        self._mixer: Mixer | None = None
        self._stream: Any = None
        self._ring: RingBuffer | None = None
        self._arrived = threading.Event()
        self._last_callback_s = 0.0

    @property
    def active(self) -> bool:
        """Whether PortAudio believes that the stream runs; a frozen server is active too."""
        return self._stream is not None and bool(self._stream.active)

    @property
    def callback_age_s(self) -> float:
        """Time since the last callback, or since the stream was started."""
        return time.monotonic() - self._last_callback_s

    @property
    def opposed(self) -> bool:
        """Whether the channels are one sound with opposite signs, so that the mean is silent."""
        return self._mixer is not None and self._mixer.opposed

    def open(self) -> None:
        """Start the device; raise `AudioError` when it is absent, busy or has no such channel."""
        sounddevice = portaudio()
        try:
            device = sounddevice.query_devices(self._device, "input")
            self.name = f"microphone {device['name']!r}"
            has = int(device["max_input_channels"])
            check_channel(self._channel, has, self.name)
            self.channels = self._channel or (has if has <= MOST_CHANNELS else 1)
            self.rate_hz = self._wanted_rate_hz or round(device["default_samplerate"])
            self._mixer = Mixer(self._channel, self.rate_hz)
            self._stream = sounddevice.InputStream(
                device=self._device,
                channels=self.channels,
                samplerate=self.rate_hz,
                blocksize=round(BLOCK_S * self.rate_hz),
                dtype="float32",
                latency=LATENCY_S,
                callback=self._on_block,
                finished_callback=self._arrived.set,
            )
            self._lateness = Lateness(self.rate_hz)
            self._last_callback_s = time.monotonic()
            self._stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            self.close()
            raise AudioError(f"{self.name} cannot be opened: {error}") from error

    def fill(self, ring: RingBuffer, timeout_s: float) -> bool:
        """Wait for the next block; blocks before the first call are dropped. False once stopped."""
        self._ring = ring
        self._arrived.wait(timeout_s)
        self._arrived.clear()
        return self.active

    def detach(self) -> None:
        """Write no more into the ring, whatever the stream does."""
        self._ring = None

    def close(self) -> None:
        """Stop the callbacks and release the device."""
        self.detach()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close(ignore_errors=True)

    def _on_block(self, block: Floats, frames: int, _time: Any, status: Any) -> None:
        ring, mixer, now_s = self._ring, self._mixer, time.monotonic()
        missing = self._lateness.arrive(frames, now_s, dropped=bool(status.input_overflow))
        if ring is not None and mixer is not None:
            if missing:
                self.overflows += 1
                ring.skip(missing)
            ring.write(mixer.mix(block))
        self.blocks += 1
        self._last_callback_s = now_s
        self._arrived.set()
