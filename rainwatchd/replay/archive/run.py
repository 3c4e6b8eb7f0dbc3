"""An archive heard: what there is, what of it is done, and the rest on all cores or a cluster."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from rainwatchd.config.options import Config
from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.model_file import read_model
from rainwatchd.replay.archive.fingerprint import claim, fingerprint
from rainwatchd.replay.archive.index import Index, look
from rainwatchd.replay.archive.sources import Source
from rainwatchd.replay.archive.tasks import Hearing, Outcome, Task, give_up, hear
from rainwatchd.replay.pool import Pool, Told
from rainwatchd.replay.progress import Progress, Sums
from rainwatchd.replay.replay import Replay, replay_id
from rainwatchd.replay.report import Complaints

_SCRATCH = "rainwatchd-scratch-"


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
        index = look(places, hearing, shard.holds)
        complaints = Complaints(err)
        for error in index.dead:
            complaints.say((), str(error))
        if index.recordings:
            print(index.summary, file=err, flush=True)
        return _hear(index, jobs, dask, complaints, err)


def _hear(index: Index, jobs: int, dask: str | None, complaints: Complaints, err: TextIO) -> bool:
    recordings = index.recordings
    progress = Progress(err, [task.length_s for task in recordings], of_sound=True)
    over: set[int] = set()
    kept = failures = detections = 0
    try:
        if dask is not None and recordings:
            from rainwatchd.replay.archive.cluster import on_cluster  # noqa: PLC0415

            outcomes = on_cluster(dask, index.tasks)
        else:
            outcomes = _on_cores(index.tasks(jobs), jobs, Sums(progress.follow))
        for outcome in outcomes:
            if outcome.number in over:
                # Two have heard its last pieces at once.
                continue
            over.add(outcome.number)
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
    # Another run of the same may have found that a recording has changed.
    failures += len(recordings) - len(over)
    print(
        f"{kept} of {len(recordings)} recordings done, {index.done} were done before; "
        f"{detections} detections; {failures + index.failed + len(index.dead)} not heard to "
        "their end",
        file=err,
    )
    return not (failures or index.failed or index.dead)


def _on_cores(tasks: Sequence[Task], jobs: int, sums: Sums) -> Iterator[Outcome]:
    waiting = iter(tasks)
    left = len(tasks)
    with Pool(hear, jobs) as pool:
        while left or pool.busy:
            while left and pool.free:
                pool.start(next(waiting))
                left -= 1
            for said in pool.wait():
                task = said.task
                if isinstance(said, Told):
                    sums.follow(task.number, task.piece, said.heard_s, said.part)
                    yield from said.results
                elif said.failure is not None:
                    yield give_up(task, said.failure, said.tries)


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
