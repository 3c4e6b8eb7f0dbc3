from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from rainwatchd.errors import RainwatchError
from rainwatchd.replay.pool import Ended, Pool, Tell, Told

ROOT = Path(__file__).parents[2]


def count(task: tuple[int, str], tell: Tell) -> Iterator[int]:
    """Yield numbers; the word says what happens half-way."""
    last, word = task
    for number in range(last):
        tell(number, number / last)
        yield number
        if number == last // 2:
            halfway(word)


def halfway(word: str) -> None:
    if word == "die":
        # What was said may be lost or not: both are right.
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "refuse":
        raise RainwatchError("no")
    elif word.startswith("once ") and not Path(word[5:]).exists():
        Path(word[5:]).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    elif word == "stay":
        time.sleep(600)


def run(
    pool: Pool[tuple[int, str], int], tasks: list[tuple[int, str]]
) -> tuple[dict[tuple[int, str], list[int]], dict[tuple[int, str], Ended[tuple[int, str]]]]:
    results: dict[tuple[int, str], list[int]] = {task: [] for task in tasks}
    ends = {}
    waiting = list(tasks)
    while waiting or pool.busy:
        while waiting and pool.free:
            pool.start(waiting.pop(0))
        for said in pool.wait():
            if isinstance(said, Told):
                results[said.task] += said.results
            else:
                ends[said.task] = said
    return results, ends


def test_a_task_that_kills_its_process_costs_itself_alone() -> None:
    tasks = [(5, ""), (9, "die"), (7, ""), (3, "")]
    with Pool(count, 2) as pool:
        results, ends = run(pool, tasks)
    for task in (tasks[0], *tasks[2:]):
        assert results[task] == list(range(task[0]))
        assert ends[task].failure is None
    dead = ends[9, "die"]
    assert (dead.failure, dead.tries) == ("SIGKILL, perhaps for want of memory", 3)


def test_a_second_try_gives_nothing_twice(tmp_path: Path) -> None:
    task = (9, f"once {tmp_path / 'mark'}")
    with Pool(count, 1) as pool:
        results, ends = run(pool, [task])
    assert results[task] == list(range(9))
    assert (ends[task].failure, ends[task].tries) == (None, 2)


def test_an_error_for_people_comes_through() -> None:
    with Pool(count, 2) as pool, pytest.raises(RainwatchError, match="no"):
        run(pool, [(5, "refuse")])


def test_nobody_is_left_behind_when_the_pool_is_left() -> None:
    with Pool(count, 2) as pool:
        pool.start((3, "stay"))
        while not any(isinstance(said, Told) for said in pool.wait()):
            pass
        workers = [worker.process for worker in pool._workers]
    assert not any(worker.is_alive() for worker in workers)


def test_workers_killed_at_random_moments_cost_no_result() -> None:
    """With a pool that shares one pipe this ends in a broken pool after a kill or two."""
    rng = random.Random(3)
    tasks = [(number, "") for number in range(2000, 2012)]
    done = threading.Event()
    with Pool(count, 2) as pool:

        def kill() -> None:
            # Some task may meet three deaths; that is said, and costs no other.
            while not done.wait(rng.uniform(0.2, 0.8)):
                rng.choice(pool._workers).process.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            results, ends = run(pool, tasks)
        finally:
            done.set()
            killer.join()
    for task in tasks:
        if ends[task].failure is None:
            assert results[task] == list(range(task[0]))
    assert len(ends) == len(tasks)


def started(program: str) -> tuple[subprocess.Popen[str], IO[str]]:
    """Start Python with a program; return it and what it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGHUP"])
def test_workers_end_with_their_parent(name: str) -> None:
    program = (
        # Whatever runs the tests may ignore it, as nohup does.
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
        "from rainwatchd.replay.pool import Pool\n"
        "from tests.replay.test_pool import endless\n"
        "if __name__ == '__main__':\n"
        "    with Pool(endless, 2) as pool:\n"
        "        pool.start(1); pool.start(2)\n"
        "        while True:\n"
        "            pool.wait(); print(*(w.process.pid for w in pool._workers), flush=True)\n"
    )
    process, said = started(program)
    workers = [psutil.Process(int(pid)) for pid in said.readline().split()]
    process.send_signal(signal.Signals[name])
    process.wait(60)
    _, alive = psutil.wait_procs(workers, 60)
    assert not alive
    said.close()


def test_workers_end_with_their_parent_while_they_import(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; print('importing', flush=True); time.sleep(99)")
    program = (
        "import sys, types\n"
        "from rainwatchd.replay.pool import Pool\n"
        "slow = sys.modules['slow'] = types.ModuleType('slow')\n"
        "exec('def work(task, tell): yield task', vars(slow))\n"
        f"sys.path.append({str(tmp_path)!r})\n"
        "with Pool(slow.work, 1) as pool:\n"
        "    pool.start(1)\n"
        "    print(pool._workers[0].process.pid, flush=True)\n"
        "    pool.wait()\n"
    )
    process, said = started(program)
    lines = [said.readline().strip() for _ in range(2)]
    worker = psutil.Process(int(lines[0]))
    assert lines[1] == "importing"
    process.kill()
    process.wait(60)
    _, alive = psutil.wait_procs([worker], 60)
    assert not alive
    said.close()


def endless(task: int, tell: Tell) -> Iterator[int]:
    """Hear for ever."""
    while True:
        time.sleep(0.05)
        tell(float(task), 0.5)
        yield task
