"""The ranger's page in a real browser, before a real post and a real broker."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import soundfile
import soxr
import yaml
from axe_playwright_python.sync_playwright import Axe
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from rainwatchd.alerts.topics import Topics
from rainwatchd.decision.events import Detection, Health, Status, utc_text
from tests.broker import Broker, Subscriber, free_port, until
from tests.detections import detection

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "rainwatchd/post/page"
CHAINSAW = Path(__file__).parents[1] / "recordings/chainsaw/esc10_freesound-19898.ogg"
# A busy machine takes its time.
expect.set_options(timeout=30_000)

LANGUAGES = ("de", "es", "fr", "id", "pt")
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}

# A browser of Debian's; without these it looks for its maker's servers all the time.
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
]


class Post:
    """A post of its own process, and a device that publishes to its broker."""

    def __init__(self, folder: Path, broker: Broker, **settings: object) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}/"
        config = {
            "name": "north-post",
            "state_directory": str(folder / "post"),
            "listen": {"port": port},
            "mqtt": {"host": "127.0.0.1", "port": broker.port, "backoff_max_s": 1},
            **settings,
        }
        self.config = folder / "rainwatch-post.yaml"
        self.config.write_text(yaml.safe_dump(config))
        self._log = folder / "post.log"
        self._broker = broker
        self._starts = 0
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str, given: bytes = b"") -> None:
        """Run the command to its end."""
        subprocess.run(self._command(*arguments), input=given, check=True, capture_output=True)

    def start(self) -> None:
        self._starts += 1
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        until(self._connected, "the post to connect")

    def _connected(self) -> bool:
        assert self.process is not None
        log = self._log.read_text()
        assert self.process.poll() is None, f"the post ended: {log}"
        return log.count("connected to the broker") >= self._starts

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)

    def publish(self, *messages: Detection | Status | Health, clip: bytes | None = None) -> None:
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        client.connect("127.0.0.1", self._broker.port)
        client.loop_start()
        for message in messages:
            topics = Topics(message.device_id)
            topic = {Detection: topics.detection, Status: topics.status, Health: topics.health}
            kept = not isinstance(message, Detection)
            sent = client.publish(
                topic[type(message)], msgspec.json.encode(message), qos=1, retain=kept
            )
            sent.wait_for_publish(10)
            if clip is not None and isinstance(message, Detection):
                client.publish(topics.clip(message.event_id), clip, qos=1).wait_for_publish(10)
        client.disconnect()
        client.loop_stop()

    def _command(self, *arguments: str) -> list[str]:
        program = "import sys; from rainwatchd.post.main import main; sys.exit(main())"
        return [sys.executable, "-c", program, "--config", str(self.config), *arguments]


@pytest.fixture
def post(tmp_path: Path, broker: Broker) -> Iterator[Post]:
    started = Post(tmp_path, broker)
    started.start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=QUIET)
        yield browser
        browser.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open a page; whatever it asks of another machine, or gets wrong, fails the test."""
    contexts = []
    wrong: list[str] = []

    def watched(request: Request) -> None:
        if not re.match(r"https?://127\.0\.0\.1:", request.url):
            wrong.append(f"asked for {request.url}")

    def open_page(url: str, size: dict[str, int] = DESK, **options: Any) -> Page:
        context = browser.new_context(viewport=size, locale="en-GB", **options)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("request", watched)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture(scope="module")
def clip() -> bytes:
    """Return ten seconds of a real chainsaw as a device publishes them."""
    samples, rate_hz = soundfile.read(CHAINSAW, dtype="float32", always_2d=True)
    low = soxr.resample(samples.mean(axis=1), rate_hz, 8000)[:80000]
    file = io.BytesIO()
    soundfile.write(file, low, 8000, format="OGG", subtype="OPUS")
    return file.getvalue()


def alert(number: int = 1, **changes: Any) -> Detection:
    """Return the onset of an event that began ten seconds ago."""
    started = utc_text(datetime.now(UTC) - timedelta(seconds=10))
    return msgspec.structs.replace(detection(number), **{"start": started, **changes})


