"""The ranger's post: how fast an alert is told, a page listed, a start made; what a fleet costs.

python -m tests.benchmarks.post --events 1000000 --devices 500 --rate 10 --seconds 60
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import psutil

from rainwatchd.decision.events import Detection
from rainwatchd.post.messages import milliseconds, text
from rainwatchd.post.records.store import Store
from tests.broker import Broker, until
from tests.post.running import Publisher, RunningPost

ALERTS = 100
"""Published one after another, to see how long each takes to an open page."""

PAGES = 20
RARE = 10_000
"""One in so many is of a class that is hardly ever heard."""

PATIENCE_S = 600.0

QUERIES = (
    ("newest", ""),
    ("one device", "device=board-0007"),
    ("one class", "class=storm"),
    ("judged false", "verdict=false"),
    ("one device, class and verdict", "device=board-0007&class=storm&verdict=true"),
    ("a rare class, not judged", "class=whistle&verdict=none"),
    ("a day, a year ago", "since=2025-05-12T00:00:00Z&until=2025-05-13T00:00:00Z"),
    ("what there is none of", "device=board-0001&class=chainsaw&verdict=unsure"),
)

START_MS = milliseconds("2025-01-01T00:00:00.000Z")
YEAR_MS = 365 * 24 * 3_600_000

Row = tuple[str, str]


def detection(device: int, at_ms: int, rng: random.Random) -> Detection:
    """One onset."""
    event_id = uuid.UUID(int=(at_ms & (2**48 - 1)) << 80 | 7 << 76 | 2 << 62 | rng.getrandbits(60))
    return Detection(
        event_id=str(event_id),
        seq=0,
        phase="onset",
        label=rng.choice(("chainsaw", "engine", "storm")),
        start=text(at_ms),
        end=None,
        duration_s=7.0,
        score=0.9,
        peak_score=0.95,
        level_dbfs=-31.5,
        device_id=f"board-{device:04}",
        # Far enough from each other to be incidents of their own.
        lat=-3.0 + 0.05 * (device // 25),
        lon=-60.0 + 0.05 * (device % 25),
        model="rainwatch 1",
        clock_synced=True,
    )


def fill(folder: Path, events: int, devices: int) -> None:
    """Write a year of events straight into the store, as the post itself would have in a year."""
    store = Store(folder)
    rng = random.Random(1)
    with store.writing() as db:
        db.executemany(
            "INSERT INTO devices (device_id, heard_ms, event_ms, lat, lon, rev)"
            " VALUES (?, ?, ?, -3, -60, ?)",
            [(f"board-{number:04}", START_MS, START_MS, number) for number in range(devices)],
        )
        db.executemany(
            "INSERT INTO classes (label) VALUES (?)",
            [("chainsaw",), ("engine",), ("storm",), ("whistle",)],
        )
        _fill_events(db, events, devices, rng)
    store.close()


def _fill_events(db: sqlite3.Connection, events: int, devices: int, rng: random.Random) -> None:
    def rows() -> object:
        for number in range(events):
            at_ms = START_MS + YEAR_MS * number // events
            device = rng.randrange(devices)
            said = detection(device, at_ms, rng)
            verdict = rng.choices(("none", "true", "false"), (90, 5, 5))[0]
            if device == 1:
                verdict = "none"
            label = 4 if number % RARE == 0 else 1 + rng.randrange(3)
            yield (
                said.event_id, device + 1, label, at_ms, at_ms, 2, 0, "offset",
                said.start, text(at_ms + 7000), 7.0, 0.9, 0.95, -31.5, said.lat, said.lon,
                said.model, 1, 0, "released", verdict, number,
            )  # fmt: skip

    columns = (
        'event_id, device, class, at_ms, received_ms, seq, first_seq, phase, start, "end",'
        " duration_s, score, peak_score, level_dbfs, lat, lon, model, clock_synced, historical,"
        " end_reason, verdict, rev"
    )
    marks = ", ".join("?" * 22)
    db.executemany(f"INSERT INTO events ({columns}) VALUES ({marks})", rows())  # type: ignore[arg-type]


def rss_mb(post: RunningPost) -> float:
    """Resident memory of the server."""
    assert post.process is not None
    return float(psutil.Process(post.process.pid).memory_info().rss) / 1e6


def delays_s(post: RunningPost, publisher: Publisher) -> list[float]:
    """Return how long each alert took from its publication to an open page."""
    rng, found = random.Random(2), []
    with post.live() as page:
        until(lambda: page.named("hello"), "the page to be greeted")
        for _ in range(ALERTS):
            said = detection(3, round(time.time() * 1000), rng)
            began_s = time.monotonic()
            publisher.detect(said)
            until(
                lambda: any(one["event_id"] == said.event_id for one in page.events[-5:]),  # noqa: B023
                "the alert",
            )
            found.append(time.monotonic() - began_s)
            time.sleep(rng.uniform(0.05, 0.2))
    return found


def big_store(events: int, devices: int) -> list[Row]:
    """Measure start and pages over a year of events."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "post/state", events, devices)
        size_mb = (folder / "post/state/post.db").stat().st_size / 1e6
        broker = Broker(folder)
        broker.start()
        post = RunningPost(folder / "post", broker.port)
        try:
            began_s = time.monotonic()
            post.start()
            post.until_serving()
            start_s = time.monotonic() - began_s
            post.until_ready()
            rows = [
                ("events in the store", f"{events}"),
                ("size of the store", f"{size_mb:.0f} MB"),
                ("start, from the command to the first answer", f"{start_s:.2f} s"),
            ]
            for said, query in QUERIES:
                spent = []
                further = ""
                for _ in range(PAGES):
                    began_s = time.monotonic()
                    answer = post.get(f"/events?{query}{further}").json
                    spent.append(time.monotonic() - began_s)
                    further = f"&before={answer['next']}" if answer["next"] else ""
                figure = f"{1e3 * statistics.median(spent):.1f} / {1e3 * max(spent):.1f} ms"
                rows.append((f"a page of the list, {said}, median / longest", figure))
            with Publisher(broker.port) as publisher:
                spent = delays_s(post, publisher)
            figure = f"{1e3 * statistics.median(spent):.0f} / {1e3 * max(spent):.0f} ms"
            rows.append(("alert to an open page, median / longest", figure))
            rows.append(("memory of the server", f"{rss_mb(post):.0f} MB"))
        finally:
            post.close()
            broker.stop()
    return rows


