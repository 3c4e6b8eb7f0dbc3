"""The folder of evidence: files that appear whole, within a quota, what is worth least going first.

A clip goes with its label and its picture. What nobody asked for goes first, so near misses before
alerts; what a person has judged goes last, and never for its age: it is what a model learns from.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from rainwatchd.clips.labels import SUFFIX, Label, Verdict, decode, encode
from rainwatchd.whole import DRAFT, write_whole

log = logging.getLogger(__name__)

_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z_[A-Za-z0-9-]+_[0-9a-f]{12}\.(flac|json|png)")
"""What `clip_name` makes. Nothing else in the folder is counted or removed."""

_CLOCK_WAS_SET_S = 1577836800.0
"""2020-01-01. A file from before was written while the clock was not set: its age is unknown."""


def clip_name(start: str | None, label: str, event_id: str) -> str:
    """Name an event's recording by its start in UTC, so that names sort by time."""
    stamp = "unknown" if start is None else start.replace("-", "").replace(":", "")
    return f"{stamp}_{re.sub(r'[^A-Za-z0-9]', '-', label)}_{event_id[-12:]}.flac"


class Quota(NamedTuple):
    """What the folder may hold."""

    max_bytes: int
    max_age_s: float
    min_free_bytes: int
    """Space on the file system that is left to others."""


class _Clip(NamedTuple):
    """The files of one recording."""

    stem: str
    names: tuple[str, ...]
    size_bytes: int
    written_s: float
    """When the newest of them was."""


class _Worth(NamedTuple):
    """What a label says of how long its clip should stay."""

    judged: bool
    near_miss: bool
    label: str
    peak_score: float


class ClipStore:
    """Keeps clips in `directory` within a quota; thread-safe.

    Methods raise ``OSError`` as the disk does.
    """

    def __init__(
        self,
        directory: Path,
        quota: Quota,
        wall: Callable[[], float] = time.time,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._directory = directory
        self._quota = quota
        self._wall = wall
        self._free_bytes = free_bytes
        self._lock = threading.RLock()
        self._worth: dict[str, _Worth] = {}

    def prepare(self) -> None:
        """Make the folder; remove what a killed run had not finished; read the labels."""
        with self._lock:
            self._directory.mkdir(parents=True, exist_ok=True)
            for part in self._directory.glob(f".*{DRAFT}"):
                part.unlink(missing_ok=True)
            for path in self._directory.glob(f"*{SUFFIX}"):
                label = self._read(path)
                if label is not None:
                    self._worth[path.stem] = _worth(label)

    def has_room(self, needed_bytes: int) -> bool:
        """Whether so much can be made to fit; removes nothing."""
        folder = self._directory
        place = next(path for path in (folder, *folder.parents) if path.exists())
        try:
            free_bytes = self._free_bytes(place)
            if free_bytes - needed_bytes < self._quota.min_free_bytes and place == folder:
                free_bytes += sum(clip.size_bytes for clip in self._clips())
            return (
                os.access(place, os.W_OK)
                and free_bytes - needed_bytes >= self._quota.min_free_bytes
            )
        except OSError:
            return False

    def make_room(self, needed_bytes: int) -> bool:
        """Remove clips until `needed_bytes` fit; False if they do not fit even then.

        For what is larger than the whole quota none is removed.
        """
        with self._lock:
            self._directory.mkdir(parents=True, exist_ok=True)
            if needed_bytes > self._quota.max_bytes:
                return False
            clips = self._clips()
            total_bytes = sum(clip.size_bytes for clip in clips)
            for clip in clips:
                fits = self._fits(total_bytes + needed_bytes, needed_bytes)
                if not fits or self._expired(clip):
                    self._remove(clip)
                    total_bytes -= clip.size_bytes
            return self._fits(total_bytes + needed_bytes, needed_bytes)

    def add(self, name: str, data: bytes) -> None:
        """Write a file that is there whole or not at all, even after a power cut."""
        with self._lock:
            write_whole(self._directory / name, data)

    def label(self, clip: str, label: Label) -> None:
        """Write the label of the recording `clip` beside it."""
        stem = Path(clip).stem
        with self._lock:
            self.add(stem + SUFFIX, encode(label))
            self._worth[stem] = _worth(label)

    def judge(self, event_id: str, verdict: Verdict) -> bool:
        """Write a verdict into the label of an event's clip; False if there is no such clip."""
        with self._lock:
            for path in self._directory.glob(f"*_{event_id[-12:]}{SUFFIX}"):
                label = self._read(path)
                if label is not None and label.event_id == event_id:
                    judged = label.judge(verdict)
                    if judged != label:
                        self.label(path.name, judged)
                    return True
        return False

    def weakest_near_misses(self, label: str, day: str, count: int) -> list[tuple[float, str]]:
        """Return the peak score and stem of a day's near misses that are not among `count` best.

        The best of them comes last. `day` is how the names begin: ``20240512``. Judged ones do not
        count.
        """
        with self._lock:
            ranked = sorted(
                (worth.peak_score, stem)
                for stem, worth in self._worth.items()
                if worth.near_miss and not worth.judged and worth.label == label
                if stem.startswith(day)
            )
            return ranked[: max(0, len(ranked) - count)]

    def remove(self, stem: str) -> None:
        """Remove a clip with all that belongs to it."""
        with self._lock:
            for clip in self._clips():
                if clip.stem == stem:
                    self._remove(clip)

    def _read(self, path: Path) -> Label | None:
        try:
            return decode(path.read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            log.warning("clips: %s: no label: %s", path, error)
            return None

    def _clips(self) -> list[_Clip]:
        """Return every clip, what is worth least first."""
        files: dict[str, list[tuple[str, int, float]]] = defaultdict(list)
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name):
                    stat = entry.stat(follow_symlinks=False)
                    stem = entry.name.rpartition(".")[0]
                    files[stem].append((entry.name, stat.st_size, stat.st_mtime))
        clips = [
            _Clip(
                stem,
                tuple(name for name, _, _ in parts),
                sum(size for _, size, _ in parts),
                max(written for _, _, written in parts),
            )
            for stem, parts in files.items()
        ]
        return sorted(clips, key=lambda clip: (self._rank(clip.stem), clip.stem))

    def _rank(self, stem: str) -> int:
        worth = self._worth.get(stem)
        if worth is None:
            return 1
        return 2 if worth.judged else 1 - worth.near_miss

    def _remove(self, clip: _Clip) -> None:
        for name in clip.names:
            (self._directory / name).unlink(missing_ok=True)
        self._worth.pop(clip.stem, None)

    def _fits(self, total_bytes: int, needed_bytes: int) -> bool:
        left_bytes = self._free_bytes(self._directory) - needed_bytes
        return total_bytes <= self._quota.max_bytes and left_bytes >= self._quota.min_free_bytes

    def _expired(self, clip: _Clip) -> bool:
        age_s = self._wall() - clip.written_s
        old = clip.written_s > _CLOCK_WAS_SET_S and age_s > self._quota.max_age_s
        return old and self._rank(clip.stem) < 2


def _worth(label: Label) -> _Worth:
    return _Worth(label.judged, label.near_miss, label.label, label.peak_score)
