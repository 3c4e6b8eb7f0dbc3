"""A device without a microphone: real decision, clock, outbox and uplink over drawn scores.

``python -m tests.torture.scored_device DIRECTORY PORT STREAM SEED`` tells on stdout that it is
``ready``, what it is about to queue (``announced``), and what it has queued (``confirmed`` on the
medium, ``accepted`` in memory), and in the end how many messages it ``lost``. On stdin
it takes ``step SECONDS`` for its clock, and ``drain`` to hear no more and end once the outbox is
empty. SIGTERM ends it in order.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rainwatchd.alerts import delivery, outbox, uplink
from rainwatchd.alerts.broker import reconnection
from rainwatchd.alerts.broker.mqtt import MqttOptions
from rainwatchd.alerts.topics import Topics
from rainwatchd.decision.clock import StreamClock
from rainwatchd.decision.decision import Decision
from rainwatchd.decision.events import Announcer, Event, Identity
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.hearing.window import Window

RATE_HZ = 16000
LABELS = ["background", "chainsaw", "engine", "storm"]
RULE = DecisionRule(span_s=2.0, min_positive_s=2.0, within_s=3.0, release_s=3.0, refractory_s=2.0)

WINDOW_EVERY_S = 0.005
"""Two hundred times as fast as sound, so that a fault meets events in every stage."""


def scores(draw: random.Random) -> Iterator[float]:
    """One class that is heard now and then."""
    while True:
        yield from [0.05] * draw.randrange(10, 40)
        yield from [0.95] * draw.randrange(5, 40)


def windows(seed: str) -> Iterator[Window]:
    classes = [scores(random.Random(f"{seed}/{label}")) for label in LABELS[1:]]
    second = 0
    while True:
        start = second * RATE_HZ
        heard = tuple(next(one) for one in classes)
        yield Window(start, start + 4 * RATE_HZ, (0.0, *heard), -40.0)
        second += 1


class Commands:
    """What the harness asks for."""

    def __init__(self) -> None:
        self.clock_offset_s = 0.0
        self.drain = threading.Event()
        self.stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            command, _, argument = line.strip().partition(" ")
            if command == "step":
                self.clock_offset_s += float(argument)
            elif command == "drain":
                self.drain.set()


def hurry() -> None:
    """Shorten the waits that a field device can afford."""
    outbox.RETRY_S = 0.2
    outbox.REMOVE_AFTER_S = 0.2
    delivery.LATE_S = 0.5
    delivery.ACKNOWLEDGE_WITHIN_S = 1.0
    reconnection.FIRST_BACKOFF_S = 0.05
    uplink.TICK_S = 0.1


def main(directory: str, port: str, stream: str, seed: str) -> None:
    """Run until told to end."""
    hurry()
    commands = Commands()
    print("ready", flush=True)
    topics = Topics("canopy-7")
    options = MqttOptions(
        host="127.0.0.1", port=int(port), backoff_max_s=1.0, backlog_rate_hz=1000.0
    )
    queue = outbox.Outbox(Path(directory), outbox.OutboxOptions(), lambda _: None)
    link = uplink.Uplink(options, topics, queue, b'{"state":"offline"}', lambda _: None)
    link.start()
    clock = StreamClock(RATE_HZ, wall=lambda: time.time() + commands.clock_offset_s)
    announcer = Announcer(Identity("canopy-7", None, None, "drawn 1"), clock, RATE_HZ, stream)

    def queue_all(events: list[Event]) -> None:
        for event in events:
            detection = announcer.detection(event)
            name = f"{detection.event_id} {detection.seq} {event.phase} {event.label} {event.start}"
            print(f"announced {name}", flush=True)
            on_medium = queue.put(detection)
            print(f"{'confirmed' if on_medium else 'accepted'} {name}", flush=True)
            link.wake()

    decision = Decision(LABELS, dict.fromkeys(LABELS[1:], RULE), RATE_HZ, 1.0, update_s=10.0)
    for window in windows(seed):
        if commands.stop.is_set() or commands.drain.is_set():
            break
        clock.observe(window.end)
        queue_all(decision.push(window))
        time.sleep(WINDOW_EVERY_S)
    queue_all(decision.finish("stopped"))
    while commands.drain.is_set() and queue.depth and not commands.stop.is_set():
        time.sleep(0.01)
    link.stop(4.0, b'{"state":"offline"}')
    print(f"lost {queue.close()}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