def ended(onset: Detection) -> Detection:
    return msgspec.structs.replace(
        onset, seq=1, phase="offset", end=onset.start, duration_s=7.0, end_reason="released"
    )


def status(device_id: str, state: Any = "online", *reasons: str) -> Status:
    return Status(
        device_id=device_id,
        state=state,
        reasons=list(reasons),
        version="0.2.0",
        model="tiny 1",
        model_digest="0" * 64,
    )


def health(device_id: str) -> Health:
    return Health(
        device_id=device_id,
        time=utc_text(datetime.now(UTC)),
        clock_synced=True,
        uptime_s=4000.0,
        level_dbfs=-47.2,
        overruns=0,
        drops=0,
        gaps=0,
        real_time_factor=0.2,
        latency_s=0.3,
        outbox_depth=3,
        outbox_dropped=0,
        disk_free_bytes=12_300_000_000,
        temperature_c=51.5,
        top_scores={"chainsaw": 0.02},
    )


def test_on_a_phone_the_newest_alert_is_found_heard_and_answered(
    post: Post, broker: Broker, visit: Visit, clip: bytes
) -> None:
    with Subscriber(broker.port) as subscriber:
        page = visit(post.url, PHONE, has_touch=True, is_mobile=True)
        expect(page.locator("#connection")).to_have_text("connected")
        older, newer = alert(1, label="engine"), alert(2, device_id="canopy-8")
        post.publish(older, ended(older), newer, clip=clip)
        first = page.locator("#rows li").first
        expect(first).to_contain_text("Chainsaw")
        expect(first).to_contain_text("canopy-8")
        expect(first).to_contain_text("95")
        expect(first).to_contain_text("lasts")
        first.locator("a").tap()
        expect(page.locator("#title")).to_contain_text("Chainsaw")
        # Decoded in the page, to the length that was sent.
        page.wait_for_selector("#heard[data-decoded-s]")
        assert float(page.locator("#heard").get_attribute("data-decoded-s") or 0) == pytest.approx(
            soundfile.info(io.BytesIO(clip)).duration, abs=0.1
        )
        colours = page.evaluate(
            "() => new Set(document.querySelector('#heard canvas').getContext('2d')"
            ".getImageData(0, 0, 480, 160).data).size"
        )
        assert colours > 50
        page.evaluate("() => document.querySelector('audio').play()")
        page.wait_for_function("() => document.querySelector('audio').currentTime > 0.2")
        page.get_by_role("button", name="It is one").tap()
        expect(page.locator(".given")).to_contain_text("It is one · north-post")
        until(lambda: subscriber.on(f"/feedback/{newer.event_id}"), "the verdict at the broker")
        (verdict,) = subscriber.on(f"/feedback/{newer.event_id}")
        assert verdict.topic.startswith("rainwatch/canopy-8/")
        assert verdict.json["event_id"] == newer.event_id
        assert verdict.json["by"] == "north-post"
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
        page.get_by_role("button", name="Back").tap()
        expect(first).to_contain_text("It is one")


def test_an_event_that_ends_stops_lasting(post: Post, visit: Visit) -> None:
    page = visit(post.url)
    onset = alert()
    post.publish(onset)
    row = page.locator("#rows li").first
    expect(row).to_contain_text("lasts")
    post.publish(ended(onset))
    expect(row).to_contain_text("ago")
    expect(page.locator("#rows li")).to_have_count(1)


def test_what_came_late_or_by_a_wrong_clock_is_called_so(post: Post, visit: Visit) -> None:
    post.publish(alert(1, historical=True), alert(2, clock_synced=False))
    page = visit(post.url)
    expect(page.locator("#rows")).to_contain_text("delivered late")
    expect(page.locator("#rows")).to_contain_text("clock not set")


