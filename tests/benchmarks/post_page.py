"""The ranger's page in a browser: its size, how soon it stands, how soon an alert is in it.

python -m tests.benchmarks.post_page --devices 500 --rate 10 --seconds 60 --crowd 10000
"""

from __future__ import annotations

import argparse
import gzip
import random
import statistics
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil
from playwright.sync_api import Page

from tests.benchmarks.post import Row, detection
from tests.broker import Broker
from tests.post.browser import chromium
from tests.post.crowd import fill
from tests.post.running import Publisher, running
from tests.post.said import health

PAGE = Path(__file__).parents[2] / "rainwatchd/post/page"
ALERTS = 40
PATIENCE_MS = 300_000
SLOWER = 6
"""How many times slower than this machine the processor is made: a phone of some years."""

# What a page measures of itself: tasks above 50 ms, and when an alert was first in the list.
WATCH = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.tasks.push(task.duration);
}).observe({ type: "longtask", buffered: true });
window.seen = {};
new MutationObserver(() => {
  for (const link of document.querySelectorAll("#rows a")) {
    const id = decodeURIComponent(link.hash.slice("#/alert/".length));
    window.seen[id] ??= Date.now();
  }
}).observe(document, { childList: true, subtree: true });
"""


def first_paint_ms(page: Page, url: str) -> float:
    """Time to the first contentful paint on a slow processor."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(url, timeout=PATIENCE_MS)
    page.wait_for_selector("#rows li", timeout=PATIENCE_MS)
    painted = page.evaluate(
        "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    return float(painted)


def measure(devices: int, rate_hz: float, seconds: float) -> list[Row]:
    """Publish alerts one by one, then a fleet's; the page is open all the time."""
    files = [path.read_bytes() for path in PAGE.iterdir() if path.is_file()]
    size, packed = (sum(map(len, some)) for some in (files, map(gzip.compress, files)))
    rng = random.Random(1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = Broker(folder)
        broker.start()
        stack.callback(broker.stop)
        post = stack.enter_context(running(folder, broker.port))
        publisher = stack.enter_context(Publisher(broker.port))
        browser = stack.enter_context(chromium())
        url = f"http://127.0.0.1:{post.port}/"
        for number in range(50):
            publisher.detect(detection(number, round(time.time() * 1000), rng))
        publisher.sent()
        painted_ms = first_paint_ms(browser.new_page(viewport={"width": 360, "height": 740}), url)
        page = browser.new_page()
        page.add_init_script(WATCH)
        page.goto(url)
        page.wait_for_selector("#rows li")
        sent: dict[str, float] = {}
        for number in range(ALERTS):
            said = detection(number, round(time.time() * 1000), rng)
            sent[said.event_id] = time.time() * 1000
            publisher.detect(said)
            page.wait_for_timeout(rng.uniform(100, 300))
        seen = page.evaluate("() => window.seen")
        delays_ms = [seen[one] - at_ms for one, at_ms in sent.items()]
        page.evaluate("() => { window.tasks = []; }")

        def fleet() -> None:
            began_s = time.monotonic()
            for number in range(round(rate_hz * seconds)):
                time.sleep(max(0.0, began_s + number / rate_hz - time.monotonic()))
                publisher.detect(detection(number % devices, round(time.time() * 1000), rng))
            publisher.sent()

        publishing = threading.Thread(target=fleet)
        publishing.start()
        while publishing.is_alive():
            page.wait_for_timeout(200)
        publishing.join()
        page.wait_for_timeout(1000)
        longest_ms = max(page.evaluate("() => window.tasks"), default=0.0)
        rows = page.locator("#rows li").count()
    return [
        ("all of the page, as files / compressed", f"{size / 1e3:.0f} / {packed / 1e3:.0f} kB"),
        (f"first paint, processor {SLOWER} x slower", f"{painted_ms:.0f} ms"),
        (
            "published to in the list, median / longest",
            f"{statistics.median(delays_ms):.0f} / {max(delays_ms):.0f} ms",
        ),
        ("devices, alerts a second, seconds", f"{devices}, {rate_hz:g}, {seconds:g}"),
        ("longest task meanwhile (below 50 ms: none counted)", f"{longest_ms:.0f} ms"),
        ("rows that the list keeps", f"{rows}"),
    ]


def crowd(devices: int, seconds: float) -> list[Row]:
    """Look at list and map of very many devices, each of which reports once a minute."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        fill(folder / "state", devices)
        broker = Broker(folder)
        broker.start()
        stack.callback(broker.stop)
        post = stack.enter_context(running(folder, broker.port))
        publisher = stack.enter_context(Publisher(broker.port))
        page = stack.enter_context(chromium()).new_page(viewport={"width": 360, "height": 740})
        page.add_init_script(WATCH)
        began_s = time.monotonic()
        page.goto(f"http://127.0.0.1:{post.port}/#/devices", timeout=PATIENCE_MS)
        page.wait_for_selector("#device-list li", timeout=PATIENCE_MS)
        listed_s = time.monotonic() - began_s
        longest_ms = []
        for view in ("devices", "map"):
            page.evaluate(f"() => {{ location.hash = '#/{view}'; }}")
            page.wait_for_timeout(1000)
            page.evaluate("() => { window.tasks = []; }")
            began_s = time.monotonic()
            for number in range(round(devices / 60 * seconds)):
                wait_s = began_s + 60 * number / devices - time.monotonic()
                if wait_s > 0:
                    page.wait_for_timeout(1000 * wait_s)
                device_id = f"board-{number % devices:05}"
                said = health(device_id, round(time.time() * 1000))
                publisher.say(f"rainwatch/{device_id}/health", msgspec.json.encode(said), qos=0)
            page.wait_for_timeout(1000)
            longest_ms.append(max(page.evaluate("() => window.tasks"), default=0.0))
        assert post.process is not None
        rss_mb = psutil.Process(post.process.pid).memory_info().rss / 1e6
    return [
        ("devices that each report once a minute", f"{devices}"),
        ("from the address to their list, silent ones first", f"{listed_s:.2f} s"),
        (
            "longest task meanwhile, list / map",
            " / ".join(f"{one:.0f}" for one in longest_ms) + " ms",
        ),
        ("memory of the server", f"{rss_mb:.0f} MB"),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.post_page", description=__doc__
    )
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--rate", type=float, default=10.0, help="alerts a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--crowd", type=int, default=10_000, help="devices on list and map")
    options = parser.parse_args()
    print("| the page | |\n|---|---|")
    for name, figure in measure(options.devices, options.rate, options.seconds):
        print(f"| {name} | {figure} |")
    print("\n| the page and a crowd | |\n|---|---|")
    for name, figure in crowd(options.crowd, options.seconds):
        print(f"| {name} | {figure} |")


if __name__ == "__main__":
    main()
