"""Many recordings, heard on several cores with the output in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from rainwatchd.audio.formats import printable
from rainwatchd.errors import AudioError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.replay.pool import Ended, Pool, Tell, Told
from rainwatchd.replay.replay import Heard, Item, Replay, Scored

_MOST_AHEAD = 100_000
"""Items that may wait for those of an earlier recording: 50 MB of windows, or many hours' worth."""

Watch = Callable[[int, float, float], None]
"""Told of the recording of that number, counted from 0: seconds heard, and which part that is."""


def nobody(number: int, heard_s: float, part: float) -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class Batch:
    """Hears recordings on `jobs` cores."""

    replay: Replay
    model: Path
    jobs: int
    with_windows: bool
    """Whether windows are wanted; they needn't travel between processes otherwise."""
    watch: Watch = nobody

    def hear(self, recordings: Sequence[Path | AudioError]) -> Iterator[Item]:
        """Yield what is heard of each recording, in their order, as soon as its turn has come."""
        return self._hear_here(recordings) if self.jobs == 1 else self._hear_apart(recordings)

    def _hear_here(self, recordings: Sequence[Path | AudioError]) -> Iterator[Item]:
        classifier = Classifier(self.model)
        for number, recording in enumerate(recordings):
            if isinstance(recording, AudioError):
                yield _unheard(recording)
                continue
            for item in self.replay.hear(recording, classifier):
                if isinstance(item, Scored):
                    self.watch(number, item.end_s, item.progress)
                yield item

    def _hear_apart(self, recordings: Sequence[Path | AudioError]) -> Iterator[Item]:
        waiting = deque(
            _Task(number, recording, self.replay, self.model, self.with_windows)
            for number, recording in enumerate(recordings)
            if not isinstance(recording, AudioError)
        )
        order = _InOrder()
        for number, recording in enumerate(recordings):
            if isinstance(recording, AudioError):
                order.put(number, [_unheard(recording)], ended=True)
        with Pool(_in_worker, self.jobs) as pool:
            yield from order.due()
            while waiting or pool.busy:
                while waiting and pool.free and (order.ahead < _MOST_AHEAD or not pool.busy):
                    pool.start(waiting.popleft())
                for said in pool.wait():
                    self._take(said, order)
                    yield from order.due()

    def _take(self, said: Told[_Task, Item] | Ended[_Task], order: _InOrder) -> None:
        number = said.task.number
        if isinstance(said, Told):
            self.watch(number, said.heard_s, said.part)
            order.put(number, said.results)
        elif said.failure is None:
            order.put(number, ended=True)
        else:
            file = printable(said.task.recording)
            failure = (
                f"{file}: hearing it ended its process {said.tries} times ({said.failure}); "
                "left out"
            )
            order.put(number, [Heard(file, 0.0, None, failure)], ended=True)


@dataclass(frozen=True)
class _Task:
    number: int
    recording: Path
    replay: Replay
    model: Path
    with_windows: bool


@dataclass
class _InOrder:
    """Items of several recordings, given out in the order of the recordings."""

    ahead: int = 0
    """Items that wait for an earlier recording's."""
    _turn: int = 0
    _items: dict[int, deque[Item]] = field(default_factory=dict)
    _ended: set[int] = field(default_factory=set)

    def put(self, number: int, items: Sequence[Item] = (), *, ended: bool = False) -> None:
        """Take items of the recording of that number; `ended` if there are no more."""
        self._items.setdefault(number, deque()).extend(items)
        self.ahead += len(items)
        if ended:
            self._ended.add(number)

    def due(self) -> Iterator[Item]:
        """Yield what no longer waits for anything."""
        while self._turn in self._items:
            items = self._items[self._turn]
            while items:
                self.ahead -= 1
                yield items.popleft()
            if self._turn not in self._ended:
                return
            del self._items[self._turn]
            self._ended.remove(self._turn)
            self._turn += 1


def _unheard(error: AudioError) -> Heard:
    return Heard("", 0.0, None, str(error))


def _in_worker(task: _Task, tell: Tell) -> Iterator[Item]:
    for item in task.replay.hear(task.recording, _classifier(task.model)):
        if isinstance(item, Scored):
            tell(item.end_s, item.progress)
        if task.with_windows or not isinstance(item, Scored):
            yield item


@lru_cache(maxsize=1)
def _classifier(model: Path) -> Classifier:
    return Classifier(model)
