"""Many recordings: which they are, and hearing them on several cores with the output in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rainwatchd.audio.recording import SUFFIXES, printable
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.replay.replay import Heard, Item, Observer, Replay, Scored


def find_recordings(paths: Sequence[Path]) -> list[Path | AudioError]:
    """Spread folders into the recordings below them, in the order of their names.

    A file that is named itself is taken whatever its name. What holds no recording takes its
    place in the list as an error.
    """
    found: list[Path | AudioError] = []
    for path in paths:
        if not _is_folder(path):
            found.append(path)
            continue
        inside = _recordings_below(path)
        kinds = ", ".join(sorted(SUFFIXES))
        nothing = AudioError(
            f"{printable(path)}: no recordings in this folder (looked for {kinds})"
        )
        found += inside or [nothing]
    return list(dict.fromkeys(found))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def _recordings_below(folder: Path) -> list[Path | AudioError]:
    unread: list[AudioError] = []

    def complain(error: OSError) -> None:
        unread.append(AudioError(f"{printable(Path(error.filename))}: {error.strerror}"))

    recordings = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder, onerror=complain)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES
    )
    return [*recordings, *unread]


@dataclass(frozen=True)
class Batch:
    """Hears recordings on `jobs` cores."""

    replay: Replay
    model: Path
    jobs: int
    with_windows: bool
    """Whether windows are wanted; they needn't travel between processes otherwise."""
    observer: Observer | None = None
    """Sees each window of a single job."""

    def hear(self, recordings: Sequence[Path | AudioError]) -> Iterator[Item]:
        """Yield what is heard of each recording, in their order."""
        return self._hear_here(recordings) if self.jobs == 1 else self._hear_apart(recordings)

    def _hear_here(self, recordings: Sequence[Path | AudioError]) -> Iterator[Item]:
        classifier = Classifier(self.model)
        for recording in recordings:
            if isinstance(recording, AudioError):
                yield _unheard(recording)
            else:
                yield from self.replay.hear(recording, classifier, self.observer)

    def _hear_apart(self, recordings: Sequence[Path | AudioError]) -> Iterator[Item]:
        # Ctrl-C is the parent's to handle.
        pool = ProcessPoolExecutor(
            self.jobs,
            multiprocessing.get_context("spawn"),
            initializer=signal.signal,
            initargs=(signal.SIGINT, signal.SIG_IGN),
        )
        waiting = deque(recordings)
        running: deque[Future[list[Item]] | AudioError] = deque()
        try:
            while waiting or running:
                # A few results may wait for an earlier one; not all of them.
                while waiting and len(running) < 2 * self.jobs:
                    running.append(self._start(waiting.popleft(), pool))
                first = running.popleft()
                yield from [_unheard(first)] if isinstance(first, AudioError) else first.result()
        except BrokenProcessPool as error:
            raise RainwatchError(
                "a worker process was killed, perhaps for want of memory: try --jobs 1"
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _start(
        self, recording: Path | AudioError, pool: ProcessPoolExecutor
    ) -> Future[list[Item]] | AudioError:
        if isinstance(recording, AudioError):
            return recording
        return pool.submit(_in_worker, self.replay, self.model, recording, self.with_windows)


def _unheard(error: AudioError) -> Heard:
    return Heard("", 0.0, None, str(error))


def _in_worker(replay: Replay, model: Path, recording: Path, with_windows: bool) -> list[Item]:
    items = replay.hear(recording, _classifier(model))
    return [item for item in items if with_windows or not isinstance(item, Scored)]


@lru_cache(maxsize=1)
def _classifier(model: Path) -> Classifier:
    return Classifier(model)
