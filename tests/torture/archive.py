"""An archive heard on bad days: killed at any moment, short of descriptors or disk, growing.

Whatever came before, a run that is left alone makes the very parts of an undisturbed one, byte for
byte, and says nothing but whole lines.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import soundfile

from tests.replay.conftest import FATAL_NAMES, SITE
from tests.sounds import HZ, scene
from tests.tiny_model import write_tiny_model

ROOT = Path(__file__).parents[2]
RATE_HZ = 16000
RECORDINGS = 9
LONGEST_S = 240
PATIENCE_S = 300.0
_PROGRAM = "import sys; from rainwatchd.cli import main; sys.exit(main())"
_LIMITED = ("sh", "-c", 'ulimit "$1" "$2" && shift 2 && exec "$@"', "sh")
_ON_SMALL_DISK = 'mount -t tmpfs -o size="$1" none "$TMPDIR" && shift && exec "$@"'


class Bench:
    """What the trials of one run share: recordings, and the parts that they should come to."""

    def __init__(self, folder: Path) -> None:
        self.card = folder / "card"
        self._aside = folder / "aside"
        self.scratch = folder / "scratch"
        for path in (self.card, self._aside, self.scratch, folder / "site"):
            path.mkdir()
        (folder / "site" / "sitecustomize.py").write_text(SITE)
        self._model = folder / "model.onnx"
        write_tiny_model(self._model)
        self._env = os.environ | {
            "PYTHONPATH": f"{folder / 'site'}:{ROOT}",
            "TMPDIR": str(self.scratch),
        }
        _record(self.card)
        self.names = sorted(path.name for path in self.card.iterdir())
        self.by_address = f"file://{self.card}"
        self.expected = {}
        for number, place in enumerate((str(self.card), self.by_address)):
            out = folder / f"undisturbed{number}"
            status, said = self.hear(place, out)
            assert status == 1, said
            self.expected[place] = parts(out)
            assert len(self.expected[place]) == RECORDINGS, said

    def hide(self, rng: random.Random) -> None:
        """Let some recordings come later."""
        for name in rng.sample(self.names, rng.randint(0, RECORDINGS - 1)):
            (self.card / name).rename(self._aside / name)

    def show(self, rng: random.Random | None = None) -> None:
        """Let some of them come, or all."""
        hidden = sorted(self._aside.iterdir())
        for path in hidden if rng is None else rng.sample(hidden, rng.randint(0, len(hidden))):
            path.rename(self.card / path.name)

    def start(
        self,
        place: str,
        out: Path,
        *more: str,
        before: tuple[str, ...] = (),
    ) -> subprocess.Popen[str]:
        """Start hearing the card."""
        program = [sys.executable, "-c", _PROGRAM, "--model", str(self._model)]
        words = ["--file", place, "--out", str(out), "--scores", *(more or ("--jobs", "2"))]
        return subprocess.Popen(
            [*before, *program, *words],
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def hear(self, place: str, out: Path) -> tuple[int, str]:
        """Hear the card and leave it alone; return the exit status and what was said."""
        with self.start(place, out) as process:
            return ended(process)


Disorder = Callable[[Bench, str, Path, random.Random], None]


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Disturb some runs, then leave one alone."""
    bench = Bench(folder)
    disorders: list[Disorder] = [_kill, _kill, _kill, _two_at_once, _few_descriptors, _out_is_full]
    numbers = itertools.count()

    def trial(rng: random.Random) -> None:
        out = folder / f"out{next(numbers)}"
        place = rng.choice((str(bench.card), bench.by_address))
        small_disk = [_small_scratch] if place == bench.by_address and _may_mount(bench) else []
        try:
            bench.hide(rng)
            for _ in range(rng.randint(1, 3)):
                rng.choice([*disorders, *small_disk])(bench, place, out, rng)
                bench.show(rng)
        finally:
            bench.show()
        status, said = bench.hear(place, out)
        assert status == 1, f"{status}: {said}"
        assert " were done before; " in said.splitlines()[-1], said
        _compare(parts(out), bench.expected[place])
        assert not list(bench.scratch.iterdir()), list(bench.scratch.iterdir())
        shutil.rmtree(out)

    yield trial


