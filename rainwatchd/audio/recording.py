"""Sound from a file, or from a WAV that comes in through a pipe."""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import soundfile

from rainwatchd.audio.channels import Mixer, check_channel
from rainwatchd.audio.files.pipe import PipeReader
from rainwatchd.audio.files.reader import FileReader
from rainwatchd.audio.files.times import Start, recorded_at
from rainwatchd.audio.files.triggered import Expander, is_triggered
from rainwatchd.audio.files.wave import notes
from rainwatchd.audio.formats import UNREADABLE, how_to_convert, printable
from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.audio.zeros import Zeros
from rainwatchd.errors import AudioError

STANDARD_INPUT = Path("-")
"""Stands for what comes in from another program."""

_STDIN = 0

_BLOCK_SAMPLES = 32768
"""Read at once, over all channels. A damaged block is lost whole, so it is kept short."""

_RING_SAMPLES = 2 * _BLOCK_SAMPLES

_REALTIME_BLOCK_S = 0.1
_PIPE_BLOCK_S = 0.25
"""Waited for at once where sound is heard while it is recorded."""

_RATE_LIMITS_HZ = (1000, 1_000_000)

_LARGEST = 2.0**31
"""Beyond any integer format's full scale, and its power still fits a float."""

_MOST_FRAMES = 2**60
"""libsndfile gives more where a header has no length; it cannot read those."""