def test_a_silent_device_is_on_the_tab_and_on_top_of_the_list(post: Post, visit: Visit) -> None:
    post.publish(status("canopy-1"), health("canopy-1"))
    post.publish(status("canopy-2", "offline"), status("canopy-3", "degraded", "microphone: gone"))
    page = visit(post.url, PHONE)
    tab = page.get_by_role("link", name="Devices, 1 silent")
    expect(tab).to_have_text("Devices ✕1")
    tab.click()
    cards = page.locator("#device-list li h2")
    expect(cards).to_have_text(["canopy-2", "canopy-3", "canopy-1"])
    expect(page.locator("#device-list")).to_contain_text("microphone: gone")
    page.get_by_role("link", name="canopy-1").click()
    expect(page.locator("#device")).to_contain_text("51.5\u202f°C")
    expect(page.locator("#device")).to_contain_text("12.3\u202fGB")
    expect(page.locator("#device figure")).to_have_count(6)


def test_the_map_shows_who_hangs_where_and_what_was_heard(
    tmp_path: Path, broker: Broker, visit: Visit
) -> None:
    lines = {
        "type": "Feature",
        "properties": {"name": "Rio Verde"},
        "geometry": {"type": "LineString", "coordinates": [[-60.1, -3.1], [-59.9, -3.2]]},
    }
    (tmp_path / "rivers.geojson").write_text(json.dumps(lines))
    post = Post(tmp_path, broker, map={"geojson_file": str(tmp_path / "rivers.geojson")})
    post.start()
    try:
        post.publish(alert(1), status("canopy-7"), alert(2, device_id="lost", lat=None, lon=None))
        page = visit(post.url + "#/map", PHONE)
        expect(page.locator("#map svg a")).to_have_attribute(
            "aria-label", re.compile("canopy-7, online, Chainsaw")
        )
        expect(page.locator("#map path.line title")).to_have_text("Rio Verde")
        expect(page.locator("#map .audible")).to_have_count(1)
        expect(page.locator("#map .scalebar")).to_contain_text("km")
        expect(page.locator(".unplaced")).to_contain_text("lost")
        before = page.locator("#map svg a").get_attribute("transform")
        page.get_by_role("button", name="Closer").click()
        expect(page.locator("#map svg a")).not_to_have_attribute("transform", before or "")
        page.get_by_role("button", name="All").click()
        page.locator("#map svg a").click()
        expect(page.locator("#title")).to_contain_text("Chainsaw")
    finally:
        post.stop()


def test_keys_move_and_judge(post: Post, broker: Broker, visit: Visit) -> None:
    post.publish(alert(1, label="engine"), alert(2))
    with Subscriber(broker.port) as subscriber:
        page = visit(post.url)
        expect(page.locator("#rows li")).to_have_count(2)
        page.keyboard.press("j")
        expect(page.locator("#title")).to_contain_text("Chainsaw")
        page.keyboard.press("j")
        expect(page.locator("#title")).to_contain_text("Engine")
        page.keyboard.press("f")
        expect(page.locator(".given")).to_contain_text("Nothing")
        page.keyboard.press("k")
        expect(page.locator("#title")).to_contain_text("Chainsaw")
        page.keyboard.press("u")
        expect(page.locator(".given")).to_contain_text("Unsure")
        until(lambda: len(subscriber.on(detection(2).event_id)) >= 1, "the last verdict")


def test_several_devices_that_hear_one_saw_are_one_incident(post: Post, visit: Visit) -> None:
    post.publish(
        alert(1, device_id="canopy-1", lat=-3.1, lon=-60.0),
        alert(2, device_id="canopy-2", lat=-3.105, lon=-60.0),
        alert(3, device_id="canopy-3", lat=-4.0, lon=-60.0),
    )
    page = visit(post.url)
    expect(page.locator("#rows li")).to_have_count(3)
    expect(page.locator("#rows .joined")).to_have_count(2)
    expect(page.locator("#rows .joined").first).to_contain_text("one incident, 2 devices")


