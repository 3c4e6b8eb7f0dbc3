"""What telling costs: onset to subscriber, draining a backlog, writes to the card, clips.

python -m tests.benchmarks.tell
"""

from __future__ import annotations

import argparse
import io
import logging
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import soundfile
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from rainwatchd.alerts.broker.mqtt import MqttOptions
from rainwatchd.alerts.ledger import Ledger, Message
from rainwatchd.alerts.outbox import Outbox, OutboxOptions
from rainwatchd.alerts.topics import Topics
from rainwatchd.alerts.uplink import Uplink
from rainwatchd.clips.preview import preview
from rainwatchd.decision.decision import Decision
from rainwatchd.hearing.model_file import PACKAGED, read_model
from rainwatchd.hearing.model_spec import DecisionRule
from rainwatchd.hearing.window import Window
from tests.broker import Broker, until
from tests.detections import detection, event

RATE_HZ = 16000
WINDOW_S = 4.0
STEP_S = 1.0

RECORDINGS = Path(__file__).parents[1] / "recordings"

CLIP_S = 10.0

LINK_BIT_S = 40_000
"""What 2G gives upwards where reception is fair."""

EVENTS_A_DAY = 40
"""A busy place: some saws, many motorcycles, a thunderstorm. Each event has one update."""


class Arrivals:
    """A subscriber that notes when each message came first."""

    def __init__(self, port: int) -> None:
        self.first_s: dict[tuple[str, int], float] = {}
        self.received = 0
        ready = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        client.on_subscribe = lambda *_: ready.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1", port)
        client.subscribe("rainwatch/+/detection", qos=1)
        client.loop_start()
        assert ready.wait(10), "the subscriber gets no answer"
        self._client = client

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        now_s = time.monotonic()
        fields = msgspec.json.decode(message.payload)
        self.received += 1
        self.first_s.setdefault((fields["event_id"], fields["seq"]), now_s)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def connected(folder: Path) -> Iterator[tuple[Outbox, Uplink, Arrivals]]:
    """Yield an outbox whose uplink is connected to a subscriber by a broker."""
    (folder / "broker").mkdir(parents=True)
    broker = Broker(folder / "broker")
    broker.start()
    arrivals = Arrivals(broker.port)
    outbox = Outbox(folder / "state", OutboxOptions(), lambda _: None)
    options = MqttOptions(host="127.0.0.1", port=broker.port, backlog_rate_hz=1000.0)
    uplink = Uplink(options, Topics("canopy-7"), outbox, b"{}", lambda _: None)
    try:
        uplink.start()
        until(lambda: uplink.connected, "a connection")
        yield outbox, uplink, arrivals
    finally:
        uplink.stop(5.0, b"{}")
        outbox.close()
        arrivals.close()
        broker.kill()