class Recording:
    """Any file that libsndfile reads, block by block, never the whole of it in memory."""

    rate_hz: int
    channels: int

    def __init__(
        self,
        path: Path,
        channel: int | None = None,
        realtime: bool = False,
        zeros_are_faults: bool = True,
    ) -> None:
        """`channel` counts from 1, None takes the mean; `realtime` paces like a microphone.

        `path` may be `STANDARD_INPUT`. `zeros_are_faults` says whether zeros deserve a warning.
        """
        self.path = path
        self._name = "standard input" if path == STANDARD_INPUT else printable(path)
        self._channel = channel
        self._realtime = realtime
        self._zeros_are_faults = zeros_are_faults
        self._descriptor: int | None = None
        self._reader: FileReader | PipeReader | None = None
        self._notes: dict[bytes, bytes] = {}
        self._expander: Expander | None = None
        self._waiting: deque[Floats | int] = deque()
        """Sound and, as numbers of samples, gaps that are not in the ring yet."""
        self._position = 0
        self._ended = False
        self._started_s = 0.0

    def open(self) -> None:
        """Read the header; raise `AudioError` when there is no sound to be had from the file."""
        reader = self._reader = self._open()
        self.rate_hz, self.channels = reader.rate_hz, reader.channels
        check_channel(self._channel, self.channels, self._name)
        low_hz, high_hz = _RATE_LIMITS_HZ
        if not low_hz <= self.rate_hz <= high_hz:
            raise AudioError(
                f"{self._name}: sample rate {self.rate_hz} Hz; allowed: {low_hz} to {high_hz}"
            )
        if reader.frames == 0:
            raise AudioError(f"{self._name}: there are no samples in it")
        if reader.frames > _MOST_FRAMES:
            raise AudioError(f"{self._name}: its header doesn't say how long it is")
        self._mixer = Mixer(self._channel, self.rate_hz)
        self._zeros = Zeros(self.rate_hz)
        if self.channels == 1 and is_triggered(self.path, self._notes.get(b"ICMT", b"")):
            self._expander = Expander(self.rate_hz)
        self._started_s = time.monotonic()

    def fill(self, ring: RingBuffer, timeout_s: float) -> bool:
        """Read one block, only as much as fits; False at the end of the file.

        What an AudioMoth left out becomes a gap in the ring. Raises `AudioError` where the file is
        damaged or cut short.
        """
        reader = self._reader
        if reader is None:
            return False
        if not self._waiting and not self._ended:
            frames = min(ring.free, max(1, _BLOCK_SAMPLES // self.channels))
            if self._realtime or isinstance(reader, PipeReader):
                block_s = _REALTIME_BLOCK_S if self._realtime else _PIPE_BLOCK_S
                frames = min(frames, round(block_s * self.rate_hz))
            if frames <= 0 or (self._realtime and not self._wait_for(frames, timeout_s)):
                return True
            self._ended = not self._hear(reader, frames, ring)
        self._pass_on(ring)
        if self._waiting or not self._ended:
            return True
        if (shortfall := reader.shortfall()) is not None:
            raise AudioError(f"{self._name}: {shortfall}")
        return False

    def items(self) -> Iterator[Chunk | Gap]:
        """Yield all that can be heard; only then raise what is wrong with the rest."""
        ring, more, wrong = RingBuffer(_RING_SAMPLES), True, None
        while more:
            try:
                more = self.fill(ring, timeout_s=1.0)
            except AudioError as error:
                more, wrong = False, error
            yield from ring
        if wrong is not None:
            raise wrong

    def close(self) -> None:
        """Close the file."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @property
    def position_s(self) -> float:
        """How much has been read, what an AudioMoth left out included."""
        return self._position / self.rate_hz

    @property
    def duration_s(self) -> float:
        """What the headers promise, as far as they have been read; where they don't, a guess."""
        return self._reader.duration_s if self._reader is not None else self.position_s

    @property
    def progress(self) -> float:
        """Share of the file that has been read, 0 to 1; of a pipe's sound nobody knows."""
        return 1.0 if self._ended or self._reader is None else self._reader.progress

    @property
    def warnings(self) -> list[str]:
        """What is odd about the recording though it was heard, a line each that names it."""
        odd = []
        reader = self._reader
        if isinstance(reader, FileReader):
            odd += reader.odd
        if reader is not None and reader.exceeded_s is not None:
            there_is = "came" if isinstance(reader, PipeReader) else "the file holds"
            odd.append(
                f"its header tells of {reader.exceeded_s:.3f} s; all that {there_is} was heard"
            )
        if self._mixer.opposed:
            odd.append(
                "its channels are the same sound with opposite signs, so their mean is silent; "
                "the loudest was heard instead (a balanced cable in a stereo socket?)"
            )
        if self._zeros_are_faults and (zeros := self._zeros.finish()) is not None:
            odd.append(f"{zeros}; was the recorder muted, or without power?")
        return [f"{self._name}: {line}" for line in odd]

    def start(self, utc_offset: timedelta | None) -> Start | None:
        """Return when the recording began; None where nothing tells it.

        `utc_offset` is that of times which don't tell it.
        """
        if self.path == STANDARD_INPUT:
            return None
        return recorded_at(self.path, self._notes, utc_offset)

    @property
    def _place(self) -> str:
        return f"{self.position_s:.3f} s"

    def _hear(self, reader: FileReader | PipeReader, frames: int, ring: RingBuffer) -> bool:
        """Read a block and line it up for the ring; False at the end."""
        try:
            block = reader.read(frames)
        except soundfile.SoundFileError as error:
            raise AudioError(f"{self._name}: damaged at {self._place}: {_reason(error)}") from error
        with np.errstate(over="ignore", invalid="ignore"):
            mono = self._mixer.mix(block)
        sound = mono[: _numbers_in(mono)]
        self._line_up(sound, last=not mono.size)
        if sound.size < mono.size:
            self._pass_on(ring)
            value = mono[sound.size]
            raise AudioError(f"{self._name}: the sample at {self._place} is no sound: {value}")
        return bool(mono.size)

    def _line_up(self, sound: Floats, last: bool) -> None:
        pieces = [sound] if self._expander is None else self._expander.push(sound, last)
        for piece in pieces:
            if isinstance(piece, int):
                self._zeros.skip(piece)
            else:
                self._zeros.push(piece)
            self._waiting.append(piece)

    def _pass_on(self, ring: RingBuffer) -> None:
        """Write into the ring what fits. A gap may be longer than the ring: it needs an empty one,
        and nothing is written behind it until it has been read."""
        while self._waiting and ring.free > 0:
            piece = self._waiting.popleft()
            if isinstance(piece, int):
                if ring.free < ring.capacity:
                    self._waiting.appendleft(piece)
                    return
                ring.skip(piece)
                self._position += piece
                continue
            fitting = piece[: ring.free]
            if fitting.size < piece.size:
                self._waiting.appendleft(piece[fitting.size :])
            ring.write(fitting)
            self._position += fitting.size

    def _wait_for(self, frames: int, timeout_s: float) -> bool:
        """Sleep until the next `frames` would have been recorded; False if that takes longer."""
        due_s = self._started_s + (self._position + frames) / self.rate_hz
        wait_s = max(0.0, due_s - time.monotonic())
        time.sleep(min(wait_s, timeout_s))
        return wait_s <= timeout_s

    def _open(self) -> FileReader | PipeReader:
        try:
            descriptor, size = self._descriptor_and_size()
            if size is None:
                return PipeReader(descriptor)
            if size == 0:
                raise AudioError("the file is empty")
            reader = FileReader(descriptor, size)
            self._notes = notes(descriptor, size)
            return reader
        except OSError as error:
            raise AudioError(f"{self._name}: {error.strerror}") from error
        except AudioError as error:
            raise AudioError(f"{self._name}: {error}") from error
        except soundfile.SoundFileError as error:
            if self.path.suffix.lower() in UNREADABLE:
                raise AudioError(
                    f"{self._name}: cannot be read; {how_to_convert(self.path)}"
                ) from error
            raise AudioError(f"{self._name}: no recording: {_reason(error)}") from error

    def _descriptor_and_size(self) -> tuple[int, int | None]:
        """Open the file; None is the size of standard input where that is a pipe."""
        piped = self.path == STANDARD_INPUT
        if not piped and self.path.is_fifo():
            # Opening it would wait for a writer.
            raise AudioError(
                "a pipe; save what comes from it in a file, or name `-` and let it in there"
            )
        descriptor = os.dup(_STDIN) if piped else os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        self._descriptor = descriptor
        state = os.fstat(descriptor)
        if stat.S_ISREG(state.st_mode):
            return descriptor, state.st_size
        if piped and not stat.S_ISDIR(state.st_mode) and not os.isatty(descriptor):
            return descriptor, None
        what = (
            "a directory" if stat.S_ISDIR(state.st_mode) else "a terminal" if piped else "a device"
        )
        raise AudioError(f"{what}, no recording")


def _numbers_in(samples: Floats) -> int:
    """Count the samples before the first that is NaN, infinite or absurd."""
    if not samples.size or float(np.abs(samples).max()) < _LARGEST:  # NaN is below nothing
        return samples.size
    return int(np.argmax(~(np.abs(samples) < _LARGEST)))


def _reason(error: soundfile.SoundFileError) -> str:
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")