def _kill(bench: Bench, place: str, out: Path, rng: random.Random) -> None:
    """Kill workers, then perhaps the parent, when some parts are there and a moment has passed."""
    process = bench.start(place, out, "--jobs", str(rng.randint(1, 3)))
    with process:
        wanted = len(parts(out)) + rng.randint(0, 4)
        until_s = time.monotonic() + rng.uniform(0.0, 6.0)
        while process.poll() is None and time.monotonic() < until_s:
            if len(parts(out)) >= wanted:
                break
            time.sleep(0.005)
        # Three deaths of one recording would be its own fault.
        for _ in range(rng.randint(0, 2)):
            time.sleep(rng.uniform(0.0, 0.3))
            workers = _workers(process.pid)
            if workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    rng.choice(workers).kill()
        time.sleep(rng.uniform(0.0, 0.3))
        workers = _workers(process.pid)
        blow = rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT, None))
        if blow is signal.SIGINT and not (out / "archive.json").exists():
            blow = signal.SIGTERM  # Python, before it is ours, answers Ctrl-C with a traceback
        if blow is not None and process.poll() is None:
            process.send_signal(blow)
        status, said = ended(process)
        assert blow is not None or status in {0, 1}, f"{status}: {said}"
    assert not psutil.wait_procs(workers, PATIENCE_S)[1], "workers outlive their parent"


def _two_at_once(bench: Bench, place: str, out: Path, rng: random.Random) -> None:
    """Hear the same card into the same folder twice at the same time."""
    with bench.start(place, out) as one:
        time.sleep(rng.uniform(0.0, 2.0))
        with bench.start(place, out) as other:
            for process in (one, other):
                status, said = ended(process)
                assert status in {0, 1}, f"{status}: {said}"


def _few_descriptors(bench: Bench, place: str, out: Path, rng: random.Random) -> None:
    """Give too few descriptors for as many workers: all is heard, or one line says why not."""
    most = rng.choice((64, 64, rng.randint(20, 40)))
    jobs = str(rng.randint(1, 9))
    with bench.start(place, out, "--jobs", jobs, before=(*_LIMITED, "-n", str(most))) as process:
        status, said = ended(process)
        assert status in {0, 1}, f"{status} with {most} descriptors: {said}"


def _out_is_full(bench: Bench, place: str, out: Path, rng: random.Random) -> None:
    """Let no file grow, as on a disk without room: one line, and nothing half written."""
    blocks = str(rng.choice((0, 1, 6)))
    before = drafts(out)
    with bench.start(place, out, before=(*_LIMITED, "-f", blocks)) as process:
        status, said = ended(process)
        assert status in {0, 1}, f"{status}: {said}"
        assert status == 0 or "File too large" in said or "not heard" in said, said
    assert drafts(out) == before, "a draft is left, where there is no room"


def _small_scratch(bench: Bench, place: str, out: Path, rng: random.Random) -> None:
    """Copy recordings to a disk that holds one at a time, or none: the others wait."""
    size = rng.choice(("100k", "400k", "8m"))
    before = ("unshare", "-rm", "sh", "-c", _ON_SMALL_DISK, "sh", size)
    with bench.start(place, out, before=before) as process:
        status, said = ended(process)
        assert status in {0, 1}, f"{status}: {said}"


def _may_mount(bench: Bench) -> bool:
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", str(bench.scratch)]
    return (
        shutil.which("unshare") is not None and not subprocess.run(command, check=False).returncode
    )


def _record(card: Path) -> None:
    rng = random.Random(3)
    for number in range(RECORDINGS - 1):
        label = rng.choice([*HZ, None])
        sound = scene(RATE_HZ, (None, 6.0), (label, rng.uniform(8.0, 12.0)), (None, 6.0))
        times = 1 + int(rng.random() ** 3 * LONGEST_S * RATE_HZ / sound.size)
        path = card / f"ridge{number % 3}_2024051{number}_060000.{rng.choice(('wav', 'flac'))}"
        soundfile.write(path, np.tile(sound, times), RATE_HZ)
    soundfile.write(card / f"{FATAL_NAMES}.wav", scene(RATE_HZ, ("storm", 9.0)), RATE_HZ)


def parts(out: Path) -> dict[str, bytes]:
    """Return every part's bytes by its name."""
    found = {}
    for path in (out / "parts").rglob("[!.]*.parquet"):
        with contextlib.suppress(FileNotFoundError):  # replaced by that of another state
            found[path.name] = path.read_bytes()
    return found


def drafts(out: Path) -> set[Path]:
    """Return what was begun and not ended."""
    return {path for path in out.rglob(".*") if path.is_file()}


def _compare(made: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert made.keys() == expected.keys(), sorted(made.keys() ^ expected.keys())
    for name, content in made.items():
        if name.endswith(".failed.parquet"):
            (row,) = pq.read_table(io.BytesIO(content)).to_pylist()
            # What ended the last of its tries may have been us.
            assert FATAL_NAMES in row["path"], row
            assert row["tries"] == 3, row
        else:
            assert content == expected[name], name


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait until a process has ended; return its status and what it said: whole lines alone."""
    try:
        _, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert "Traceback" not in said, said
    return process.returncode, said


def _workers(process_id: int) -> list[psutil.Process]:
    try:
        children = psutil.Process(process_id).children(recursive=True)
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    except psutil.NoSuchProcess:
        return []
