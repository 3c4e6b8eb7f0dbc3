"""Sound from a file."""

from __future__ import annotations

import os
import re
import shlex
import time
from pathlib import Path

import numpy as np
import soundfile

from rainwatchd.audio.channels import check_channel, to_mono
from rainwatchd.audio.formats import UNREADABLE, how_to_convert, printable
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError

_BLOCK_SAMPLES = 32768
"""Read at once, over all channels. A damaged block is lost whole, so it is kept short."""

_REALTIME_BLOCK_S = 0.1

_RATE_LIMITS_HZ = (1000, 1_000_000)

_LARGEST = 2.0**31
"""Beyond any integer format's full scale, and its power still fits a float."""

_MOST_FRAMES = 2**60
"""libsndfile gives more where a FLAC made by a pipe has no length; it cannot read those."""

_CORRECTED = re.compile(
    r"^ *(?:data|SSND|Data Size|riff|Riff size) +: (\d+) \(should be ([1-9]\d*)\)", re.MULTILINE
)
"""What libsndfile says of a length that it corrected in WAV, AIFF, AU, W64 and RF64."""

_UNKNOWN_BYTES = 0x7FFFF000
"""Lengths from here on are what programs write that stream to a pipe and cannot know better."""


class Recording:
    """Any file that libsndfile reads, block by block, never the whole of it in memory."""

    rate_hz: int
    channels: int
    duration_s: float
    """What the header promises."""

    def __init__(self, path: Path, channel: int | None = None, realtime: bool = False) -> None:
        """`channel` counts from 1, None takes the mean; `realtime` paces like a microphone."""
        self.path = path
        self._name = printable(path)
        self._channel = channel
        self._realtime = realtime
        self._file: soundfile.SoundFile | None = None
        self._frames_read = 0
        self._started_s = 0.0

    def open(self) -> None:
        """Read the header; raise `AudioError` when there is no sound to be had from the file."""
        self._refuse_pipe()
        try:
            file = soundfile.SoundFile(os.fsencode(self.path))
        except soundfile.SoundFileError as error:
            raise AudioError(f"{self._name}: {self._why_not(error)}") from error
        self._file = file
        self.rate_hz = file.samplerate
        self.channels = file.channels
        check_channel(self._channel, self.channels, self._name)
        low_hz, high_hz = _RATE_LIMITS_HZ
        if not low_hz <= self.rate_hz <= high_hz:
            raise AudioError(
                f"{self._name}: sample rate {self.rate_hz} Hz; allowed: {low_hz} to {high_hz}"
            )
        if file.frames == 0:
            raise AudioError(
                f"{self._name}: its header says that it has no samples; if the recorder was cut "
                f"off while writing, `sox --ignore-length {shlex.quote(self._name)} mended.wav` "
                "may save it"
            )
        if file.frames > _MOST_FRAMES:
            raise AudioError(
                f"{self._name}: its header doesn't say how long it is; "
                f"`sox {shlex.quote(self._name)} mended.flac` writes one that does"
            )
        self.duration_s = _promised_frames(file) / self.rate_hz
        self._started_s = time.monotonic()

    def fill(self, ring: RingBuffer, timeout_s: float) -> bool:
        """Read one block, only as much as fits; False at the end of the file.

        Raises `AudioError` where the file is damaged or cut short.
        """
        file = self._file
        if file is None:
            return False
        frames = min(ring.free, max(1, _BLOCK_SAMPLES // self.channels))
        if self._realtime:
            frames = min(frames, round(_REALTIME_BLOCK_S * self.rate_hz))
            if not self._wait_for(frames, timeout_s):
                return True
        mono = self._read(file, frames)
        sound = mono[: _numbers_in(mono)]
        ring.write(sound)
        self._frames_read += sound.size
        if sound.size < mono.size:
            value = mono[sound.size]
            raise AudioError(f"{self._name}: the sample at {self._place} is no sound: {value}")
        if mono.size == frames:
            return True
        self._check_length()
        return False

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def position_s(self) -> float:
        """How much has been read."""
        return self._frames_read / self.rate_hz

    @property
    def _place(self) -> str:
        return f"{self.position_s:.3f} s"

    def _wait_for(self, frames: int, timeout_s: float) -> bool:
        """Sleep until the next `frames` would have been recorded; False if that takes longer."""
        due_s = self._started_s + (self._frames_read + frames) / self.rate_hz
        wait_s = max(0.0, due_s - time.monotonic())
        time.sleep(min(wait_s, timeout_s))
        return wait_s <= timeout_s

    def _read(self, file: soundfile.SoundFile, frames: int) -> Floats:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise AudioError(f"{self._name}: damaged at {self._place}: {_reason(error)}") from error
        with np.errstate(over="ignore", invalid="ignore"):
            return to_mono(block, self._channel)

    def _why_not(self, error: soundfile.SoundFileError) -> str:
        try:
            with self.path.open("rb") as file:
                if not file.read(1):
                    return "the file is empty"
        except OSError as reason:
            return str(reason.strerror)
        if self.path.suffix.lower() in UNREADABLE:
            return f"cannot be read; {how_to_convert(self.path)}"
        return f"no recording: {_reason(error)}"

    def _refuse_pipe(self) -> None:
        """Opening one would wait for a writer, and libsndfile wants to seek."""
        try:
            pipe = self.path.is_fifo()
        except OSError:
            return
        if pipe:
            raise AudioError(f"{self._name}: a pipe; save what comes from it in a file first")

    def _check_length(self) -> None:
        if self.duration_s - self.position_s > 0.05:
            raise AudioError(
                f"{self._name}: cut short: {self._place} of the {self.duration_s:.3f} s "
                "that its header promises"
            )


def _numbers_in(samples: Floats) -> int:
    """Count the samples before the first that is NaN, infinite or absurd."""
    if not samples.size or float(np.abs(samples).max()) < _LARGEST:  # NaN is below nothing
        return samples.size
    return int(np.argmax(~(np.abs(samples) < _LARGEST)))


def _reason(error: soundfile.SoundFileError) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")


def _promised_frames(file: soundfile.SoundFile) -> float:
    """Frames by the header. libsndfile quietly corrects the length of a file cut short."""
    promise = _CORRECTED.search(file.extra_info)
    if promise is None or int(promise[1]) >= _UNKNOWN_BYTES:
        return float(file.frames)
    return float(file.frames * max(1.0, int(promise[1]) / int(promise[2])))
