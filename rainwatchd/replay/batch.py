"""Many recordings, heard on several cores with the output in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from rainwatchd.audio.files.length import length_s
from rainwatchd.audio.formats import printable
from rainwatchd.audio.ring import Gap
from rainwatchd.errors import AudioError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import read_model
from rainwatchd.hearing.window import Window
from rainwatchd.replay.division import divide, pieces
from rainwatchd.replay.listening import Opened, Passage, Piece
from rainwatchd.replay.pool import Ended, Pool, Tell, Told
from rainwatchd.replay.progress import Sums, Watch, sizes_of
from rainwatchd.replay.replay import Found, Heard, Item, Judge, Replay, Scored

_MOST_AHEAD = 100_000
"""Items that may wait for those of an earlier recording: 50 MB of windows, or many hours' worth."""


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
        tasks = self._tasks(recordings)
        alone = self.jobs == 1 or len(tasks) == 1
        return self._hear_here(recordings) if alone else self._hear_apart(recordings, tasks)

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

    def _hear_apart(
        self, recordings: Sequence[Path | AudioError], tasks: Sequence[_Task | AudioError]
    ) -> Iterator[Item]:
        order = _InOrder()
        for turn, task in enumerate(tasks):
            if isinstance(task, AudioError):
                order.put(turn, [_unheard(task)], ended=True)
        waiting = deque(task for task in tasks if not isinstance(task, AudioError))
        joined = _Joined(self.replay, self.model)
        sums = Sums(self.watch)
        with Pool(_in_worker, self.jobs) as pool:
            while True:
                for turn, said in order.due():
                    yield from joined.take(tasks[turn], said)
                if not waiting and not pool.busy:
                    return
                while waiting and pool.free and (order.ahead < _MOST_AHEAD or not pool.busy):
                    pool.start(waiting.popleft())
                for word in pool.wait():
                    self._take(word, order, sums)

    def _take(
        self, said: Told[_Task, Item | Passage] | Ended[_Task], order: _InOrder, sums: Sums
    ) -> None:
        task = said.task
        if isinstance(said, Told):
            sums.follow(task.number, task.piece, said.heard_s, said.part)
            order.put(task.turn, said.results)
        elif said.failure is None:
            order.put(task.turn, ended=True)
        else:
            file = printable(task.recording)
            failure = (
                f"{file}: hearing it ended its process {said.tries} times ({said.failure}); "
                "left out"
            )
            order.put(task.turn, [Heard(file, 0.0, None, failure)], ended=True)

    def _tasks(self, recordings: Sequence[Path | AudioError]) -> list[_Task | AudioError]:
        """Give each recording its turn, and each piece of one that would end alone."""
        counts: dict[int, int] = {}
        lengths_s: list[float] = []
        if self.jobs > 1 and self.replay.follow is None:
            sizes = zip(recordings, sizes_of(recordings), strict=True)
            lengths_s = [
                0.0 if isinstance(recording, AudioError) else length_s(recording, size)
                for recording, size in sizes
            ]
            counts = divide(lengths_s, self.jobs)
        tasks: list[_Task | AudioError] = []
        for number, recording in enumerate(recordings):
            if isinstance(recording, AudioError):
                tasks.append(recording)
                continue
            divided = pieces(lengths_s[number], counts[number]) if number in counts else [None]
            for piece in divided:
                task = _Task(
                    len(tasks),
                    number,
                    recording,
                    piece,
                    self.replay,
                    self.model,
                    self.with_windows,
                )
                tasks.append(task)
        return tasks


@dataclass(frozen=True)
class _Task:
    turn: int
    """Its place among all tasks."""
    number: int
    """The recording's."""
    recording: Path
    piece: Piece | None
    """None is the whole."""
    replay: Replay
    model: Path
    with_windows: bool


class _Joined:
    """Judges what was heard in pieces as if it were heard in one, and lets all else pass."""

    def __init__(self, replay: Replay, model: Path) -> None:
        self._replay = replay
        self._model = model
        self._judges: dict[int, Judge] = {}
        """By the recordings' numbers."""
        self._left_out: set[int] = set()

    def take(self, task: _Task | AudioError, said: Item | Passage) -> Iterator[Item]:
        """Take what comes next of a task, the pieces of a recording one behind the other."""
        if isinstance(said, Found | Scored | Heard):
            if isinstance(task, AudioError) or task.number not in self._left_out:
                yield said
            if isinstance(task, _Task) and task.piece is not None:
                self._left_out.add(task.number)
        elif isinstance(task, _Task) and task.piece is not None:
            own = 0 if isinstance(said, Opened) else task.piece.count - 1
            wanted = isinstance(said, Window | Gap) or task.piece.index == own
            if wanted and task.number not in self._left_out:
                yield from self._judge(task).push(said)

    def _judge(self, task: _Task) -> Judge:
        if task.number not in self._judges:
            judge = self._replay.judge(read_model(self._model), printable(task.recording))
            self._judges[task.number] = judge
        return self._judges[task.number]


@dataclass
class _InOrder:
    """What comes of several tasks, given out in the order of the tasks."""

    ahead: int = 0
    """Items that wait for an earlier task's."""
    _turn: int = 0
    _items: dict[int, deque[Item | Passage]] = field(default_factory=dict)
    _ended: set[int] = field(default_factory=set)

    def put(self, turn: int, items: Sequence[Item | Passage] = (), *, ended: bool = False) -> None:
        """Take items of the task of that turn; `ended` if there are no more."""
        self._items.setdefault(turn, deque()).extend(items)
        self.ahead += len(items)
        if ended:
            self._ended.add(turn)

    def due(self) -> Iterator[tuple[int, Item | Passage]]:
        """Yield what no longer waits for anything, and whose turn it is."""
        while self._turn in self._items:
            items = self._items[self._turn]
            while items:
                self.ahead -= 1
                yield self._turn, items.popleft()
            if self._turn not in self._ended:
                return
            del self._items[self._turn]
            self._ended.remove(self._turn)
            self._turn += 1


def _unheard(error: AudioError) -> Heard:
    return Heard("", 0.0, None, str(error))


def _in_worker(task: _Task, tell: Tell) -> Iterator[Item | Passage]:
    replay, classifier = task.replay, _classifier(task.model)
    if task.piece is not None:
        yield from replay.hear_piece(task.recording, task.piece, classifier, tell)
        return
    for item in replay.hear(task.recording, classifier):
        if isinstance(item, Scored):
            tell(item.end_s, item.progress)
        if task.with_windows or not isinstance(item, Scored):
            yield item


@lru_cache(maxsize=1)
def _classifier(model: Path) -> Classifier:
    return Classifier(model)
