"""What staying costs: memory and processor time of the live daemon, and how it gets over faults.

The daemon is real, and so are the sound server and the broker; every core but one is kept busy.
Hours of sound go through the same daemon faster than real time, in place of the microphone.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from rainwatchd.cli import NUMPY_SETTINGS

os.environ.update(NUMPY_SETTINGS)

import numpy as np
import psutil
import soundfile
import soxr

from rainwatchd.alerts.broker.mqtt import MqttOptions
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.config.options import Config
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.log_mel import FLOOR_DB
from rainwatchd.hearing.model_file import PACKAGED
from rainwatchd.service.daemon import Daemon
from rainwatchd.service.signals import Signals
from tests.benchmarks.descriptors import Descriptors
from tests.benchmarks.hear import FOREST, LIBROSA_RATE_HZ, WINDOW_S, least_ms, librosa_mel
from tests.broker import Broker, Subscriber, running
from tests.live import LiveDaemon
from tests.microphone import RATE_HZ, SoundServer
from tests.tiny_model import write_tiny_model

CHAINSAW = FOREST.parents[1] / "chainsaw/esc10_008_1-64398-A.ogg"

SAMPLE_S = 5.0
"""Between two looks at the daemon's memory."""

WARM_UP_S = 600.0
"""Of sound, after which memory may grow by no more than 1 MB an hour."""

SOURCE_RATE_HZ = 16_000
_BLOCK = SOURCE_RATE_HZ * 4


def minute() -> np.ndarray:
    """A minute of forest at the sound server's rate, twelve seconds of it with a chainsaw."""
    samples = 0.3 * np.resize(at_sink_rate(FOREST), 60 * RATE_HZ)
    samples[10 * RATE_HZ : 22 * RATE_HZ] += np.resize(at_sink_rate(CHAINSAW), 12 * RATE_HZ)
    return samples


def at_sink_rate(path: Path) -> np.ndarray:
    """Return a recording as the sound server plays it, shape ``(n,)``."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ))


def five_seconds() -> np.ndarray:
    """What librosa is given at once, at its own default rate."""
    assert RATE_HZ == LIBROSA_RATE_HZ
    return minute()[: WINDOW_S * RATE_HZ].astype(np.float32)


def busy() -> None:
    """Keep a core busy."""
    while True:
        pass


@contextmanager
def loaded_cores() -> Iterator[None]:
    """Load every core but one."""
    workers = [
        multiprocessing.Process(target=busy, daemon=True)
        for _ in range(max(1, len(os.sched_getaffinity(0)) - 1))
    ]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()


@contextmanager
def live(folder: Path, model: Path, broker: Broker) -> Iterator[tuple[LiveDaemon, SoundServer]]:
    """A sound server with a daemon that isn't started yet."""
    (folder / "pulse").mkdir(parents=True)
    server = SoundServer(folder / "pulse")
    server.start()
    mqtt = {"port": broker.port, "backoff_max_s": 2}
    daemon = LiveDaemon(folder, server.environment, model=str(model), mqtt=mqtt)
    try:
        yield daemon, server
    finally:
        daemon.close()
        server.stop()


def growth_mb_per_hour(at_s: list[float], memory_mb: list[float]) -> float:
    """Return the slope of a straight line through the samples."""
    return float(np.polyfit(np.array(at_s) / 3600.0, memory_mb, 1)[0])


