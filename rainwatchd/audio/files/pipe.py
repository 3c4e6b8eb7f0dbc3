"""A WAV that comes through a pipe, which can't be read twice."""

from __future__ import annotations

import io
import os
import struct
from typing import TYPE_CHECKING

import soundfile

from rainwatchd.audio.files.chunks import is_name, tells_length
from rainwatchd.audio.files.wave import wave_header
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ENDLESS_BYTES = 1 << 50
"""A thousand years of sound."""

_COMPRESSED_BYTES = 1 << 29
"""Of compressed sound, libsndfile counts no more samples: 18 hours of ADPCM at 16 kHz."""

_LONGEST_CHUNK = 1 << 20
"""Before the sound and behind it; longer ones are none."""

_REMEMBERED_BYTES = 1 << 12
"""Of the beginning; libsndfile looks at some bytes of the sound and goes back."""

_SPARE_S = 0.05
"""A length that is wrong by less is not worth a word."""

_SPARE_BYTES = 64
"""Too few to be worth a word."""

_FORMS = (b"RIFF", b"RF64")

_NO_LENGTH = (0, 0xFFFFFFFF)
"""Lengths at which no end is to be sought."""

_UNCOMPRESSED = (1, 3, 6, 7, 0xFFFE)
"""PCM, floating point, A-law, mu-law, and what is told further on."""

_RAW = (
    "no WAV comes in; raw sound needs a header: `arecord -t wav`, or "
    "`sox -t raw -r 16000 -e signed -b 16 -c 1 - -t wav -` between"
)
_OTHER = "only WAV is read from a pipe; `sox - -t wav -` between makes it of other formats"
_OTHER_MAGICS = (b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"caff", b"\xff\xfb", b"\xff\xf3")


class PipeReader:
    """Decodes a WAV while it is written, whatever its header says about its length.

    Only what comes behind the declared end tells whether it is the end: chunks, another WAV (which
    ``arecord`` begins after 2 GiB), or more sound.
    """

    progress = 0.0
    """Nobody knows."""

    def __init__(self, descriptor: int) -> None:
        """Wait for the header; raise `AudioError` if it is none of a WAV."""
        self.frames_read = 0
        self._sound = _Sound(_Stream(descriptor))
        self._file = soundfile.SoundFile(self._sound)
        self.rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self.frames = int(self._file.frames)

    @property
    def duration_s(self) -> float:
        """What the header promises, else what has come so far."""
        promised = self._sound.promised
        return self._heard_s if promised is None else promised / self._sound.bytes_per_s

    @property
    def exceeded_s(self) -> float | None:
        """What the header promised, if more came."""
        return self.duration_s if self._sound.exceeded else None

    def read(self, frames: int) -> Floats:
        """Wait for `frames` samples, shape ``(n, channels)``; none at the end."""
        block: Floats = self._file.read(frames, dtype="float32", always_2d=True)
        self.frames_read += len(block)
        return block

    def shortfall(self) -> str | None:
        """Say at the end what has not been heard; None if all was."""
        promised_s, heard_s = self.duration_s, self._heard_s
        self._sound.finish()
        if self._sound.unheard is not None:
            return f"heard to {heard_s:.3f} s; {self._sound.unheard}"
        if promised_s - heard_s > _SPARE_S:
            return f"cut short: {heard_s:.3f} s of the {promised_s:.3f} s that were announced"
        return None if self.frames_read else "a header came in, and no sound behind it"

    def close(self) -> None:
        """Close the decoder; the descriptor is the caller's."""
        self._file.close()

    @property
    def _heard_s(self) -> float:
        return self.frames_read / self.rate_hz


class _Stream:
    """Bytes that come in, of which some can be looked at before they are taken."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = b""

    def look(self, size: int) -> bytes:
        """Wait for the next `size` bytes and leave them there; fewer only at the end."""
        while len(self._seen) < size and (
            more := os.read(self._descriptor, size - len(self._seen))
        ):
            self._seen += more
        return self._seen[:size]

    def take(self, size: int) -> bytes:
        """Wait for the next `size` bytes; fewer only at the end."""
        taken = self.look(size)
        self._seen = self._seen[size:]
        return taken

    def fill(self, view: memoryview) -> int:
        """Wait for some bytes, up to as many as fit; return how many came, 0 at the end."""
        if not self._seen:
            return os.readv(self._descriptor, [view])
        seen, self._seen = self._seen[: len(view)], self._seen[len(view) :]
        view[: len(seen)] = seen
        return len(seen)

    def drain(self) -> int:
        """Read to the end, so that whoever writes isn't cut off; return the number of bytes."""
        count = 0
        while piece := self.take(1 << 16):
            count += len(piece)
        return count


