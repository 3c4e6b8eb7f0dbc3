"""A WAV that comes through a pipe, which can't be read twice."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from rainwatchd.audio.files.chunks import UNKNOWN_BYTES
from rainwatchd.audio.files.wave import wave_header
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ENDLESS_BYTES = 1 << 50
"""A thousand years of sound."""

_LONGEST_CHUNK = 1 << 20
"""Before the sound; longer ones are none."""

_RAW = (
    "no WAV comes in; raw sound needs a header: `arecord -t wav`, or "
    "`sox -t raw -r 16000 -e signed -b 16 -c 1 - -t wav -` between"
)
_OTHER = "only WAV is read from a pipe; `sox - -t wav -` between makes it of other formats"
_OTHER_MAGICS = (b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff", b"\xff\xfb", b"\xff\xf3")


class PipeReader:
    """Decodes a WAV while it is written; its header may say nothing about its length."""

    exceeded_s: float | None = None
    progress = 0.0
    """Nobody knows."""

    def __init__(self, descriptor: int) -> None:
        """Wait for the header; raise `AudioError` if it is none of a WAV."""
        self.frames_read = 0
        form, claimed = _read_header(descriptor)
        self._pipe = _Pipe(descriptor, wave_header(form, _ENDLESS_BYTES))
        self._file = soundfile.SoundFile(self._pipe)
        self.rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.frames = int(self._file.frames)
        block_bytes = int.from_bytes(form[12:14], "little")
        known = 0 < claimed < UNKNOWN_BYTES and block_bytes > 0
        self._claimed = claimed // block_bytes if known else None

    @property
    def duration_s(self) -> float:
        """What the header promises, else what has come so far."""
        frames = self.frames_read if self._claimed is None else self._claimed
        return frames / self.rate_hz

    def read(self, frames: int) -> Floats:
        """Wait for `frames` samples, shape ``(n, channels)``; none at the end."""
        if self._claimed is not None:
            frames = min(frames, self._claimed - self.frames_read)
        block: Floats = np.zeros((0, self.channels), np.float32)
        if frames > 0:
            block = self._file.read(frames, dtype="float32", always_2d=True)
        self.frames_read += len(block)
        return block

    def shortfall(self) -> str | None:
        """Say at the end what has not been heard; None if all was."""
        heard_s = self.frames_read / self.rate_hz
        if self.duration_s - heard_s > 0.05:
            return f"cut short: {heard_s:.3f} s of the {self.duration_s:.3f} s that were announced"
        rest = self._pipe.drain() if self._claimed is not None else 0
        if rest > _LONGEST_CHUNK:
            return f"heard the {heard_s:.3f} s that were announced; {rest} bytes more came"
        return None

    def close(self) -> None:
        """Close the decoder; the descriptor is the caller's."""
        self._file.close()


class _Pipe(io.RawIOBase):
    """A pipe behind a header that was read of it, as a file that can only be read on."""

    def __init__(self, descriptor: int, header: bytes) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._header = header
        self._position = 0

    def tell(self) -> int:
        """Return the position; libsndfile moves it about while it reads the header."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; only what is next can be read."""
        end = len(self._header) + _ENDLESS_BYTES
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: end}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Wait until `buffer` is full, or for the end; return the number of bytes."""
        view = memoryview(buffer).cast("B")
        header = self._header[self._position : self._position + len(view)]
        view[: len(header)] = header
        count = len(header)
        while count < len(view) and (more := os.readv(self._descriptor, [view[count:]])):
            count += more
        self._position += count
        return count

    def drain(self) -> int:
        """Read to the end, so that whoever writes isn't cut off; return the number of bytes."""
        count = 0
        while piece := os.read(self._descriptor, 1 << 16):
            count += len(piece)
        return count


def _read_header(descriptor: int) -> tuple[bytes, int]:
    """Read up to the sound; return the body of ``fmt `` and the claimed bytes of sound."""
    head = _read(descriptor, 12)
    if not head:
        raise AudioError("nothing came in")
    if head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
        raise AudioError(_OTHER if head.startswith(_OTHER_MAGICS) else _RAW)
    form, long_claim = b"", 0
    while len(head := _read(descriptor, 8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            if not form:
                break
            return form, long_claim if size == 0xFFFFFFFF and long_claim else size
        if size > _LONGEST_CHUNK:
            break
        body = _read(descriptor, size + size % 2)
        if name == b"fmt ":
            form = body[:size]
        elif name == b"ds64":
            long_claim = int.from_bytes(body[8:16], "little")
    raise AudioError("the WAV that comes in has no sound in it")


def _read(descriptor: int, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := os.read(descriptor, size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