def soak(folder: Path, model: Path, broker: Broker, duration_s: float) -> list[str]:
    """Listen in real time beside a loaded core; return lines of the table."""
    with live(folder, model, broker) as (daemon, server), Subscriber(broker.port) as subscriber:
        server.play(np.tile(minute(), round(duration_s / 60) + 2))
        daemon.start()
        daemon.until(lambda: daemon.heartbeats, "the first window", 60)
        assert daemon.process is not None
        process = psutil.Process(daemon.process.pid)
        began_s, cpu_s = time.monotonic(), sum(process.cpu_times()[:2])
        at_s: list[float] = []
        memory_mb: list[float] = []
        descriptors = Descriptors(process.pid)
        # In turns with the daemon and seconds apart, so that a busy machine and cold caches slow
        # all three.
        classifier = Classifier(model)
        spec = classifier.spec
        log_mel = np.full((spec.n_mels, spec.window_frames), FLOOR_DB, np.float32)
        librosa = librosa_mel(five_seconds())
        inference_ms: list[float] = []
        librosa_ms: list[float] = []
        with loaded_cores():
            while (passed_s := time.monotonic() - began_s) < duration_s:
                daemon.until(lambda: True, "notifications")
                if passed_s > min(WARM_UP_S, duration_s / 2):
                    at_s.append(passed_s)
                    memory_mb.append(process.memory_info().rss / 2**20)
                    descriptors.look()
                inference_ms += least_ms([lambda: classifier.scores(log_mel)], 1)
                librosa_ms += least_ms([librosa], 1)
                time.sleep(SAMPLE_S)
        heard_s = time.monotonic() - began_s
        cpu_ms = 1000 * (sum(process.cpu_times()[:2]) - cpu_s) / heard_s
        status = Path(f"/proc/{process.pid}/status").read_text().split()
        peak_mb = int(status[status.index("VmHWM:") + 1]) / 1024
        daemon.until(lambda: subscriber.on("/health"), "a health message", 90)
        health = subscriber.on("/health")[-1].json
        found = len(subscriber.detections)
        daemon.stop()
    windows = 1.0 / spec.step_s
    once_ms = float(np.mean(inference_ms))
    rest_ms = cpu_ms - windows * once_ms
    settled = duration_s >= 2 * WARM_UP_S
    growth = f"{growth_mb_per_hour(at_s, memory_mb):.2f}" if settled else "not settled yet"
    return [
        f"| real time, minutes | {heard_s / 60:.0f} | |",
        f"| detections received | {found} | |",
        f"| overruns, other cores loaded | {health['overruns']} | 0 |",
        f"| gaps | {health['gaps']} | 0 |",
        f"| latency of scores, s | {health['latency_s']} | |",
        f"| peak memory, MB | {peak_mb:.1f} | 130 |",
        f"| memory growth after {WARM_UP_S / 60:.0f} minutes, MB an hour | {growth} | 1 |",
        f"| file descriptors | {descriptors} | constant |",
        f"| processor a second of sound, ms | {cpu_ms:.2f} | |",
        f"| of it beyond {windows:g} inferences of {once_ms:.2f} ms, ms | {rest_ms:.2f} "
        f"| {np.mean(librosa_ms):.2f}: one librosa mel of {WINDOW_S} s |",
    ]


class EndlessSound:
    """In place of the microphone: hours of sound, as fast as the daemon takes them."""

    rate_hz = SOURCE_RATE_HZ
    channels = 1
    drops = 0
    recovering = stuck = False

    def __init__(self, duration_s: float, signals: Signals) -> None:
        self._left = round(duration_s * SOURCE_RATE_HZ)
        self._signals = signals
        self._heard = 0
        minute_long = np.interp(
            np.arange(60 * SOURCE_RATE_HZ) / SOURCE_RATE_HZ,
            np.arange(60 * RATE_HZ) / RATE_HZ,
            minute(),
        )
        self._minute = minute_long.astype(np.float32)
        self.at_s: list[float] = []
        self.memory_mb: list[float] = []
        self.descriptors = Descriptors(os.getpid())

    def open(self) -> None:
        """Nothing is to be opened."""

    def close(self) -> None:
        """Nothing is to be closed."""

    def fill(self, ring: RingBuffer, _timeout_s: float) -> bool:
        """Write the next four seconds."""
        at = self._heard % self._minute.size
        ring.write(self._minute[at : at + _BLOCK])
        self._heard += _BLOCK
        heard_s = self._heard / SOURCE_RATE_HZ
        if self._heard % (60 * SOURCE_RATE_HZ) == 0 and heard_s > WARM_UP_S:
            self.at_s.append(heard_s)
            self.memory_mb.append(psutil.Process().memory_info().rss / 2**20)
            self.descriptors.look()
        self._signals.stop = self._heard >= self._left
        return True


