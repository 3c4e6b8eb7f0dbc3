"""What hearing costs beside the network: log-mel, decoding, memory, start-up.

Times are processor time, the least of several rounds in which ours and the reference take turns,
so that a busy machine changes the ratio little.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rainwatchd.cli import NUMPY_SETTINGS

os.environ.update(NUMPY_SETTINGS)

import numpy as np
import soundfile
import soxr

from rainwatchd.audio.samples import Floats
from rainwatchd.config.options import Config
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.log_mel import LogMel, MelSpec
from rainwatchd.hearing.model_file import PACKAGED, read_model
from rainwatchd.hearing.model_spec import ModelSpec
from rainwatchd.replay.replay import Replay
from rainwatchd.replay.report import JsonLines
from tests.tiny_model import write_tiny_model

ROOT = Path(__file__).parents[2]
FOREST = ROOT / "tests/recordings/background/bird_whizz_forest_birds.ogg"

ROUNDS = 15
WINDOW_S = 5
LIBROSA_RATE_HZ = 22050


@dataclass(frozen=True)
class Row:
    """One line of the table: ours, what it is held against, and how far it may go."""

    name: str
    ours: str
    reference: str
    ratio: float
    allowed: float
    """The most that `ratio` may be."""


class Mute:
    """Stands in for the classifier and costs nothing: the scores rise and fall by a fixed plan."""

    name = "mute 1"

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self._window = 0

    def scores(self, _log_mel: Floats) -> tuple[float, ...]:
        """Let the second label be heard 20 windows in 60."""
        self._window += 1
        loud = 0.9 if self._window % 60 < 20 else 0.05
        return (1.0 - loud, loud, *[0.0] * (len(self.spec.labels) - 2))


def least_ms(works: list[Callable[[], object]], rounds: int = ROUNDS) -> list[float]:
    """Return the least processor time of each, in milliseconds; they take turns."""
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for index, work in enumerate(works):
            began_s = time.process_time()
            work()
            best[index] = min(best[index], (time.process_time() - began_s) * 1000)
    return best


def librosa_mel(samples: Floats, spec: MelSpec | None = None) -> Callable[[], object]:
    """One call over the window: librosa's own defaults, or the model's parameters."""
    import librosa

    options: dict[str, Any] = {"sr": LIBROSA_RATE_HZ}
    if spec is not None:
        options = {
            "sr": spec.sample_rate_hz,
            "n_fft": spec.n_fft,
            "hop_length": spec.hop_length,
            "n_mels": spec.n_mels,
            "fmin": spec.fmin_hz,
            "fmax": spec.fmax_hz,
        }

    def call() -> object:
        return librosa.feature.melspectrogram(y=samples, **options)

    call()
    return call


def log_mel_rows(spec: MelSpec, samples: Floats) -> list[Row]:
    """A second of new sound by our stream, against five seconds by librosa at each step."""
    log_mel = LogMel(spec)
    second = samples[: spec.sample_rate_hz]
    same = samples[: WINDOW_S * spec.sample_rate_hz]
    default = soxr.resample(same, spec.sample_rate_hz, LIBROSA_RATE_HZ)
    ours_ms, default_ms, same_ms = least_ms(
        [lambda: log_mel.push(second), librosa_mel(default), librosa_mel(same, spec)], 60
    )
    name = f"log-mel at a 1 s step, against librosa over {WINDOW_S} s"
    return [
        Row(f"{name}, its defaults", ms(ours_ms), ms(default_ms), ours_ms / default_ms, 1 / 5),
        Row(f"{name}, our parameters", ms(ours_ms), ms(same_ms), ours_ms / same_ms, 1 / 5),
    ]


def all_but_inference(folder: Path, spec: ModelSpec, samples: Floats) -> list[Row]:
    """Decode to output with a mute classifier, per second of audio, against one librosa call."""
    seconds = samples.size / spec.sample_rate_hz
    wide = soxr.resample(samples, spec.sample_rate_hz, 44100)
    plain, flac = folder / "plain.wav", folder / "stereo.flac"
    soundfile.write(plain, samples, spec.sample_rate_hz)
    soundfile.write(flac, np.stack((wide, np.roll(wide, 9)), axis=1), 44100)
    replay = Replay(Config(), "bench")

    def hear(path: Path) -> None:
        report = JsonLines(io.StringIO())
        for item in replay.hear(path, Mute(spec)):  # type: ignore[arg-type]
            report.take(item)

    window = soxr.resample(
        samples[: WINDOW_S * spec.sample_rate_hz], spec.sample_rate_hz, LIBROSA_RATE_HZ
    )
    works = [lambda: hear(plain), lambda: hear(flac), librosa_mel(window)]
    plain_ms, flac_ms, librosa_ms = least_ms(works)
    rows = []
    for name, total_ms, allowed in (
        (f"WAV at {spec.sample_rate_hz} Hz", plain_ms, 1 / 4),
        ("FLAC, 44.1 kHz, stereo", flac_ms, 1 / 2),
    ):
        each_ms = total_ms / seconds
        title = f"all but inference, a second of {name}, against one such librosa call"
        rows.append(Row(title, ms(each_ms), ms(librosa_ms), each_ms / librosa_ms, allowed))
    return rows


def inference(model: Path, spec: ModelSpec, samples: Floats) -> Row:
    """The floor: bare ``session.run`` of a window, against the same librosa call."""
    classifier = Classifier(model)
    log_mel = LogMel(spec.mel).push(samples[: spec.mel.samples_in(spec.window_frames)])
    window = soxr.resample(
        samples[: WINDOW_S * spec.sample_rate_hz], spec.sample_rate_hz, LIBROSA_RATE_HZ
    )
    ours_ms, librosa_ms = least_ms([lambda: classifier.scores(log_mel), librosa_mel(window)], 60)
    name = f"inference alone ({classifier.name}), a window"
    return Row(name, ms(ours_ms), ms(librosa_ms), ours_ms / librosa_ms, float("inf"))


def memory_rows(folder: Path, model: Path, hours: float) -> list[Row]:
    """Peak memory of a replay, a long one against a short one and against the limit."""
    peaks_mb = []
    for name, duration_s in (("minute.flac", 60.0), ("long.flac", 3600 * hours)):
        path = folder / name
        write_long(path, duration_s)
        peaks_mb.append(peak_mb("--model", str(model), "--file", str(path)))
    short_mb, long_mb = peaks_mb
    return [
        Row(
            f"peak memory, {hours:g} hours against a minute (at most 10 MB more)",
            f"{long_mb:.1f} MB",
            f"{short_mb:.1f} MB",
            long_mb / short_mb,
            (short_mb + 10.0) / short_mb,
        ),
        Row("peak memory of that replay", f"{long_mb:.1f} MB", "120 MB", long_mb / 120, 1.0),
    ]


def peak_mb(*arguments: str) -> float:
    """Run the program; return its own peak memory.

    What the parent learns of a child (``ru_maxrss``) begins with the parent's own size.
    """
    call = (
        "status = main(); import pathlib, sys\n"
        "lines = pathlib.Path('/proc/self/status').read_text().splitlines()\n"
        "print(next(line for line in lines if line.startswith('VmHWM')), file=sys.stderr)\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        program(call, *arguments), cwd=ROOT, check=True, capture_output=True, text=True
    )
    return int(done.stderr.split()[-2]) / 1024


def write_long(path: Path, duration_s: float) -> None:
    """Write a sound that is quickly coded: one second, again and again."""
    second = np.tile(np.sin(2 * np.pi * np.arange(160) / 160), 100).astype(np.float32)
    with soundfile.SoundFile(path, "w", 16000, 1) as file:
        for _ in range(round(duration_s)):
            file.write(second)


def start_row(model: Path) -> Row:
    """``rainwatchd --version`` against importing librosa and computing one mel spectrogram."""
    mel = (
        "import numpy, librosa\n"
        "librosa.feature.melspectrogram(y=numpy.zeros(110250, numpy.float32), sr=22050)"
    )
    version = program("main()", "--version", "--model", str(model))
    ours_s = min(cpu_s(version) for _ in range(5))
    librosa_s = min(cpu_s([sys.executable, "-c", mel]) for _ in range(3))
    return Row(
        "`rainwatchd --version`, against librosa's import and one mel",
        f"{ours_s:.2f} s",
        f"{librosa_s:.2f} s",
        ours_s / librosa_s,
        0.3,
    )


def program(call: str, *arguments: str) -> list[str]:
    """Return a command that runs the program from this checkout."""
    return [sys.executable, "-c", f"from rainwatchd.cli import main; {call}", *arguments]


def cpu_s(command: list[str]) -> float:
    """Run a command; return the processor time that it took."""
    began = os.times()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    ended = os.times()
    return ended.children_user + ended.children_system - began.children_user - began.children_system


def ms(milliseconds: float) -> str:
    """Write a time."""
    return f"{milliseconds:.2f} ms"


def rows(hours: float) -> list[Row]:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = PACKAGED
        if not model.exists():
            model = folder / "tiny.onnx"
            write_tiny_model(model)
        spec = read_model(model).spec
        samples, rate_hz = soundfile.read(FOREST, dtype="float32")
        samples = soxr.resample(samples, rate_hz, spec.sample_rate_hz)
        return [
            *log_mel_rows(spec.mel, samples),
            *all_but_inference(folder, spec, samples),
            inference(model, spec, samples),
            start_row(model),
            *memory_rows(folder, model, hours),
        ]


def table(hours: float = 10.0) -> str:
    """Lay the figures out in Markdown."""
    lines = ["| | ours | reference | ratio | at most |", "|---|---|---|---|---|"]
    for row in rows(hours):
        allowed = "-" if row.allowed == float("inf") else f"{row.allowed:.2f}"
        lines.append(f"| {row.name} | {row.ours} | {row.reference} | {row.ratio:.2f} | {allowed} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hear", description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0, help="of the long recording")
    print(table(parser.parse_args().hours))


if __name__ == "__main__":
    main()
