"""rainwatchd beside other ways to do the same: processor time, memory and start-up.

Each peer runs in a process of its own, on one thread, over the same recording. What is counted
begins with the file and ends with the scores; the floor alone begins with finished windows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

ROOT = Path(__file__).parents[2]
FOREST = ROOT / "tests/recordings/background/bird_whizz_forest_birds.ogg"
YAMNET = ROOT.parent / "shared/weights/yamnet"
STEP_S = 1.0
ENOUGH_CPU_S = 5.0
"""A peer hears the recording again and again until it has used this much."""

Hear = Callable[[Path], int]
"""Takes a recording, returns how many windows were scored."""


@dataclass(frozen=True)
class Figures:
    """What one peer needs."""

    name: str
    cpu_ms_per_s: float
    """Processor time per second of audio."""
    peak_mb: float
    start_s: float
    """From the start of the process to the first score."""


def rainwatchd() -> Hear:
    """The daemon's own path, from the ring buffer to detections."""
    from rainwatchd.config.options import Config
    from rainwatchd.hearing.classifier import Classifier
    from rainwatchd.hearing.model_file import PACKAGED
    from rainwatchd.replay.replay import Replay, Scored

    classifier = Classifier(PACKAGED)
    replay = Replay(Config(step_s=STEP_S), "bench")

    def hear(path: Path) -> int:
        return sum(isinstance(item, Scored) for item in replay.hear(path, classifier))

    return hear


def network_alone() -> Hear:
    """Nothing but ``session.run``, once a step."""
    from rainwatchd.hearing.classifier import Classifier
    from rainwatchd.hearing.model_file import PACKAGED

    classifier = Classifier(PACKAGED)
    spec = classifier.spec
    window = np.full((spec.n_mels, spec.window_frames), -60.0, np.float32)

    def hear(path: Path) -> int:
        steps = int((soundfile.info(path).duration - spec.window_s) / STEP_S) + 1
        for _ in range(steps):
            classifier.scores(window)
        return steps

    return hear


def librosa_and_keras() -> Hear:
    """The same networks and front-end by the tools they were trained with, window by window."""
    keras = _keras()
    import librosa

    from rainwatchd.hearing.model_file import PACKAGED, read_model
    from training.network.model import gain_control_layer, together
    from training.network.settings import WINDOWS_S, TrainingSettings

    spec = read_model(PACKAGED).spec

    def of_window(window_s: float) -> Any:
        shape = (spec.n_mels, spec.mel.frames_in(window_s))
        log_mel = keras.Input(shape)
        picture = gain_control_layer(TrainingSettings().gain_control, spec.n_mels)(log_mel)
        trunk = keras.applications.MobileNetV2((*shape, 3), include_top=False, weights=None)
        pooled = keras.layers.GlobalAveragePooling2D()(trunk(picture))
        scores = keras.layers.Dense(len(spec.labels), activation="softmax")(pooled)
        return keras.Model(log_mel, scores)

    network = together([of_window(window_s) for window_s in WINDOWS_S])
    length = spec.mel.samples_in(spec.window_frames)

    def hear(path: Path) -> int:
        samples, rate_hz = librosa.load(path, sr=spec.sample_rate_hz)
        windows = _windows(samples, length, round(STEP_S * rate_hz))
        for window in windows:
            mel = librosa.feature.melspectrogram(
                y=window,
                sr=rate_hz,
                n_fft=spec.n_fft,
                hop_length=spec.hop_length,
                n_mels=spec.n_mels,
                fmin=spec.fmin_hz,
                fmax=spec.fmax_hz,
                center=False,
            )
            network.predict_on_batch(librosa.power_to_db(mel, top_db=None)[np.newaxis])
        return len(windows)

    return hear