def hours_of_sound(folder: Path, model: Path, port: int, hours: float) -> list[str]:
    """Put hours through the daemon as fast as it goes; return lines of the table."""
    signals = Signals()
    sound = EndlessSound(3600 * hours, signals)
    config = Config(
        device_id="hours",
        model=str(model),
        state_directory=str(folder),
        mqtt=MqttOptions(host="127.0.0.1", port=port, backlog_rate_hz=1000),
    )
    began_s = time.monotonic()
    with patch("rainwatchd.service.daemon.SupervisedMicrophone", lambda *_: sound):
        Daemon(lambda: config, config, signals).run()
    took_s = time.monotonic() - began_s
    growth = growth_mb_per_hour(sound.at_s, sound.memory_mb)
    return [
        f"| hours of sound | {hours:g}, in {took_s:.0f} s | |",
        f"| memory growth, MB an hour | {growth:.2f} | 1 |",
        f"| file descriptors | {sound.descriptors} | constant |",
    ]


def in_process(target: Callable[..., list[str]], *arguments: object) -> list[str]:
    """Call `target` in a process of its own, so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return list(pool.apply(target, arguments))


def recovery(folder: Path, model: Path, broker: Broker) -> list[str]:
    """Strike with each fault; return lines of the table."""
    lines = []
    for number, fault in enumerate(("sound server killed", "sound server frozen", "absent")):
        with live(folder / str(number), model, broker) as (daemon, server):
            server.play_noise()
            lines.append(_microphone_fault(fault, daemon, server, broker))
    with live(folder / "broker", model, broker) as (daemon, server):
        server.play_noise()
        daemon.start()
        daemon.until(lambda: daemon.heartbeats, "the first window", 60)
        broker.kill()
        daemon.until(lambda: "mqtt: broker" in daemon.log, "the loss")
        time.sleep(5)
        broker.start()
        mended_s = time.monotonic()
        connected = daemon.log.count("mqtt: connected")
        daemon.until(lambda: daemon.log.count("mqtt: connected") > connected, "connection", 60)
        again_s = time.monotonic() - mended_s
        lines.append(f"| broker killed for 5 s | at once | {again_s:.1f} s |")
        daemon.stop()
    return lines


def _microphone_fault(fault: str, daemon: LiveDaemon, server: SoundServer, broker: Broker) -> str:
    with Subscriber(broker.port) as subscriber:

        def state() -> str:
            states = [m for m in subscriber.on("/status") if not m.retained]
            return str(states[-1].json["state"]) if states else ""

        if fault == "absent":
            server.kill()
            struck_s = time.monotonic()
            daemon.start()
        else:
            daemon.start()
            daemon.until(lambda: daemon.heartbeats, "the first window", 60)
            struck_s = time.monotonic()
            (server.kill if fault.endswith("killed") else server.freeze)()
        daemon.until(lambda: state() == "degraded", "degraded", 60)
        noticed_s = time.monotonic() - struck_s
        (server.thaw if fault.endswith("frozen") else server.start)()
        mended_s = time.monotonic()

        def back() -> bool:
            assert daemon.process is not None
            if daemon.process.poll() is not None:
                time.sleep(5)  # RestartSec of the unit
                daemon.start()
            return state() == "online"

        daemon.until(back, "online", 90)
        again_s = time.monotonic() - mended_s
        daemon.stop()
        name = "sound server absent at start" if fault == "absent" else fault
        return f"| {name} | {noticed_s:.1f} s | {again_s:.1f} s |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.stay", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="in real time; the goal is 20")
    parser.add_argument("--hours", type=float, default=6.0, help="faster than real time")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="stay-") as name:
        folder = Path(name)
        model = PACKAGED
        if not model.exists():
            model = folder / "tiny.onnx"
            write_tiny_model(model)
        (folder / "broker").mkdir()
        with running(folder / "broker") as broker:
            print("| | ours | at most |", "|---|---|---|", sep="\n")
            show(soak(folder / "soak", model, broker, 60 * arguments.minutes))
            print("\n| faster than real time | ours | at most |", "|---|---|---|", sep="\n")
            port, hours = broker.port, arguments.hours
            show(in_process(hours_of_sound, folder / "hours", model, port, hours))
            print("\n| fault | noticed after | well after its end |", "|---|---|---|", sep="\n")
            show(recovery(folder / "faults", model, broker))


def show(lines: list[str]) -> None:
    """Print lines at once."""
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
