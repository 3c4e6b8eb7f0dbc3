"""The sound of a file, part after part."""

from __future__ import annotations

import os
from dataclasses import replace

import soundfile

from rainwatchd.audio.files.part import Part, PartFile
from rainwatchd.audio.files.parts import first_part, next_part, unheard_bytes
from rainwatchd.audio.files.rare import UNCHECKED
from rainwatchd.audio.samples import Floats

_SPARE_S = 0.05
"""A length that is wrong by less is not worth a word."""

_MOST_FRAMES = 1 << 60
"""libsndfile tells more where it does not know, as of a stream between two others."""

_SKIPPED_FRAMES = 1 << 15
"""At once, of what was heard before."""

_LEAST_LOST_BYTES = 8192
_LEAST_LOST_S = 0.5
"""Bytes behind compressed sound that are fewer may be anything but sound."""


class FileReader:
    """Decodes an open file of `size` bytes; ``soundfile.SoundFileError`` says why it can't.

    Where the file's header or libsndfile's guess is wrong about the length, the sound is read to
    its end all the same.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.frames_read = 0
        self.exceeded_s: float | None = None
        """What a header promised of a part that was longer."""
        self._descriptor = descriptor
        self._size = size
        self._ended_s = 0.0
        self._shortfall: str | None = None
        self._over = False
        self._odd: dict[str, None] = {}
        part = first_part(descriptor, size)
        try:
            self._open(part)
        except soundfile.SoundFileError:
            if part.whole(size):
                raise
            self._open(Part(0, size))
        self.rate_hz = int(self._file.samplerate)
        self.channels = int(self._file.channels)

    @property
    def frames(self) -> int:
        """How many there are to be read before another part, as far as libsndfile knows."""
        frames = int(self._file.frames)
        return frames if self._part.counted else min(frames, _MOST_FRAMES)

    @property
    def duration_s(self) -> float:
        """What is promised so far; where nothing is, a guess by what has been read."""
        if self._part.counted:
            return self._ended_s + self._promised_frames / self.rate_hz
        return self._read_s / max(self.progress, 1e-6)

    @property
    def progress(self) -> float:
        """Share of the file's bytes that has been read, 0 to 1."""
        part = self._part
        reached = self._reached
        if part.counted:
            share = min(1.0, self._part_frames / max(self._promised_frames, 1.0))
            reached = part.start + round(share * (part.stop - part.start))
        return min(1.0, reached / self._size) if self._size else 1.0

    def read(self, frames: int) -> Floats:
        """Return up to `frames` samples, shape ``(n, channels)``; none at the end of the last."""
        while True:
            try:
                block: Floats = self._file.read(frames, dtype="float32", always_2d=True)
            except soundfile.SoundFileError:
                # At the seam between two streams of one number libsndfile may give up.
                if not self._revise(self._following):
                    raise
                continue
            self.frames_read += len(block)
            self._part_frames += len(block)
            if len(block) or not self._go_on():
                return block

    def shortfall(self) -> str | None:
        """Say at the end what has not been heard; None if all was."""
        if self._shortfall is not None:
            return self._shortfall
        if (missing := self._missing()) is not None:
            return missing
        lost = unheard_bytes(self._descriptor, self._part, self._reached, self._size)
        lost_s = self._read_s * lost / max(1, self._size - lost)
        if lost < _LEAST_LOST_BYTES or lost_s < _LEAST_LOST_S:
            return None
        return (
            f"heard to {self._read_s:.3f} s; {lost} bytes behind that, about {lost_s:.0f} s of "
            "sound, cannot be read"
        )

    @property
    def odd(self) -> list[str]:
        """What is odd about the file though it is heard."""
        if self._file.format in UNCHECKED:
            return [
                *self._odd,
                f"length can't be checked: {self._file.format} tells none to rely on",
            ]
        return list(self._odd)

    def close(self) -> None:
        """Close the decoder; the descriptor is the caller's."""
        self._file.close()

    @property
    def _read_s(self) -> float:
        return self.frames_read / self.rate_hz

    @property
    def _promised_frames(self) -> float:
        return float(self._file.frames) * max(1.0, self._part.promised)

    @property
    def _reached(self) -> int:
        """The byte of the file up to which libsndfile has read."""
        if self._view is None:
            return os.lseek(self._descriptor, 0, os.SEEK_CUR)
        return self._part.start + max(0, self._view.tell() - len(self._part.header))

    def _open(self, part: Part) -> None:
        view = None if part.whole(self._size) else PartFile(self._descriptor, part)
        if view is None:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
        file = soundfile.SoundFile(view or self._descriptor, closefd=False)
        if part.chained is not None and file.frames > _MOST_FRAMES:
            part = replace(part, counted=False)
        self._file, self._view, self._part, self._part_frames = file, view, part, 0
        if part.odd is not None:
            self._odd[part.odd] = None
        if part.promised < 1.0 and self.exceeded_s is None:
            self.exceeded_s = file.frames * part.promised / file.samplerate

    def _missing(self) -> str | None:
        promised_s = self.duration_s
        if self._part.told_samples is not None:
            promised_s = self._ended_s + self._part.told_samples / self.rate_hz
        elif not self._part.counted:
            return None
        if promised_s - self._read_s <= _SPARE_S:
            return None
        heard = f"{self._read_s:.3f} s of the {promised_s:.3f} s"
        return f"cut short: {heard} that its header promises"

    @property
    def _following(self) -> int:
        """Where what follows begins, if that is known already; else where the file ends."""
        part = None
        if self._part.revised is not None:
            part = next_part(self._descriptor, self._part, self._reached, self._size)
        return self._size if part is None else part.start

    def _revise(self, following: int) -> bool:
        """Go on with the part that has ended, if it has more sound before `following`."""
        ended, heard = self._file, self._part_frames
        revised = self._part.revised
        part = None if revised is None else revised(self._descriptor, self._part.start, following)
        if part is None or part.instead == self._part.instead:
            return False
        self._open(part)
        ended.close()
        # libsndfile fails to seek into an Opus' last page.
        while self._part_frames < heard:
            skipped = len(self._file.read(min(_SKIPPED_FRAMES, heard - self._part_frames)))
            if not skipped:
                break
            self._part_frames += skipped
        return True

    def _go_on(self) -> bool:
        """Open what follows the part that has ended; False if that is nothing to be heard."""
        if self._over:
            return False
        part = next_part(self._descriptor, self._part, self._reached, self._size)
        if part is None or part.start <= self._part.start:
            return False
        if self._revise(part.start):
            return True
        self._shortfall = self._shortfall or self._missing()
        self._ended_s = self._read_s
        place = f"heard to {self._read_s:.3f} s; another recording that follows there"
        ended = self._file
        try:
            self._open(part)
        except soundfile.SoundFileError:
            self._shortfall, self._over = f"{place} cannot be read", True
            return False
        ended.close()
        rate_hz, channels = int(self._file.samplerate), int(self._file.channels)
        if (rate_hz, channels) != (self.rate_hz, self.channels):
            self._over = True
            self._shortfall = (
                f"{place} has {channels} channels at {rate_hz} Hz, not {self.channels} at "
                f"{self.rate_hz} Hz"
            )
            return False
        return True
