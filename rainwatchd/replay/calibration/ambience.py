"""Hours of a site's own sound as scores, kept on disk so that a second try takes seconds."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.formats import printable
from rainwatchd.config.options import Config
from rainwatchd.decision.smoothing import Ema, Mean
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.log_mel import FLOOR_DB
from rainwatchd.hearing.model_file import ModelFile
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.replay.batch import Batch
from rainwatchd.replay.progress import Progress, sizes_of
from rainwatchd.replay.replay import Heard, Replay, Scored, replay_id
from rainwatchd.whole import write_whole

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Stretch:
    """The scores of one recording, or of what is left of it."""

    path: Path
    start_s: Values
    """Where each window begins, seconds from the start of the recording; shape ``(n,)``."""
    end_s: Values
    """Where it ends."""
    scores: Values
    """Shape ``(n, labels)``."""
    level_dbfs: Values
    """Of each window's newest step."""

    def kept(self, mask: NDArray[np.bool_]) -> Stretch:
        """Return the windows where `mask` holds."""
        return Stretch(
            self.path,
            self.start_s[mask],
            self.end_s[mask],
            self.scores[mask],
            self.level_dbfs[mask],
        )

    def smoothed(self, column: int, rule: DecisionRule, step_s: float) -> Values:
        """Return one label's score as `rule` smooths it, shape ``(n,)``."""
        # At a thousand samples a second: the smoothing counts in whole ones.
        smooth = (Ema if rule.smoothing == "ema" else Mean)(rule.span_s, 1000, step_s)
        pairs = zip(self.end_s.tolist(), self.scores[:, column].tolist(), strict=True)
        return np.array([smooth.push(round(1000 * end_s), score) for end_s, score in pairs])


@dataclass(frozen=True)
class Ambience:
    """What was heard of all recordings."""

    stretches: tuple[Stretch, ...]
    step_s: float
    complaints: tuple[str, ...]
    """What could not be heard, or not to its end, one line each."""
    silent_s: float
    """Left out, because every sample was zero."""

    @property
    def days(self) -> float:
        """How long it is."""
        return sum(stretch.end_s.size for stretch in self.stretches) * self.step_s / 86400.0


def hear(
    recordings: Sequence[Path | AudioError],
    config: Config,
    model: ModelFile,
    home: Path,
    *,
    jobs: int,
    progress_on: TextIO,
) -> Ambience:
    """Score the recordings by the replay path, or read what an earlier run kept in `home`.

    Raises `RainwatchError` when nothing is left to calibrate on.
    """
    step_s = _step_s(config, model)
    home.mkdir(parents=True, exist_ok=True)
    complaints = [str(recording) for recording in recordings if isinstance(recording, AudioError)]
    paths = [recording for recording in recordings if isinstance(recording, Path)]
    files = {path: home / _name(path, config, model) for path in paths}
    known = {path: _read(path, file, complaints) for path, file in files.items()}
    missing = [path for path, stretch in known.items() if stretch is None]
    for path, stretch, failure in _scored(missing, config, model, jobs, progress_on):
        known[path] = stretch
        if failure is None:
            _write(files[path], stretch)
        else:
            # What could be heard of it counts, but is not kept as if it were all.
            complaints.append(failure)
    stretches = [stretch for stretch in known.values() if stretch is not None]
    loud = [stretch.kept(stretch.level_dbfs > FLOOR_DB) for stretch in stretches]
    silent = sum(stretch.end_s.size for stretch in stretches)
    silent -= sum(stretch.end_s.size for stretch in loud)
    ambience = Ambience(
        tuple(stretch for stretch in loud if stretch.end_s.size),
        step_s,
        tuple(complaints),
        silent * step_s,
    )
    if not ambience.stretches:
        reason = "every sample is zero" if silent else complaints[0] if complaints else "no sound"
        raise RainwatchError(f"nothing to calibrate on: {reason}")
    return ambience


def _step_s(config: Config, model: ModelFile) -> float:
    spec = model.spec
    frames = spec.mel.frames_in(spec.step_s if config.step_s is None else config.step_s)
    return max(1, frames) * spec.hop_length / spec.sample_rate_hz


def _scored(
    paths: Sequence[Path], config: Config, model: ModelFile, jobs: int, progress_on: TextIO
) -> Iterator[tuple[Path, Stretch, str | None]]:
    if not paths:
        return
    progress = Progress(progress_on, sizes_of(paths))
    batch = Batch(
        Replay(config, replay_id(config)),
        model.path,
        jobs=jobs,
        with_windows=True,
        watch=progress.follow,
    )
    waiting = iter(paths)
    windows: list[Scored] = []
    try:
        for item in batch.hear(paths):
            progress.take(item)
            if isinstance(item, Scored):
                windows.append(item)
            elif isinstance(item, Heard):
                path = next(waiting)
                yield path, _stretch(path, windows, len(model.spec.labels)), item.failure
                windows = []
    finally:
        progress.finish()


def _stretch(path: Path, windows: Sequence[Scored], labels: int) -> Stretch:
    return Stretch(
        path,
        np.array([window.start_s for window in windows]),
        np.array([window.end_s for window in windows]),
        np.array([window.scores for window in windows]).reshape(-1, labels),
        np.array([window.level_dbfs for window in windows]),
    )


def _name(path: Path, config: Config, model: ModelFile) -> str:
    """Name a recording's scores by all that they depend on."""
    try:
        stat = path.stat()
        state = f"{stat.st_size} {stat.st_mtime_ns}"
    except OSError:
        state = "gone"
    heard = f"{path.resolve()} {state} {model.digest} {config.step_s} {config.audio.channel_number}"
    return hashlib.sha256(heard.encode(errors="surrogateescape")).hexdigest()[:20] + ".npz"


def _write(file: Path, stretch: Stretch) -> None:
    """Write a file that is there whole or not at all."""
    out = io.BytesIO()
    np.savez_compressed(
        out,
        start_s=stretch.start_s,
        end_s=stretch.end_s,
        scores=stretch.scores.astype(np.float32),
        level_dbfs=stretch.level_dbfs.astype(np.float32),
    )
    write_whole(file, out.getvalue())


def _read(path: Path, file: Path, complaints: list[str]) -> Stretch | None:
    try:
        with np.load(file, allow_pickle=False) as kept:
            arrays = {name: kept[name].astype(np.float64) for name in _ARRAYS}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        complaints.append(f"{printable(file)}: the kept scores are damaged; run it again")
        file.unlink(missing_ok=True)
        return None
    return Stretch(path, **arrays)


_ARRAYS = ("start_s", "end_s", "scores", "level_dbfs")
