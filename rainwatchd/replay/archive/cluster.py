"""The same tasks on many machines, by Dask's scheduler; the parts are written where they are heard.

The output folder and local recordings must lie on a disk that all workers share. A task that is
done twice does no harm: its part is the same, and one rename puts it there.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rainwatchd.errors import RainwatchError
from rainwatchd.replay.archive.tasks import Outcome, Task, give_up, hear
from rainwatchd.replay.pool import TRIES

_PATIENCE_S = 15.0
"""For the scheduler to answer."""

_AHEAD = 4
"""Tasks for each thread that the scheduler knows of at a time."""


def on_cluster(address: str, tasks_for: Callable[[int], Sequence[Task]]) -> Iterator[Outcome]:
    """Hear on the workers of a scheduler, so many tasks as that many threads ask for.

    Yield what became of each recording, as it comes.
    """
    dask = _dask()
    try:
        client = dask.Client(address, timeout=_PATIENCE_S)
    except (TimeoutError, OSError, ValueError) as error:
        raise RainwatchError(f"--dask {address}: no scheduler answers there") from error
    with client:
        threads = sum(client.nthreads().values())
        waiting = iter(tasks_for(max(1, threads)))
        first = [
            _submit(client, task) for task in itertools.islice(waiting, max(1, threads) * _AHEAD)
        ]
        of = {future.key: task for future, task in first}
        going = dask.as_completed([future for future, _ in first])
        for future in going:
            task = of.pop(future.key)
            try:
                yield from future.result()
            except dask.KilledWorker:
                yield give_up(task, "a worker of the cluster died", TRIES)
            for following in itertools.islice(waiting, 1):
                fresh, _ = _submit(client, following)
                of[fresh.key] = following
                going.add(fresh)


def _dask() -> Any:
    """Its functions have no types."""
    try:
        import distributed  # noqa: PLC0415
    except ImportError as error:
        raise RainwatchError("--dask needs Dask: pip install 'rainwatchd[dask]'") from error
    return distributed


def _submit(client: Any, task: Task) -> tuple[Any, Task]:
    piece = "" if task.piece is None else f"-{task.piece.index}-{task.piece.count}"
    key = f"hear-{task.source.key}{piece}-{task.hearing.fingerprint}"
    return client.submit(hear_there, task, key=key, pure=False, retries=TRIES - 1), task


def hear_there(task: Task) -> list[Outcome]:
    """Hear on a worker, whose temporary folder is its own machine's."""
    scratch = Path(tempfile.gettempdir())
    return list(hear(replace(task, hearing=replace(task.hearing, scratch=scratch)), _silent))


def _silent(heard_s: float, part: float) -> None:
    """Tell nobody: only counts travel."""
