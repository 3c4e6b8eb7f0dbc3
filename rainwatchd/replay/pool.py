"""Worker processes with a pipe each: what a task gives arrives as it comes, a death costs a try.

One pipe a worker, and no lock that workers share: whoever kills one, at whatever moment, stops
no other. Once the parent is gone, however it went, Linux kills its workers; elsewhere the next word
of a worker, or its wait for a task, fails.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from rainwatchd.errors import RainwatchError

T = TypeVar("T")
R = TypeVar("R")

TRIES = 3
"""A task whose process dies so many times is given up."""

_TELL_S = 0.2
"""How often a worker says how far it is."""

_PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when the thread that started it ends."""

_PATIENCE_S = 0.5
"""For a process to be gone after it was killed."""

Tell = Callable[[float, float], None]
"""Takes the seconds of sound heard of a task, and which part of it that is, 0 to 1."""

Work = Callable[[T, Tell], Iterator[R]]
"""Does a task: yields its results, the same ones each time that it is tried."""


@dataclass(frozen=True)
class Told(Generic[T, R]):
    """What came of a task since it was last heard of."""

    task: T
    results: list[R]
    heard_s: float
    part: float


@dataclass(frozen=True)
class Ended(Generic[T]):
    """A task has come to its end."""

    task: T
    failure: str | None = None
    """How its process died, at each try."""
    tries: int = 1


class _Word(NamedTuple):
    """What goes through a worker's pipe."""

    results: list[object]
    heard_s: float
    part: float
    ended: bool


_READY = "ready"


@dataclass
class _Run(Generic[T]):
    """A task that is being done."""

    task: T
    tries: int = 1
    received: int = 0
    """Results that arrived at earlier tries or at this one, whichever were more."""
    arrived: int = 0
    """Results that arrived at this try."""


@dataclass
class _Worker(Generic[T]):
    process: BaseProcess
    pipe: Connection
    run: _Run[T] | None = None
    ready: bool = field(default=False)


class Pool(Generic[T, R]):
    """Does tasks in up to `jobs` processes. Tasks and results are pickled, and `work` by name.

    Used as a context; at its end, however it comes, no process is left. The thread that uses it
    must live as long: with it end the workers.
    """

    def __init__(self, work: Work[T, R], jobs: int) -> None:
        self._work = work
        self._jobs = jobs
        self._workers: list[_Worker[T]] = []
        self._again: list[_Run[T]] = []
        self._stillborn = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # They hold nothing that needs an orderly end.
        for worker in self._workers:
            worker.process.kill()
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(_PATIENCE_S)

    @property
    def busy(self) -> int:
        """How many tasks are not at their end."""
        return sum(worker.run is not None for worker in self._workers) + len(self._again)

    @property
    def free(self) -> bool:
        """Whether another task could be done at once."""
        return self.busy < self._jobs

    def start(self, task: T) -> None:
        """Begin a task, in a process that is free or a new one."""
        self._start(_Run(task))

    def wait(self, timeout_s: float | None = None) -> list[Told[T, R] | Ended[T]]:
        """Wait until something came of a task; an exception that ended one is raised here."""
        said: list[Told[T, R] | Ended[T]] = []
        workers = {worker.pipe: worker for worker in self._workers}
        # A worker that dies closes its pipe: that is read last, after all that it said.
        for pipe in wait(list(workers), timeout_s):
            said += self._listen(workers[pipe])  # type: ignore[index]
        again, self._again = self._again, []
        for run in again:
            self._start(run)
        return said

    def _start(self, run: _Run[T]) -> None:
        idle = next((worker for worker in self._workers if worker.run is None), None)
        worker = idle or self._hire()
        worker.run = run
        # If it has died meanwhile, listening to it will tell.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.pipe.send(run.task)

    def _hire(self) -> _Worker[T]:
        spawn = multiprocessing.get_context("spawn")
        # Ctrl-C is the parent's to handle. A new process inherits that its signal waits, and
        # says that it is to be ignored before it lets it come.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, os.getpid()), daemon=True)
            process.start()
            theirs.close()
            # Not an argument: a worker is to end with its parent before it imports all that
            # the work takes.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                ours.send(self._work)
        except OSError as error:
            raise RainwatchError(
                f"no more worker processes can be started: {error.strerror}; "
                f"try --jobs {max(1, len(self._workers))}"
            ) from error
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        worker: _Worker[T] = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _listen(self, worker: _Worker[T]) -> Iterator[Told[T, R] | Ended[T]]:
        try:
            word = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._bury(worker)
            return
        if word == _READY:
            worker.ready, self._stillborn = True, 0
        elif isinstance(word, BaseException):
            raise word
        elif worker.run is not None:
            run = worker.run
            # What an earlier try has given is not given twice.
            fresh = word.results[max(0, run.received - run.arrived) :]
            run.arrived += len(word.results)
            run.received = max(run.received, run.arrived)
            yield Told(run.task, fresh, word.heard_s, word.part)
            if word.ended:
                worker.run = None
                yield Ended(run.task, tries=run.tries)

    def _bury(self, worker: _Worker[T]) -> Iterator[Ended[T]]:
        self._workers.remove(worker)
        worker.pipe.close()
        worker.process.join()
        how = _cause(worker.process.exitcode)
        if not worker.ready and (worker.process.exitcode or 0) > 0:
            self._stillborn += 1
            if self._stillborn == TRIES:
                raise RainwatchError(f"worker processes end before they begin: {how}")
        run = worker.run
        if run is None:
            return
        if run.tries == TRIES:
            yield Ended(run.task, how, run.tries)
        else:
            self._again.append(_Run(run.task, run.tries + 1, run.received))


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return f"{name}, perhaps for want of memory" if name == "SIGKILL" else name
    return f"exit status {exitcode}"


def _serve(pipe: Connection, parent: int) -> None:
    """Be a worker of the process `parent`, until that is gone."""
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        work = pipe.recv()
        pipe.send(_READY)
        while True:
            _Voice(pipe).do(work, pipe.recv())


def _end_with(parent: int) -> None:
    """Have the kernel kill this process once its parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before that
        os._exit(1)


class _Voice:
    """Says what comes of one task: results at once when they are rare, else a bunch at a time."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._results: list[object] = []
        self._heard_s = 0.0
        self._part = 0.0
        self._told_s = 0.0

    def do(self, work: Work[T, R], task: T) -> None:
        try:
            for result in work(task, self._tell):
                self._results.append(result)
                self._speak()
        except RainwatchError as error:
            self._pipe.send(error)
        else:
            self._say(ended=True)

    def _tell(self, heard_s: float, part: float) -> None:
        self._heard_s, self._part = heard_s, part
        self._speak()

    def _speak(self) -> None:
        if time.monotonic() - self._told_s >= _TELL_S:
            self._say(ended=False)

    def _say(self, *, ended: bool) -> None:
        self._told_s = time.monotonic()
        self._pipe.send(_Word(self._results, self._heard_s, self._part, ended))
        self._results = []