class _Sound(io.RawIOBase):
    """The sound of WAVs that come in, behind a header of our own; it can only be read on."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__()
        self.exceeded = False
        """Whether sound came behind the declared end."""
        self.unheard: str | None = None
        """What came that is no sound of this kind."""
        self._stream = stream
        self._form, claimed = _read_header(stream)
        self.bytes_per_s = _bytes_per_s(self._form)
        self.promised = _promise(claimed)
        """Bytes of sound; None if nothing told it."""
        self._claimed = claimed
        self._left = _ENDLESS_BYTES if claimed in _NO_LENGTH else claimed
        """Bytes up to the declared end."""
        self._ended = False
        plain = int.from_bytes(self._form[:2], "little") in _UNCOMPRESSED
        self._begin = wave_header(self._form, _ENDLESS_BYTES if plain else _COMPRESSED_BYTES)
        self._size = len(self._begin) + _ENDLESS_BYTES
        self._position = 0

    def tell(self) -> int:
        """Return the position; libsndfile moves it about while it reads the header, and behind."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; only the beginning can be read again."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Wait until `buffer` is full, or for the end; return the number of bytes."""
        view = memoryview(buffer).cast("B")
        again = self._begin[self._position : self._position + len(view)]
        count = len(again)
        view[:count] = again
        while count < len(view) and not self._ended:
            if self._left == 0:
                self._go_on()
                continue
            more = self._stream.fill(view[count : count + self._left])
            self._ended = not more
            if len(self._begin) < _REMEMBERED_BYTES:
                self._begin += view[count : count + more]
            count += more
            self._left -= more
        self._position += count
        return count

    def _go_on(self) -> None:
        """See what comes behind the declared end."""
        padding = self._claimed % 2
        head = self._stream.look(12 + padding)[padding:]
        if len(head) < 8:
            self._ended = True
        elif head[:4] in _FORMS and head[8:] == b"WAVE":
            self._stream.take(padding)
            self._join()
        elif _is_chunk(head):
            self._stream.take(padding)
            self._pass_chunks()
        else:
            self.exceeded = self.promised is not None
            self._left = _ENDLESS_BYTES

    def _join(self) -> None:
        """Go on with another WAV, if its sound is of the same kind."""
        try:
            form, claimed = _read_header(self._stream)
        except AudioError as error:
            form, told = b"", str(error)
        else:
            told = "another WAV that follows there is of another kind"
        if form != self._form:
            self._end(told)
            return
        promise = _promise(claimed)
        if promise is None or self.promised is None:
            self.promised = None
        else:
            self.promised += promise
        self._claimed = claimed
        self._left = _ENDLESS_BYTES if claimed in _NO_LENGTH else claimed

    def _pass_chunks(self) -> None:
        while _is_chunk(head := self._stream.look(8)) and head[:4] not in _FORMS:
            size = int.from_bytes(head[4:], "little")
            self._stream.take(8 + size + size % 2)
        if self._stream.look(4) in _FORMS:
            self._claimed = 0
            self._join()
            return
        rest = self._stream.drain()
        self._end(
            f"{rest} bytes behind the notes there are no sound" if rest > _SPARE_BYTES else None
        )

    def finish(self) -> None:
        """Take note of what libsndfile has left in the pipe."""
        if not self._ended and (rest := self._stream.drain()) > _SPARE_BYTES:
            self._end(f"{rest} bytes more came that cannot be read")

    def _end(self, unheard: str | None) -> None:
        self._stream.drain()
        self.unheard, self._ended = unheard, True


def _read_header(stream: _Stream) -> tuple[bytes, int]:
    """Read up to the sound; return the body of ``fmt `` and the claimed bytes of sound."""
    head = stream.take(12)
    if not head:
        raise AudioError("nothing came in")
    if head[:4] not in _FORMS or head[8:] != b"WAVE":
        raise AudioError(_OTHER if head.startswith(_OTHER_MAGICS) else _RAW)
    form, long_claim = b"", 0
    while len(head := stream.take(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            if not form:
                break
            return form, long_claim if size == 0xFFFFFFFF and long_claim else size
        if size > _LONGEST_CHUNK:
            break
        body = stream.take(size + size % 2)
        if name == b"fmt ":
            form = body[:size]
        elif name == b"ds64":
            long_claim = int.from_bytes(body[8:16], "little")
    raise AudioError("the WAV that comes in has no sound in it")


def _bytes_per_s(form: bytes) -> int:
    """Return it by what decoders go by; of compressed sound it is told alone."""
    tag, _, rate_hz, told, frame_bytes = struct.unpack("<HHIIH", form[:14].ljust(14, b"\0"))
    return int(max(1, rate_hz * frame_bytes if tag in _UNCOMPRESSED else told))


def _promise(claimed: int) -> int | None:
    return claimed if tells_length(claimed) else None


def _is_chunk(head: bytes) -> bool:
    """Whether it is the head of a chunk; sound looks so once in ten million times."""
    size = int.from_bytes(head[4:8], "little")
    return len(head) >= 8 and is_name(head[:4]) and size <= _LONGEST_CHUNK
