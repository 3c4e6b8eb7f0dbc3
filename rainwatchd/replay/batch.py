"""Many recordings, heard on several cores with the output in order."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.replay.replay import Heard, Item, Observer, Replay, Scored


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
