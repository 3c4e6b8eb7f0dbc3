"""An archive heard: what there is, what of it is done, and the rest on all cores or a cluster."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.model_file import read_model
from rainwatchd.replay.archive.fingerprint import claim, fingerprint
from rainwatchd.replay.archive.parts import done_parts, part_path
from rainwatchd.replay.archive.sources import Source, find_sources
from rainwatchd.replay.archive.tasks import Hearing, Outcome, Task, give_up, hear, in_order
from rainwatchd.replay.pool import Pool, Told
from rainwatchd.replay.progress import Progress
from rainwatchd.replay.replay import Replay, replay_id
from rainwatchd.replay.report import Complaints

_SCRATCH = "rainwatchd-scratch-"

Watch = Callable[[int, float, float], None]


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count` of an archive, by a hash of the recordings' places."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``i/n``; ValueError if it is none."""
        index, _, count = text.partition("/")
        shard = cls(int(index), int(count))
        if not 1 <= shard.index <= shard.count:
            raise ValueError(f"{text}: allowed are 1/N to N/N")
        return shard

    def holds(self, source: Source) -> bool:
        """Whether the recording is of this shard, on every machine the same."""
        digest = hashlib.blake2b(source.key.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index - 1


def run_archive(
    places: Sequence[Path],
    config: Config,
    out: Path,
    *,
    jobs: int,
    shard: Shard,
    scores: bool,
    dask: str | None,
    err: TextIO,
    utc_offset: timedelta | None = None,
) -> bool:
    """Hear what is not done; return whether every recording was heard to its end.

    Progress, complaints and a summary go to `err`.

    Raises `RainwatchError` where all must stop: the folder is another's, full, or unwritable.
    """
    model = read_model(config.model_path)
    mark = fingerprint(config, model, scores=scores, utc_offset=utc_offset)
    claim(out, mark)
    with _scratch() as scratch:
        hearing = Hearing(
            Replay(config, replay_id(config), utc_offset=utc_offset),
            config.model_path,
            model.digest,
            mark.digest,
            out,
            scratch,
            scores,
        )
        index = _index(places, hearing, shard)
        complaints = Complaints(err)
        for error in index.dead:
            complaints.say((), str(error))
        return _hear(index, jobs, dask, complaints, err)


@dataclass(frozen=True)
class _Index:
    tasks: list[Task]
    done: int
    failed: int
    """Of those done, how many were not heard to their end."""
    dead: list[AudioError]


def _index(places: Sequence[Path], hearing: Hearing, shard: Shard) -> _Index:
    done = done_parts(hearing.out)
    dead: list[AudioError] = []
    todo: list[Task] = []
    whole = failed = 0
    for source in find_sources(places):
        if isinstance(source, AudioError):
            dead.append(source)
        elif not shard.holds(source):
            continue
        elif done.has(part_path(hearing.out, source, hearing.fingerprint)):
            whole += 1
        elif done.has(part_path(hearing.out, source, hearing.fingerprint, failed=True)):
            failed += 1
        else:
            todo.append(Task(len(todo), source, hearing))
    return _Index(todo, whole + failed, failed, dead)


def _hear(index: _Index, jobs: int, dask: str | None, complaints: Complaints, err: TextIO) -> bool:
    tasks = index.tasks
    progress = Progress(err, [task.source.size for task in tasks], lines=True)
    kept = failures = detections = 0
    try:
        if dask is not None and tasks:
            from rainwatchd.replay.archive.cluster import on_cluster  # noqa: PLC0415

            outcomes = on_cluster(dask, in_order(tasks))
        else:
            outcomes = _on_cores(in_order(tasks), min(jobs, len(tasks)), progress.follow)
        for outcome in outcomes:
            failures += outcome.failure is not None
            if outcome.failure is not None or outcome.warnings:
                progress.clear()
            complaints.say(outcome.warnings, outcome.failure, assumed_utc=outcome.assumed_utc)
            kept += outcome.kept
            detections += outcome.detections
            progress.end(outcome.number, outcome.heard_s, failed=outcome.failure is not None)
    except KeyboardInterrupt as interrupt:
        summary = f"{progress.summary}; the same command goes on"
        raise KeyboardInterrupt(summary) from interrupt
    finally:
        progress.finish()
    complaints.finish()
    print(
        f"{kept} of {len(tasks)} recordings done, {index.done} were done before; "
        f"{detections} detections; {failures + index.failed + len(index.dead)} not heard to "
        "their end",
        file=err,
    )
    return not (failures or index.failed or index.dead)


def _on_cores(tasks: Sequence[Task], jobs: int, watch: Watch) -> Iterator[Outcome]:
    waiting = iter(tasks)
    left = len(tasks)
    with Pool(hear, jobs) as pool:
        while left or pool.busy:
            while left and pool.free:
                pool.start(next(waiting))
                left -= 1
            for said in pool.wait():
                if isinstance(said, Told):
                    watch(said.task.number, said.heard_s, said.part)
                    yield from said.results
                elif said.failure is not None:
                    yield give_up(said.task, said.failure, said.tries)


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a folder for copies, and take those away that killed runs have left."""
    above = Path(tempfile.gettempdir())
    for old in above.glob(f"{_SCRATCH}*"):
        owner = old.name.removeprefix(_SCRATCH).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(old, ignore_errors=True)
    try:
        folder = tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-")
    except OSError as error:
        raise RainwatchError(f"{above}: {error.strerror}") from error
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