def fleet(devices: int, rate_hz: float, seconds: float) -> list[Row]:
    """Let a fleet publish at a rate; count what arrives, while a page is open."""
    count = round(rate_hz * seconds)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = Broker(folder)
        broker.start()
        stack.callback(broker.stop)
        post = RunningPost(folder / "post", broker.port)
        post.start()
        stack.callback(post.close)
        post.until_ready()
        publisher = stack.enter_context(Publisher(broker.port))
        page = stack.enter_context(post.live())
        sent: dict[str, float] = {}

        def publish() -> None:
            rng, began_s = random.Random(4), time.monotonic()
            for number in range(count):
                wait_s = began_s + number / rate_hz - time.monotonic()
                if wait_s > 0:
                    time.sleep(wait_s)
                said = detection(number % devices, round(time.time() * 1000), rng)
                sent[said.event_id] = time.monotonic()
                publisher.say(f"rainwatch/{said.device_id}/detection", msgspec.json.encode(said))
            publisher.sent()

        publishing = threading.Thread(target=publish)
        began_s = time.monotonic()
        publishing.start()
        spent, peak_mb = [], 0.0
        while publishing.is_alive():
            asked_s = time.monotonic()
            post.get("/events")
            spent.append(time.monotonic() - asked_s)
            peak_mb = max(peak_mb, rss_mb(post))
            time.sleep(0.5)
        publishing.join()
        newest: set[str] = set()

        def all_arrived() -> bool:
            newest.update(one["event_id"] for one in post.events())
            return newest >= sent.keys()

        with suppress(AssertionError):
            until(all_arrived, "all events", PATIENCE_S)
        arrived_s = time.monotonic() - began_s
        assert post.process is not None
        cpu_s = sum(psutil.Process(post.process.pid).cpu_times()[:2])
        told = {one["event_id"] for one in page.events}
        resets = len(page.named("reset"))
    return [
        ("devices, alerts a second, seconds", f"{devices}, {rate_hz:g}, {seconds:g}"),
        ("published", f"{len(sent)}"),
        ("lost", f"{len(sent.keys() - newest)}"),
        ("all of them in the store after", f"{arrived_s:.1f} s"),
        ("told to the open page one by one", f"{len(told & sent.keys())}"),
        ("times that the page was told to read its list anew", f"{resets}"),
        ("a page of the list meanwhile, median", f"{1e3 * statistics.median(spent):.1f} ms"),
        ("processor time of the server", f"{cpu_s:.1f} s"),
        ("memory of the server, highest", f"{peak_mb:.0f} MB"),
    ]


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.post", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--rate", type=float, default=10.0, help="alerts a second of all together")
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    print("| the post over a year of events | |\n|---|---|")
    for name, figure in big_store(args.events, args.devices):
        print(f"| {name} | {figure} |", flush=True)
    print("\n| the post and a fleet | |\n|---|---|")
    for name, figure in fleet(args.devices, args.rate, args.seconds):
        print(f"| {name} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
