"""The highest peaks of an ambience: what would alarm first, to be listened to and judged."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from rainwatchd.audio.excerpts import excerpts
from rainwatchd.audio.files.times import Start, start_of
from rainwatchd.audio.formats import printable
from rainwatchd.audio.resampling import Resampler
from rainwatchd.audio.samples import Floats
from rainwatchd.clips.labels import SUFFIX, Label, Verdict, encode
from rainwatchd.clips.png import spectrogram_png
from rainwatchd.decision.events import utc_text
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.log_mel import LogMel
from rainwatchd.hearing.model_file import ModelFile
from rainwatchd.replay.calibration.ambience import Stretch, Values
from rainwatchd.replay.calibration.threshold import Curve
from rainwatchd.whole import write_whole

LISTED = 20

_APART_S = 30.0
"""Peaks of one class closer than this are one sound."""

_CLIP_S = 10.0

_LEAST_SCORE = 0.05
"""A lower one is nothing to listen to."""

_FALL = 0.5
"""A sound lasts as long as its score stays above this share of its peak."""


class Peak(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One loud moment; it keeps its number from run to run."""

    number: int
    file: str
    label: str
    start_s: float
    """Where the sound begins, seconds into the recording."""
    end_s: float
    peak_s: float
    """Where the window with the highest smoothed score ends."""
    score: float
    real: bool = False
    """Marked as what it was taken for, so no ambience."""

    def covers(self, other: Peak) -> bool:
        """Whether both are the same sound."""
        return (
            self.file == other.file
            and self.label == other.label
            and self.start_s <= other.peak_s <= self.end_s
        )


