"""One labelled clip, and its samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from rainwatchd.audio.samples import Floats
from rainwatchd.errors import RainwatchError

LABELS = ("background", "chainsaw", "engine", "storm", "other")
"""What a clip may be called. ``other`` must not raise an alert though it may sound like one."""

USES = ("train", "train-nc", "evaluate")
"""What a clip's licence allows: a model under any licence, one for non-commercial use, or none:
measuring only."""


class DataError(RainwatchError):
    """The labelled data cannot be used; says which file or class and how to mend it."""


@dataclass(frozen=True)
class Clip:
    """A sound file with its label and where it comes from."""

    path: Path
    recording: str
    """Clips of one recording share it; a split never has it on two sides."""
    label: str
    """One of `LABELS`."""
    sub_label: str
    source: str
    """The collection that the clip was taken from."""
    duration_s: float
    use: str = "train"
    """One of `USES`."""
    fold: int | None = None
    """The collection's own fold, from 1, where it has one."""
    license: str = ""
    license_checked: str = ""
    attribution: str = ""
    machine_like: float = 0.0
    """How sure another tagger was of a machine in it, 0 to 1: a hint at hard negatives."""
    foreign: float = 0.0
    """How sure it was of speech, music, an alarm or clatter in it."""


LICENCES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "open": ("Apache-2.0", ("train",)),
    "non-commercial": ("CC-BY-NC-4.0", ("train", "train-nc")),
}
"""What a model may be published as: its SPDX identifier, and the uses that may train it."""


def publishable(clips: Iterable[Clip], licence: str = "open") -> list[Clip]:
    """Return the clips that may train a model under `licence`, one of `LICENCES`."""
    _, uses = LICENCES[licence]
    return [clip for clip in clips if clip.use in uses]


def load(clip: Clip, rate_hz: int) -> Floats:
    """Return the clip's samples at `rate_hz`, channels averaged, float32 of shape ``(n,)``.

    Raises `DataError` when the file cannot be read or holds no finite sound.
    """
    try:
        samples, file_rate_hz = soundfile.read(clip.path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(_unreadable(clip.path, error)) from error
    mono = samples.mean(axis=1)
    if mono.size == 0 or not np.isfinite(mono).all():
        raise DataError(_unreadable(clip.path, "no samples, or samples that are not numbers"))
    resampled: Floats = soxr.resample(mono, file_rate_hz, rate_hz).astype(np.float32)
    return resampled


def duration_s(path: Path) -> float:
    """Length of a sound file in seconds; `DataError` when it cannot be opened or is empty."""
    try:
        info = soundfile.info(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(_unreadable(path, error)) from error
    if info.frames <= 0:
        raise DataError(_unreadable(path, "it holds no samples"))
    return float(info.frames / info.samplerate)


def check_readable(clips: Iterable[Clip]) -> None:
    """Open every clip's header; raise one `DataError` that counts the bad ones and names three."""
    reasons = []
    for clip in clips:
        try:
            duration_s(clip.path)
        except DataError as error:
            reasons.append(str(error))
    if reasons:
        more = f" (and {len(reasons) - 3} more)" if len(reasons) > 3 else ""
        raise DataError("; ".join(reasons[:3]) + more)


def check_present(clips: Iterable[Clip]) -> None:
    """Raise one `DataError` that counts the files that aren't there and names three."""
    missing = [clip.path for clip in clips if not clip.path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of the recordings {'is' if len(missing) == 1 else 'are'} missing "
            f"({', '.join(map(str, missing[:3]))}{', ...' if len(missing) > 3 else ''}): "
            "fetch them, or take their rows out"
        )


def digest(clips: Sequence[Clip]) -> str:
    """SHA-256 over the clips' labels, recordings and bytes, whatever their order or folder."""
    entries = []
    for clip in clips:
        try:
            content = hashlib.sha256(clip.path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(_unreadable(clip.path, error)) from error
        entries.append(f"{clip.label}\t{clip.recording}\t{content}\n")
    return hashlib.sha256("".join(sorted(entries)).encode()).hexdigest()


def _unreadable(path: Path, reason: object) -> str:
    return f"{path}: cannot be read as sound ({reason}); mend it or take it out of the data"
