"""A microphone that dies, freezes and comes back; the daemon must hear the next saw."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import soundfile

from tests.broker import Subscriber, running
from tests.live import LiveDaemon
from tests.microphone import RATE_HZ, SoundServer
from tests.tiny_model import write_tiny_model

STRIKES = 3
"""At most so many in one trial."""

WATCHDOG_S = 30.0
"""Of the systemd unit: a longer pause between two signs of life gets the daemon killed."""

PATIENCE_S = 60.0
SAW_S = 12


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Run one daemon through all trials."""
    model = folder / "model.onnx"
    write_tiny_model(model)
    saw = folder / "saw.wav"
    at_s = np.arange(SAW_S * RATE_HZ) / RATE_HZ
    soundfile.write(saw, 0.1 * np.sin(2 * np.pi * 1000.0 * at_s), RATE_HZ)
    forest = folder / "forest.wav"
    noise = np.random.default_rng(1).normal(0, 0.003, round(2 * PATIENCE_S * RATE_HZ))
    soundfile.write(forest, noise, RATE_HZ)
    with ExitStack() as stack:
        server = SoundServer(folder)
        server.start()
        stack.callback(server.stop)
        broker = stack.enter_context(running(folder))
        subscriber = stack.enter_context(Subscriber(broker.port))
        daemon = LiveDaemon(
            folder,
            server.environment,
            model=str(model),
            mqtt={"port": broker.port, "backoff_max_s": 1},
            clips={"save": False},
        )
        stack.callback(daemon.close)
        daemon.start()
        daemon.until_ready()

        def trial(rng: random.Random) -> None:
            for _ in range(rng.randint(1, STRIKES)):
                _strike(server, daemon, rng)
            # All zeros after sound would be one more fault.
            player = server.play_file(forest)
            try:
                _hear(server, daemon, subscriber, saw)
            finally:
                player.kill()
                player.wait()
            assert daemon.longest_pause_s < WATCHDOG_S, f"{daemon.longest_pause_s} s of silence"

        yield trial


def _strike(server: SoundServer, daemon: LiveDaemon, rng: random.Random) -> None:
    pause_s = rng.uniform(0.0, 8.0)
    match rng.randrange(5):
        case 0:
            server.kill()
            _let_pass(pause_s, daemon)
            server.start()
        case 1:
            server.freeze()
            _let_pass(pause_s, daemon)
            server.thaw()
        case 2:
            server.freeze()
            _let_pass(pause_s, daemon)
            server.kill()
            server.start()
        case 3:
            daemon.signal(signal.SIGHUP)
        case 4:
            sound = daemon.config.read_text()
            daemon.config.write_text(rng.choice(("mqtt: [", "audio: {channel: 99}", "")))
            daemon.signal(signal.SIGHUP)
            _let_pass(0.5, daemon)
            daemon.config.write_text(sound)
            daemon.signal(signal.SIGHUP)


def _hear(server: SoundServer, daemon: LiveDaemon, subscriber: Subscriber, saw: Path) -> None:
    daemon.until(lambda: subscriber.states[-1:] == ["online"], "status online", PATIENCE_S)
    before = {found["event_id"] for found in subscriber.detections}
    deadline_s = time.monotonic() + PATIENCE_S

    def heard() -> bool:
        phases = {
            found["phase"] for found in subscriber.detections if found["event_id"] not in before
        }
        return phases >= {"onset", "offset"}

    # A strike's last consequence may come while the saw is on: it may take a second one.
    while not heard():
        assert time.monotonic() < deadline_s, f"no event from the saw; log: {daemon.log[-3000:]}"
        server.play_file(saw)
        _let_pass(SAW_S + 12.0, daemon, heard)
    assert daemon.process is not None
    assert daemon.process.poll() is None, daemon.log[-3000:]


def _let_pass(
    seconds: float, daemon: LiveDaemon, enough: Callable[[], bool] = lambda: False
) -> None:
    """Wait, and take the daemon's signs of life meanwhile."""
    end_s = time.monotonic() + seconds
    daemon.until(lambda: enough() or time.monotonic() > end_s, "time to pass", seconds + 10.0)
