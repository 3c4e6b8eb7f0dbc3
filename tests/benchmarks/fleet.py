"""Many devices on one broker, through its restart: messages a second, losses, memory.

Each device is real from its scores on: decision, outbox on disk, MQTT session. The scores are
those of a bundled recording, replayed once. One subscriber with a persistent session counts.

    python -m tests.benchmarks.fleet --devices 500
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from rainwatchd.alerts.broker.mqtt import MqttOptions
from rainwatchd.alerts.outbox import Outbox, OutboxOptions
from rainwatchd.alerts.topics import Topics
from rainwatchd.alerts.uplink import Uplink
from rainwatchd.config.options import Config
from rainwatchd.decision.clock import FixedClock
from rainwatchd.decision.decision import Decision
from rainwatchd.decision.events import Announcer, Identity
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import PACKAGED
from rainwatchd.hearing.model_spec import ModelSpec
from rainwatchd.hearing.window import Window
from rainwatchd.replay.replay import Replay, Scored
from tests.broker import Broker, until

CHAINSAW = Path(__file__).parents[1] / "recordings/chainsaw/esc10_freesound-19898.ogg"
EVENTS = 3
"""Times that a device hears the recording, in each round."""

QUIET_S = 30
"""Background after each event, so that the next is another one."""

OUTAGE_S = 5.0
PATIENCE_S = 300.0

Key = tuple[str, int]


@dataclass
class Device:
    """What runs on one board behind the classifier."""

    outbox: Outbox
    uplink: Uplink
    decision: Decision
    announcer: Announcer

    def hear(self, window: Window) -> list[Key]:
        """Take a window; return the messages that it led to."""
        sent = []
        for event in self.decision.push(window):
            detection = self.announcer.detection(event)
            self.outbox.put(detection)
            self.uplink.wake()
            sent.append((detection.event_id, detection.seq))
        return sent


class Counted:
    """A subscriber whose session outlives the broker's restart."""

    def __init__(self, port: int) -> None:
        self.arrived_s: dict[Key, float] = {}
        self.received = 0
        ready = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, "counter", protocol=MQTTv5)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = self._on_message
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", port, clean_start=False, properties=session)
        client.loop_start()
        assert ready.wait(10), "the subscriber gets no answer"
        self._client = client

    def _on_connect(self, client: Client, *_: object) -> None:
        client.subscribe("rainwatch/+/detection", qos=1)

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        detection = msgspec.json.decode(message.payload)
        self.received += 1
        self.arrived_s.setdefault((detection["event_id"], detection["seq"]), time.monotonic())

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


def replayed_windows(classifier: Classifier) -> list[Window]:
    """Score the recording, repeat it, and each time add the background that ends its event."""
    spec = classifier.spec
    items = Replay(Config(step_s=1.0), "fleet").hear(CHAINSAW, classifier)
    scored = [item for item in items if isinstance(item, Scored)]
    background = tuple(float(label not in spec.decision) for label in spec.labels)
    tracks = ([item.scores for item in scored] + [background] * QUIET_S) * EVENTS
    length = spec.mel.samples_in(spec.window_frames)
    return [
        Window(k * spec.sample_rate_hz, k * spec.sample_rate_hz + length, scores, -40.0)
        for k, scores in enumerate(tracks)
    ]


def device(number: int, folder: Path, port: int, spec: ModelSpec) -> Device:
    """Set up one board; its uplink runs."""
    name = f"board-{number:04}"
    directory = folder / name
    directory.mkdir()
    outbox = Outbox(directory, OutboxOptions(), lambda _trouble: None)
    topics = Topics(name)
    uplink = Uplink(
        MqttOptions(host="127.0.0.1", port=port), topics, outbox, b"{}", lambda _trouble: None
    )
    uplink.retain(topics.status, b"{}")
    uplink.start()
    decision = Decision(spec.labels, spec.decision, spec.sample_rate_hz, 1.0)
    clock = FixedClock(datetime.now(UTC), spec.sample_rate_hz)
    identity = Identity(name, None, None, spec.name)
    return Device(outbox, uplink, decision, Announcer(identity, clock, spec.sample_rate_hz, name))


