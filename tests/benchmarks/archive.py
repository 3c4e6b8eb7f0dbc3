"""What an archive costs beside the hearing: parts, processes, the index, resuming, a scheduler.

Costs are slopes, many recordings against few, so that no program's start is in them. The archive
of a hundred thousand is made of tiny recordings and empty parts: names alone say what is done.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import soundfile
import soxr

from rainwatchd.config.options import Config
from rainwatchd.hearing.model_file import read_model
from rainwatchd.replay.archive.fingerprint import fingerprint
from rainwatchd.replay.archive.parts import part_path
from rainwatchd.replay.archive.sources import Source, find_sources
from tests.benchmarks.hear import FOREST, ROOT, program
from tests.tiny_model import write_tiny_model

ROUNDS = 4
RECORDING_S = 600
FEW, MANY = 2, 10
RATE_HZ = 16000
FOLDERS = 100


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    value: str
    allowed: str


@dataclass(frozen=True)
class Run:
    """What one run took."""

    wall_s: float
    peak_mb: float
    """Of the parent and of its largest worker together."""
    said: str


def run(*arguments: object) -> Run:
    """Run the program to its end, and watch its memory."""
    began_s = time.monotonic()
    command = program("raise SystemExit(main())", *map(str, arguments))
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peaks: dict[int, float] = {}
    with watching(process.pid, peaks):
        _, said = process.communicate()
    parent_mb = peaks.pop(process.pid, 0.0)
    return Run(time.monotonic() - began_s, parent_mb + max(peaks.values(), default=0), said)


@contextmanager
def watching(process_id: int, peaks: dict[int, float]) -> Iterator[None]:
    """Note the peak memory of a process and of each of its children, in MB."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            try:
                family = [psutil.Process(process_id)]
                family += family[0].children(recursive=True)
                for process in family:
                    peaks[process.pid] = max(peaks.get(process.pid, 0.0), peak_mb(process.pid))
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def peak_mb(process_id: int) -> float:
    """Return a process's own peak memory."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def record(folder: Path, count: int, duration_s: float) -> Path:
    """Write recordings of forest."""
    sound, rate_hz = soundfile.read(FOREST, dtype="float32")
    sound = soxr.resample(sound, rate_hz, RATE_HZ)
    samples = np.resize(sound, round(duration_s * RATE_HZ))
    for number in range(count):
        path = folder / str(number % FOLDERS) / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, RATE_HZ)
    return folder


def hearing_rows(folder: Path, recording_s: float, rounds: int) -> list[Row]:
    """Cost of an hour of sound into an archive against a bare replay, and what two cores give.

    A borrowed machine's speed drifts by more than the cost: the two are heard at the same time, a
    core each, and change cores with each round.
    """
    few, many = (record(folder / str(n), n, recording_s) for n in (FEW, MANY))
    outs = (folder / "out" / str(number) for number in range(1 << 30))
    bare_s = archive_s = one_s = two_s = 0.0
    for number in range(rounds):
        for card, sign in ((few, -1), (many, 1)):
            bare = pinned(number % 2, "--file", card, "--json", "--jobs", 1)
            archive = pinned(1 - number % 2, "--file", card, "--out", next(outs), "--jobs", 1)
            bare_s += sign * cpu_s(bare)
            archive_s += sign * cpu_s(archive)
            one_s += sign * run("--file", card, "--out", next(outs), "--jobs", 1).wall_s
            two_s += sign * run("--file", card, "--out", next(outs), "--jobs", 2).wall_s
    more, times = archive_s / bare_s - 1, one_s / two_s
    return [
        Row("cost above a bare replay, processor time", f"{100 * more:.1f} %", "3 %"),
        Row("one core's time as a share of two cores'", f"{times:.2f} x", "at least 1.9 x"),
    ]


def pinned(core: int, *arguments: object) -> subprocess.Popen[bytes]:
    """Start the program on one core."""
    return subprocess.Popen(
        ["taskset", "-c", str(core), *program("raise SystemExit(main())", *map(str, arguments))],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Wait for a program; return the processor time that it and its workers took."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, process.args
    return usage.ru_utime + usage.ru_stime


def index_rows(folder: Path, model: Path, count: int) -> list[Row]:
    """Tell what is done of very many recordings, and what there is to do."""
    card, out = folder / "card", folder / "out"
    record(folder / "one", 1, 0.1)
    content = (folder / "one" / "0" / "0.wav").read_bytes()
    for number in range(count):
        path = card / str(number % FOLDERS) / f"{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    _, few_mb = indexed("--model", model, "--file", card / "0", "--out", folder / "few")
    index_s, many_mb = indexed("--model", model, "--file", card, "--out", folder / "many")
    mark = fingerprint(Config(model=str(model)), read_model(model), scores=False, utc_offset=None)
    for source in find_sources([card]):
        assert isinstance(source, Source)
        part = part_path(out, source, mark.digest)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    done = run("--model", model, "--file", card, "--out", out)
    assert f"{count} were done before" in done.said, done.said
    return [
        Row(f"index of {count} recordings", f"{index_s:.1f} s", "10 s"),
        Row("memory for it", f"{many_mb - few_mb:+.0f} MB", "+100 MB"),
        Row(f"resuming a finished archive of {count}", f"{done.wall_s:.1f} s", "15 s"),
    ]


def indexed(*arguments: object) -> tuple[float, float]:
    """Run the program until it says what there is; return seconds and its peak memory in MB."""
    began_s = time.monotonic()
    process = subprocess.Popen(
        program("raise SystemExit(main())", *map(str, arguments)),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        said = process.stderr.readline()
        assert "recordings" in said, said
        took_s, peak = time.monotonic() - began_s, peak_mb(process.pid)
        process.kill()
    return took_s, peak


def memory_row(folder: Path, model: Path, few: int, many: int) -> Row:
    """Peak memory of hearing many short recordings against few."""
    peaks = []
    for count in (few, many):
        card = record(folder / str(count), count, 1.0)
        peaks.append(run("--model", model, "--file", card, "--out", folder / f"out{count}").peak_mb)
    return Row(
        f"peak memory, {many} recordings against {few}",
        f"{peaks[1]:.0f} against {peaks[0]:.0f} MB",
        f"+{0.001 * (many - few):.0f} MB",
    )


def dask_row(folder: Path, model: Path, few: int, many: int) -> Row:
    """Processor time of a scheduler for each recording."""
    cpu_s = []
    with cluster() as (address, scheduler):
        for count in (few, many):
            card = record(folder / str(count), count, 1.0)
            before = sum(scheduler.cpu_times()[:2])
            hear = ("--model", model, "--file", card, "--out", folder / f"out{count}")
            done = run(*hear, "--dask", address)
            assert f"{count} of {count} recordings done" in done.said, done.said
            cpu_s.append(sum(scheduler.cpu_times()[:2]) - before)
    each_ms = 1000 * (cpu_s[1] - cpu_s[0]) / (many - few)
    return Row("Dask's scheduler, a recording", f"{each_ms:.1f} ms", "5 ms")


@contextmanager
def cluster() -> Iterator[tuple[str, psutil.Process]]:
    """Run a scheduler and a worker of one thread; give the address, and the scheduler's process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    here = ("--host", "127.0.0.1", "--no-dashboard")
    scheduler = _dask("scheduler", "--port", str(port), *here)
    worker = _dask("worker", address, "--nthreads", "1", *here)
    try:
        yield address, psutil.Process(scheduler.pid)
    finally:
        for process in (worker, scheduler):
            process.send_signal(signal.SIGTERM)
            process.wait()


def _dask(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def measured(count: int, recording_s: float, rounds: int) -> Iterator[Row]:
    """Yield the figures as they come."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiny = folder / "tiny.onnx"
        write_tiny_model(tiny)
        yield from hearing_rows(folder / "hearing", recording_s, rounds)
        yield from index_rows(folder / "index", tiny, count)
        yield memory_row(folder / "memory", tiny, count // 100, count // 5)
        yield dask_row(folder / "dask", tiny, count // 500, count // 50)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.archive", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="of recordings in the index")
    parser.add_argument("--recording-s", type=float, default=RECORDING_S, help="of those heard")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    print("| an archive | | at most |\n|---|---|---|", flush=True)
    for row in measured(options.count, options.recording_s, options.rounds):
        print(f"| {row.name} | {row.value} | {row.allowed} |", flush=True)


if __name__ == "__main__":
    main()