def median_and_p99(values: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile."""
    return statistics.median(values), statistics.quantiles(values, n=100)[98]


def detection_latency_s(rule: DecisionRule, trials: int = 500) -> tuple[float, float]:
    """From a sound's beginning to the decision, with scores that are right half a window later.

    That is what the rule itself costs; a faint sound takes longer, see the model's card.
    """
    draw = random.Random(1)
    latencies_s = []
    for _ in range(trials):
        begins_s = draw.uniform(30, 60)
        decision = Decision(["background", "saw"], {"saw": rule}, RATE_HZ, STEP_S)
        for second in range(120):
            heard = 0.95 if second + WINDOW_S / 2 >= begins_s else 0.05
            start = second * RATE_HZ
            end = start + round(WINDOW_S * RATE_HZ)
            if decision.push(Window(start, end, (1 - heard, heard), -40.0)):
                latencies_s.append(end / RATE_HZ - begins_s)
                break
    assert len(latencies_s) == trials, "a sound was missed"
    return median_and_p99(latencies_s)


def transport_latency_s(folder: Path, events: int) -> tuple[float, float]:
    """From the decision to the subscriber's hands, the commit to the disk included."""
    draw = random.Random(2)
    latencies_s = []
    with connected(folder) as (outbox, uplink, arrivals):
        for number in range(events):
            onset = detection(number)
            began_s = time.monotonic()
            outbox.put(onset)
            uplink.wake()
            key = (onset.event_id, 0)
            until(lambda: key in arrivals.first_s, "the message")  # noqa: B023
            latencies_s.append(arrivals.first_s[key] - began_s)
            outbox.put(detection(number, "offset"))
            uplink.wake()
            time.sleep(draw.uniform(0, 0.02))
    return median_and_p99(latencies_s)


def drain(folder: Path, messages: int) -> tuple[float, int, int, float]:
    """Return messages a second, losses, repeats, and the growth of memory in MB."""
    (folder / "state").mkdir(parents=True)
    ledger = Ledger(folder / "state" / "outbox.sqlite")
    keys = set()
    queued = []
    for number in range(messages // 2):
        for one in (detection(number, "onset"), detection(number, "offset")):
            keys.add((one.event_id, one.seq))
            payload = msgspec.json.encode(one)
            queued.append(Message(one.event_id, one.seq, number + 1, 0.0, False, payload))
    ledger.write(queued)
    ledger.close()
    del queued
    process = psutil.Process()
    began_bytes, began_s = process.memory_info().rss, time.monotonic()
    peak_bytes = began_bytes
    with connected(folder) as (outbox, _, arrivals):
        while outbox.depth:
            peak_bytes = max(peak_bytes, process.memory_info().rss)
            time.sleep(0.05)
        took_s = time.monotonic() - began_s
        until(lambda: len(arrivals.first_s) >= messages, "the last messages", 5.0)
        lost = len(keys - arrivals.first_s.keys())
        repeats = arrivals.received - len(arrivals.first_s)
    return messages / took_s, lost, repeats, (peak_bytes - began_bytes) / 1e6


def writes_a_day(folder: Path, *, clips: bool = False) -> tuple[int, float]:
    """Return commits and megabytes written by a day of alerts that are acknowledged at once.

    With `clips` each event has one that is published; the clip itself is on the card anyway.
    """
    now_s = 0.0
    outbox = Outbox(folder / "state", OutboxOptions(), lambda _: None, lambda: now_s)
    commits = 0

    def count(statement: str) -> None:
        nonlocal commits
        commits += statement == "COMMIT"

    assert outbox._disk is not None
    outbox._disk._db.set_trace_callback(count)
    began_bytes = psutil.Process().io_counters().write_chars
    draw = random.Random(3)
    began_s = [draw.uniform(0, 86000) for _ in range(EVENTS_A_DAY)]
    due = sorted(
        (start_s + 60.0 * phase, number, phase)
        for number, start_s in enumerate(began_s)
        for phase in range(3)
    )
    for at_s, number, phase in due:
        while now_s < at_s:
            now_s += 1.0
            outbox.tend()
        outbox.put(event(number)[phase])
        if clips and phase == 2:
            outbox.put_clip(event(number)[0].event_id, f"20240512T000000.000Z_{number:012x}.flac")
        for message in outbox.take(16, set()):
            outbox.acknowledge(message.key)
    now_s += 3600
    outbox.tend()
    written = psutil.Process().io_counters().write_chars - began_bytes
    outbox.close()
    return commits, written / 1e6


def published_bytes() -> float:
    """Return what is published of a clip, on average over the recordings of saws and engines."""
    sizes = []
    for label in ("chainsaw", "engine"):
        for path in sorted((RECORDINGS / label).glob("*.ogg")):
            opus = preview(path)
            if opus is not None and soundfile.info(io.BytesIO(opus)).duration > CLIP_S - 0.5:
                sizes.append(len(opus))
    return statistics.mean(sizes)


def shipped_rule() -> DecisionRule:
    """Return the packaged model's rule for chainsaws, or the defaults while there is none."""
    return read_model(PACKAGED).spec.decision["chainsaw"] if PACKAGED.exists() else DecisionRule()


def table(events: int, messages: int) -> str:
    """Lay the figures out in Markdown."""
    lines = ["| | median | 99th percentile |", "|---|---|---|"]
    decided_s = detection_latency_s(shipped_rule())
    lines.append(f"| sound to decision | {decided_s[0]:.1f} s | {decided_s[1]:.1f} s |")
    with tempfile.TemporaryDirectory(prefix="tell-") as name:
        folder = Path(name)
        sent_s = [1000 * value for value in transport_latency_s(folder / "latency", events)]
        lines.append(f"| decision to subscriber | {sent_s[0]:.1f} ms | {sent_s[1]:.1f} ms |")
        rate_hz, lost, repeats, growth_mb = drain(folder / "drain", messages)
        commits, written_mb = writes_a_day(folder / "day")
        with_clips, with_clips_mb = writes_a_day(folder / "clips", clips=True)
    clip_bytes = published_bytes()
    day_mb = EVENTS_A_DAY * clip_bytes / 1e6
    return "\n".join(
        [
            *lines,
            "",
            "| | |",
            "|---|---|",
            f"| backlog of {messages} messages | {rate_hz:.0f} messages a second, {lost} lost, "
            f"{repeats} twice, memory +{growth_mb:.1f} MB |",
            f"| writes in a day of {EVENTS_A_DAY} events | {commits} commits, "
            f"{written_mb:.2f} MB |",
            f"| and with their clips published | {with_clips} commits, {with_clips_mb:.2f} MB |",
            f"| a published clip, over a link of {LINK_BIT_S / 1000:.0f} kbit/s | "
            f"{clip_bytes / 1000:.0f} kB, {8 * clip_bytes / LINK_BIT_S:.1f} s; "
            f"{day_mb:.2f} MB and {8e6 * day_mb / LINK_BIT_S / 60:.1f} minutes a day |",
        ]
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.tell", description=__doc__)
    parser.add_argument("--events", type=int, default=500, help="whose onsets are timed")
    parser.add_argument("--messages", type=int, default=10_000, help="of the backlog")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    print(table(arguments.events, arguments.messages))


if __name__ == "__main__":
    main()