class Fleet:
    """All devices and what they have sent."""

    def __init__(self, devices: Sequence[Device], windows: Sequence[Window]) -> None:
        self._devices = devices
        self._windows = windows
        self._shift = 0

    def hear(self) -> dict[Key, float]:
        """Let every device hear the recording as fast as it can; return when each was queued."""
        sent_s: dict[Key, float] = {}
        for window in self._windows:
            later = replace(window, start=window.start + self._shift, end=window.end + self._shift)
            for board in self._devices:
                for key in board.hear(later):
                    sent_s[key] = time.monotonic()
        self._shift += self._windows[-1].end
        return sent_s


def rss_mb(pid: int | None = None) -> float:
    """Resident memory of a process, by default this one."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def measure(count: int) -> list[tuple[str, str]]:
    """Run the fleet; return the table's rows."""
    classifier = Classifier(PACKAGED)
    windows = replayed_windows(classifier)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = f"allow_anonymous true\npersistence true\npersistence_location {folder}/\n"
        broker = Broker(folder, settings + "max_inflight_messages 1000")
        broker.start()
        stack.callback(broker.stop)
        counted = Counted(broker.port)
        stack.callback(counted.close)
        before_mb = rss_mb()
        began_s = time.monotonic()
        devices = [device(number, folder, broker.port, classifier.spec) for number in range(count)]
        fleet = Fleet(devices, windows)
        until(lambda: all(d.uplink.connected for d in devices), "all to connect", PATIENCE_S)
        connect_s = time.monotonic() - began_s

        began_s = time.monotonic()
        first = fleet.hear()
        heard_s = time.monotonic() - began_s
        until(lambda: first.keys() <= counted.arrived_s.keys(), "the first round", PATIENCE_S)
        first_s = time.monotonic() - began_s
        delay_s = np.array([counted.arrived_s[key] - sent for key, sent in first.items()])
        device_mb = (rss_mb() - before_mb) / count

        broker.stop()
        second = fleet.hear()
        time.sleep(OUTAGE_S)
        began_s = time.monotonic()
        broker.start()
        until(lambda: second.keys() <= counted.arrived_s.keys(), "the second round", PATIENCE_S)
        second_s = time.monotonic() - began_s
        arrivals_s = [counted.arrived_s[key] for key in second]
        burst_s = max(arrivals_s) - min(arrivals_s)
        until(lambda: all(d.outbox.depth == 0 for d in devices), "empty outboxes", PATIENCE_S)

        sent = first.keys() | second.keys()
        broker_mb = rss_mb(broker.pid)
        for board in devices:
            board.uplink.stop(0.0, b"{}")
        for board in devices:
            board.outbox.close()
    lost = len(sent - counted.arrived_s.keys())
    strangers = len(counted.arrived_s.keys() - sent)
    return [
        ("devices", f"{count}"),
        ("all connected after", f"{connect_s:.1f} s"),
        ("messages at once, broker up", f"{len(first)}"),
        ("queued on disk", f"{len(first) / heard_s:.0f} a second"),
        ("in the subscriber's hands", f"{len(first) / first_s:.0f} a second"),
        ("delay, median / 99 %", f"{np.median(delay_s):.3f} / {np.quantile(delay_s, 0.99):.3f} s"),
        ("messages queued while the broker was down", f"{len(second)}"),
        ("all of them arrived after its return in", f"{second_s:.1f} s"),
        ("of that from the first to the last", f"{len(second) / burst_s:.0f} a second"),
        ("lost", f"{lost}"),
        ("under another id", f"{strangers}"),
        ("repeated (at least once is what QoS 1 promises)", f"{counted.received - len(sent)}"),
        ("memory of a device behind its classifier", f"{device_mb * 1000:.0f} kB"),
        ("memory of the broker", f"{broker_mb:.0f} MB"),
    ]


def main() -> None:
    """Print the table."""
    logging.getLogger("rainwatchd").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.fleet", description=__doc__)
    parser.add_argument("--devices", type=int, default=500)
    rows = measure(parser.parse_args().devices)
    print("| fleet on one mosquitto | |\n|---|---|")
    for name, figure in rows:
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
