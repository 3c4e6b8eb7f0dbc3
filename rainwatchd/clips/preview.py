"""What is published of a clip: the first seconds of its sound, small enough for a slow link."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import msgspec
import soundfile
import soxr

from rainwatchd.clips.labels import SUFFIX, decode

log = logging.getLogger(__name__)

_RATE_HZ = 8000
"""Keeps all that identifies a saw or an engine; Opus makes some 3 kB of each second of it."""

_LENGTH_S = 10.0


def preview(clip: Path) -> bytes | None:
    """Return the first seconds of a clip's sound as Ogg Opus; None if it is gone or damaged."""
    try:
        with soundfile.SoundFile(clip) as file:
            file.seek(min(file.frames, round(_begins_s(clip) * file.samplerate)))
            samples = file.read(round(_LENGTH_S * file.samplerate), dtype="float32")
            low = soxr.resample(samples, file.samplerate, _RATE_HZ)
        if not low.size:
            return None
        out = io.BytesIO()
        soundfile.write(out, low, _RATE_HZ, format="OGG", subtype="OPUS")
    except (OSError, soundfile.SoundFileError) as error:
        log.debug("clips: nothing to publish: %s", error)
        return None
    return out.getvalue()


def _begins_s(clip: Path) -> float:
    """Return where in a clip its sound begins, as its label says."""
    try:
        return decode(clip.with_suffix(SUFFIX).read_bytes()).sound_s[0]
    except (OSError, msgspec.DecodeError):
        return 0.0