@dataclass(frozen=True)
class PeakList:
    """The peaks of a calibration, in its folder."""

    home: Path

    @property
    def _file(self) -> Path:
        return self.home / "peaks.json"

    def read(self) -> list[Peak]:
        """Return the peaks of the runs before; raise `RainwatchError` where they are damaged."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[Peak])
        except FileNotFoundError:
            return []
        except msgspec.DecodeError as error:
            raise RainwatchError(f"{self._file}: {error}; delete it and calibrate anew") from error

    def mark(self, numbers: Iterable[int]) -> list[Peak]:
        """Mark peaks of the runs before as real; return all, raise `RainwatchError` on others."""
        peaks, wanted = self.read(), set(numbers)
        unknown = sorted(wanted - {peak.number for peak in peaks})
        if unknown:
            known = f"1 to {max(peak.number for peak in peaks)}" if peaks else "none yet"
            raise RainwatchError(f"--true {unknown[0]}: no such peak in {self._file}; {known}")
        return [
            msgspec.structs.replace(peak, real=peak.real or peak.number in wanted) for peak in peaks
        ]

    def write(self, peaks: Sequence[Peak]) -> None:
        """Keep the peaks for the next run."""
        document = msgspec.json.format(msgspec.json.encode(list(peaks)), indent=1)
        write_whole(self._file, document + b"\n")


def highest(
    curves: dict[str, Curve], stretches: Sequence[Stretch], known: Sequence[Peak]
) -> list[Peak]:
    """Return the highest peaks of all classes, loudest first; the known ones keep their numbers."""
    found = [
        peak
        for label, curve in curves.items()
        for stretch, scores in zip(stretches, curve.smoothed, strict=True)
        for peak in _peaks_of(label, stretch, scores)
    ]
    found.sort(key=lambda peak: (-peak.score, peak.file, peak.peak_s))
    numbered = []
    fresh = max((peak.number for peak in known), default=0) + 1
    for peak in found[:LISTED]:
        before = next((old for old in known if old.covers(peak)), None)
        number = fresh if before is None else before.number
        fresh += before is None
        numbered.append(msgspec.structs.replace(peak, number=number))
    return numbered


def without(stretch: Stretch, peaks: Iterable[Peak], smoothing_s: float) -> Stretch:
    """Return what is left of a recording without its real sounds and what still smooths them."""
    keep = np.ones(stretch.end_s.size, bool)
    for peak in peaks:
        if peak.real and peak.file == printable(stretch.path):
            over = (stretch.end_s > peak.start_s) & (stretch.start_s < peak.end_s + smoothing_s)
            keep &= ~over
    return stretch if keep.all() else stretch.kept(keep)


def _peaks_of(label: str, stretch: Stretch, scores: Values) -> list[Peak]:
    peaks: list[Peak] = []
    # Only what could be among the highest is looked at closely.
    free = np.ones(scores.size, bool)
    while len(peaks) < LISTED and free.any():
        at = int(np.argmax(np.where(free, scores, -1.0)))
        score = float(scores[at])
        if score < _LEAST_SCORE:
            break
        low = scores < _FALL * score
        before, after = np.flatnonzero(low[:at]), np.flatnonzero(low[at:])
        first = int(before[-1]) + 1 if before.size else 0
        last = at + int(after[0]) - 1 if after.size else scores.size - 1
        peaks.append(
            Peak(
                number=0,
                file=printable(stretch.path),
                label=label,
                start_s=round(float(stretch.start_s[first]), 3),
                end_s=round(float(stretch.end_s[last]), 3),
                peak_s=round(float(stretch.end_s[at]), 3),
                score=round(score, 4),
            )
        )
        apart = (stretch.end_s > stretch.end_s[first] - _APART_S) & (
            stretch.end_s < stretch.end_s[last] + _APART_S
        )
        free &= ~apart
    return peaks


def write_clips(
    home: Path,
    peaks: Sequence[Peak],
    model: ModelFile,
    channel: int | None = None,
    utc_offset: timedelta | None = None,
) -> list[str]:
    """Write each peak's sound, picture and label into ``peaks/``; return what failed, by line.

    What an earlier run left there of other peaks is removed. `channel` and `utc_offset` are those
    of the hearing.
    """
    folder = home / "peaks"
    folder.mkdir(parents=True, exist_ok=True)
    complaints: list[str] = []
    written: set[str] = set()
    for file in dict.fromkeys(peak.file for peak in peaks):
        within = [peak for peak in peaks if peak.file == file]
        written.update(map(_stem, within))
        try:
            sounds = _sounds(within, channel, model.spec.sample_rate_hz)
            recorded = start_of(Path(file), utc_offset)
        except (OSError, AudioError) as error:
            numbers = ", ".join(str(peak.number) for peak in within)
            reason = error.strerror if isinstance(error, OSError) else error
            complaints.append(f"{file}: no clip of peak {numbers}: {reason}")
            continue
        for peak, samples in zip(within, sounds, strict=True):
            _write_clip(folder, peak, samples, recorded, model)
    for old in folder.iterdir():
        if old.stem not in written:
            with suppress(OSError):
                old.unlink()
    return complaints


def _write_clip(
    folder: Path, peak: Peak, samples: Floats, recorded: Start | None, model: ModelFile
) -> None:
    stem, rate_hz = _stem(peak), model.spec.sample_rate_hz
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format="FLAC", subtype="PCM_16")
    write_whole(folder / f"{stem}.flac", out.getvalue())
    picture = spectrogram_png(LogMel(model.spec.mel).push(samples))
    write_whole(folder / f"{stem}.png", picture)
    write_whole(folder / f"{stem}{SUFFIX}", encode(_label(peak, recorded, model)))


def _stem(peak: Peak) -> str:
    minutes, seconds = divmod(peak.peak_s, 60.0)
    name = Path(peak.file).stem[:40]
    return f"{peak.number:03}_{peak.label}_{name}_{int(minutes):04}m{int(seconds):02}s"


def _clip_start_s(peak: Peak) -> float:
    return max(0.0, peak.peak_s - _CLIP_S)


def _sounds(peaks: Sequence[Peak], channel: int | None, rate_hz: int) -> list[Floats]:
    """Return the seconds around the peaks of one recording, at the model's rate."""
    starts_s = map(_clip_start_s, peaks)
    spans_s = [(start_s, start_s + _CLIP_S + 2.0) for start_s in starts_s]
    sounds, recorded_hz = excerpts(Path(peaks[0].file), spans_s, channel)
    return [Resampler(recorded_hz, rate_hz).push(sound, last=True) for sound in sounds]


def _label(peak: Peak, recorded: Start | None, model: ModelFile) -> Label:
    """Label a peak as the device labels its clips: a hard negative, unless it is real."""
    first_s = _clip_start_s(peak)
    at = None
    if recorded is not None:
        at = utc_text(recorded.utc + timedelta(seconds=peak.start_s))
    # The person judged later than that, but of a verdict's time only the order counts.
    judged_at = at or utc_text(datetime.now(UTC))
    return Label(
        event_id=None,
        label=peak.label,
        start=at,
        sound_s=(max(0.0, peak.start_s - first_s), max(0.0, peak.end_s - first_s)),
        peak_score=peak.score,
        verdicts=[
            Verdict(
                verdict="true" if peak.real else "false", label=None, by="calibrate", at=judged_at
            )
        ],
        device_id="replay",
        model=model.name,
        model_digest=model.digest,
        sample_rate_hz=model.spec.sample_rate_hz,
        cut_from=(peak.file, peak.start_s),
    )