def article() -> Hear:
    """The article's pipeline: a picture by matplotlib of each five seconds, MobileNetV2 at 224."""
    keras = _keras()
    import librosa

    from training.baselines.picture import RATE_HZ, SIDE, drawn

    trunk = keras.applications.MobileNetV2((SIDE, SIDE, 3), include_top=False, weights=None)
    network = keras.Sequential(
        [
            trunk,
            keras.layers.Flatten(),
            keras.layers.Dense(1024, activation="relu"),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )

    def hear(path: Path) -> int:
        samples, _ = librosa.load(path, sr=RATE_HZ)
        windows = _windows(samples, 5 * RATE_HZ, round(STEP_S * RATE_HZ))
        for window in windows:
            picture = drawn(window, path.with_suffix(".png")).astype(np.float32)
            network.predict_on_batch((picture / 127.5 - 1.0)[np.newaxis])
        return len(windows)

    return hear


def yamnet() -> Hear:
    """YAMNet by LiteRT, each half second."""
    from training.baselines.yamnet import YamnetListener

    listener = YamnetListener(YAMNET)

    def hear(path: Path) -> int:
        samples, _ = soundfile.read(path, dtype="float32")
        return sum(1 for _ in listener.windows([samples]))

    return hear


PEERS: dict[str, Callable[[], Hear]] = {
    "session.run alone (the floor)": network_alone,
    "rainwatchd": rainwatchd,
    "YAMNet, LiteRT, 0.5 s step": yamnet,
    "librosa + Keras per window": librosa_and_keras,
    "the article's pipeline": article,
}


def _windows(samples: Any, length: int, step: int) -> list[Any]:
    return [samples[at : at + length] for at in range(0, samples.size - length + 1, step)]


def _keras() -> Any:
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    return keras


def _measure(name: str, recording: Path, started_s: float) -> Figures:
    """Run one peer in this process."""
    hear = PEERS[name]()
    first = recording.with_name("first.wav")
    samples, rate_hz = soundfile.read(recording)
    soundfile.write(first, samples[: 6 * rate_hz], rate_hz)
    assert hear(first) > 0
    start_s = time.time() - started_s
    duration_s = soundfile.info(recording).duration
    began_s = time.process_time()
    cpu_s, passes = 0.0, 0
    while cpu_s < ENOUGH_CPU_S:
        hear(recording)
        passes += 1
        cpu_s = time.process_time() - began_s
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Figures(name, 1000 * cpu_s / passes / duration_s, peak_mb, start_s)


def figures() -> list[Figures]:
    """Run every peer that this checkout has the files for, one after the other."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    environment = os.environ | dict.fromkeys(threads, "1")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "forest.wav"
        samples, rate_hz = soundfile.read(FOREST, dtype="float32")
        soundfile.write(recording, soxr.resample(samples, rate_hz, 16000), 16000)
        for name, peer in PEERS.items():
            if peer is yamnet and not YAMNET.exists():
                print(f"left out: {name}: no {YAMNET.name} in ../shared/weights", file=sys.stderr)
                continue
            done = subprocess.run(
                [sys.executable, "-m", __spec__.name, name, str(recording), str(time.time())],
                check=True,
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            found.append(Figures(**json.loads(done.stdout.splitlines()[-1])))
    return found


def table(found: list[Figures]) -> str:
    """Lay the figures out in Markdown."""
    ours = next(peer for peer in found if peer.name == "rainwatchd")
    lines = [
        "| | CPU ms per second of audio | x rainwatchd | peak memory, MB | first score after, s |",
        "|---|---|---|---|---|",
    ]
    for peer in found:
        ratio = peer.cpu_ms_per_s / ours.cpu_ms_per_s
        lines.append(
            f"| {peer.name} | {peer.cpu_ms_per_s:.2f} | {ratio:.2f} "
            f"| {peer.peak_mb:.0f} | {peer.start_s:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table; with arguments, measure one peer for it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.peers", description=__doc__)
    parser.add_argument("one", nargs="*", help=argparse.SUPPRESS)
    one = parser.parse_args().one
    if one:
        name, recording, started_s = one
        print(json.dumps(asdict(_measure(name, Path(recording), float(started_s)))))
    else:
        print(table(figures()))


if __name__ == "__main__":
    main()