def test_hostile_text_stays_text(post: Post, visit: Visit) -> None:
    evil = "<img src=x onerror=alert(1)>"
    post.publish(status("canopy-1", "degraded", evil), alert(1, model=evil, label=evil))
    page = visit(post.url + "#/devices")
    expect(page.locator("#device-list")).to_contain_text(evil)
    page.goto(post.url + "#/alerts")
    assert page.locator("img").count() == 0
    assert page.evaluate("() => document.scripts.length") == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_word(language: str) -> None:
    english = json.loads((PAGE / "en.json").read_text())
    words = json.loads((PAGE / f"{language}.json").read_text())
    assert words.keys() == english.keys()
    for key, word in words.items():
        assert set(re.findall(r"\{\w+\}", word)) == set(re.findall(r"\{\w+\}", english[key])), key


def test_every_word_that_the_page_asks_for_is_there() -> None:
    english = json.loads((PAGE / "en.json").read_text())
    for script in PAGE.glob("*.js"):
        for key in re.findall(r'\bt\("([\w.]+)"', script.read_text()):
            assert key in english, f"{script.name}: {key}"


def test_the_language_is_chosen_and_remembered(post: Post, visit: Visit) -> None:
    post.publish(alert())
    page = visit(post.url)
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Language").select_option("pt")
    expect(page.locator("#tab-alerts")).to_have_text("Alertas")
    expect(page.locator("#rows")).to_contain_text("Motosserra")
    page.reload()
    expect(page.locator("#tab-alerts")).to_have_text("Alertas")
    assert page.evaluate("() => document.documentElement.lang") == "pt"


def test_a_broker_that_is_gone_is_said_and_its_return_too(
    post: Post, broker: Broker, visit: Visit
) -> None:
    page = visit(post.url)
    expect(page.locator("#connection")).to_have_text("connected")
    broker.kill()
    expect(page.locator("#connection")).to_contain_text("No connection to the broker")
    broker.start()
    expect(page.locator("#connection")).to_have_text("connected", timeout=30_000)
    post.publish(alert())
    expect(page.locator("#rows li")).to_have_count(1)


def test_a_post_that_was_restarted_is_found_again(post: Post, visit: Visit) -> None:
    page = visit(post.url)
    expect(page.locator("#connection")).to_have_text("connected")
    post.stop()
    expect(page.locator("#connection")).to_have_text("No connection to the post")
    post.start()
    expect(page.locator("#connection")).to_have_text("connected", timeout=30_000)
    post.publish(alert())
    expect(page.locator("#rows li")).to_have_count(1)


def test_a_viewer_looks_and_cannot_judge(tmp_path: Path, broker: Broker, visit: Visit) -> None:
    post = Post(tmp_path, broker)
    post.run("--add-user", "vera", "--role", "viewer", given=b"a long password\n")
    post.start()
    try:
        post.publish(alert())
        page = visit(post.url)
        page.get_by_label("Name").fill("vera")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").last.click()
        expect(page.locator("#refused")).to_contain_text("wrong name or password")
        page.get_by_label("Password").fill("a long password")
        page.get_by_role("button", name="Log in").last.click()
        page.locator("#rows li a").click()
        expect(page.get_by_role("button", name="Nothing")).to_be_disabled()
        expect(page.locator("#detail")).to_contain_text("Rangers give verdicts.")
    finally:
        post.stop()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_those_who_see_or_move_differently(
    post: Post, visit: Visit, clip: bytes, theme: Any
) -> None:
    post.publish(status("canopy-7"), health("canopy-7"), alert(), clip=clip)
    page = visit(post.url, PHONE, color_scheme=theme, reduced_motion="reduce")
    expect(page.locator("#rows li")).to_have_count(1)
    views = ["alerts", f"alert/{detection(1).event_id}", "map", "devices", "device/canopy-7"]
    for view in views:
        page.goto(f"{post.url}#/{view}")
        page.wait_for_timeout(200)  # Nothing says that a view is drawn to its end.
        found = Axe().run(page)
        assert not found.violations_count, f"{view}: {found.generate_report()}"
