"""The ranger's page in a real browser, before a real post and a real broker."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import soundfile
import soxr
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from rainwatchd.alerts.topics import Topics
from rainwatchd.decision.events import Detection, Health, Status, utc_text
from tests.broker import Broker, Subscriber, until
from tests.detections import detection
from tests.post.browser import PHONE, Visit, url
from tests.post.running import Publisher, RunningPost, running
from tests.post.said import health

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "rainwatchd/post/page"
CHAINSAW = Path(__file__).parents[1] / "recordings/chainsaw/esc10_freesound-19898.ogg"

LANGUAGES = ("de", "es", "fr", "id", "pt")


@pytest.fixture
def post(tmp_path: Path, broker: Broker) -> Iterator[RunningPost]:
    with running(tmp_path, broker.port) as started:
        yield started


@pytest.fixture
def device(broker: Broker) -> Iterator[Device]:
    with Device(broker.port) as connected:
        yield connected


class Device(Publisher):
    """Says what a device says, with its sound."""

    def publish(self, *messages: Detection | Status | Health, clip: bytes | None = None) -> None:
        for message in messages:
            topics = Topics(message.device_id)
            if isinstance(message, Detection):
                self.detect(message)
            else:
                topic = topics.status if isinstance(message, Status) else topics.health
                self.say(topic, msgspec.json.encode(message), retain=True)
            if clip is not None and isinstance(message, Detection):
                self.say(topics.clip(message.event_id), clip)
        self.sent()


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


def test_on_a_phone_the_newest_alert_is_found_heard_and_answered(
    post: RunningPost, device: Device, broker: Broker, visit: Visit, clip: bytes
) -> None:
    with Subscriber(broker.port) as subscriber:
        page = visit(url(post), PHONE, has_touch=True, is_mobile=True)
        expect(page.locator("#connection")).to_have_text("connected")
        older, newer = alert(1, label="engine"), alert(2, device_id="canopy-8")
        device.publish(older, ended(older), newer, clip=clip)
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
        page.get_by_role("button", name="True alarm").tap()
        expect(page.locator(".given")).to_contain_text("True alarm · hut")
        until(lambda: subscriber.on(f"/feedback/{newer.event_id}"), "the verdict at the broker")
        (verdict,) = subscriber.on(f"/feedback/{newer.event_id}")
        assert verdict.topic.startswith("rainwatch/canopy-8/")
        assert verdict.json["event_id"] == newer.event_id
        assert verdict.json["by"] == "hut"
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]
        page.get_by_role("button", name="Back").tap()
        expect(first).to_contain_text("True alarm")


def test_an_event_that_ends_stops_lasting(post: RunningPost, device: Device, visit: Visit) -> None:
    page = visit(url(post))
    onset = alert()
    device.publish(onset)
    row = page.locator("#rows li").first
    expect(row).to_contain_text("lasts")
    device.publish(ended(onset))
    expect(row).to_contain_text("ago")
    expect(page.locator("#rows li")).to_have_count(1)


def test_what_came_late_or_by_a_wrong_clock_is_called_so(
    post: RunningPost, device: Device, visit: Visit
) -> None:
    device.publish(alert(1, historical=True), alert(2, clock_synced=False))
    page = visit(url(post))
    expect(page.locator("#rows")).to_contain_text("delivered late")
    expect(page.locator("#rows")).to_contain_text("clock not set")


def test_a_silent_device_is_on_the_tab_and_on_top_of_the_list(
    post: RunningPost, device: Device, visit: Visit
) -> None:
    device.publish(status("canopy-1"), health("canopy-1"))
    device.publish(
        status("canopy-2", "offline"), status("canopy-3", "degraded", "microphone: gone")
    )
    page = visit(url(post), PHONE)
    tab = page.get_by_role("link", name="Devices, 1 silent")
    expect(tab).to_have_text("Devices✕1")
    tab.click()
    cards = page.locator("#device-list li h2")
    expect(cards).to_have_text(["canopy-2", "canopy-3", "canopy-1"])
    expect(page.locator("#device-list")).to_contain_text("microphone: gone")
    page.get_by_role("link", name="canopy-1").click()
    expect(page.locator("#device")).to_contain_text("51.5\u202f°C")
    expect(page.locator("#device")).to_contain_text("12.3\u202fGB")
    expect(page.locator("#device figure")).to_have_count(6)


def test_a_device_that_falls_silent_without_a_word_is_noticed(
    post: RunningPost, device: Device, visit: Visit
) -> None:
    page = visit("about:blank", PHONE)
    page.clock.install()
    device.publish(status("canopy-1"), health("canopy-1"))
    page.goto(url(post) + "#/devices")
    expect(page.locator("#device-list .state")).to_contain_text("online")
    page.clock.fast_forward("06:00")
    expect(page.locator("#device-list .state")).to_contain_text("silent (online)")
    expect(page.locator("#tab-devices")).to_have_text("Devices✕1")


def test_ages_go_by_the_clock_of_the_post(post: RunningPost, device: Device, visit: Visit) -> None:
    page = visit("about:blank", PHONE)
    page.clock.install(time=datetime.now(UTC) - timedelta(hours=5))
    onset = alert(start=utc_text(datetime.now(UTC) - timedelta(minutes=3, seconds=30)))
    device.publish(ended(onset))
    page.goto(url(post))
    expect(page.locator("#rows .age")).to_have_text("3 min. ago")


def test_the_map_shows_who_hangs_where_and_what_was_heard(
    tmp_path: Path, broker: Broker, device: Device, visit: Visit
) -> None:
    lines = {
        "type": "Feature",
        "properties": {"name": "Rio Verde", "waterway": "river"},
        "geometry": {"type": "LineString", "coordinates": [[-60.1, -3.1], [-59.9, -3.2]]},
    }
    (tmp_path / "rivers.geojson").write_text(json.dumps(lines))
    rivers = {"geojson_file": str(tmp_path / "rivers.geojson")}
    with running(tmp_path, broker.port, map=rivers) as post:
        device.publish(alert(1), status("canopy-7"), alert(2, device_id="lost", lat=None, lon=None))
        page = visit(url(post) + "#/map", PHONE)
        expect(page.locator("#map svg a")).to_have_attribute(
            "aria-label", re.compile("canopy-7, online, Chainsaw")
        )
        expect(page.locator("#map path.way-river title")).to_have_text("Rio Verde")
        expect(page.locator("#map text.quiet")).to_have_text("Rio Verde")
        expect(page.locator("#map .audible")).to_have_count(1)
        expect(page.locator("#map .scalebar")).to_contain_text("km")
        expect(page.locator(".unplaced")).to_contain_text("lost")
        before = page.locator("#map svg a").get_attribute("transform")
        page.get_by_role("button", name="Closer").click()
        expect(page.locator("#map svg a")).not_to_have_attribute("transform", before or "")
        page.get_by_role("button", name="All").click()
        page.locator("#map svg a").click()
        expect(page.locator("#title")).to_contain_text("Chainsaw")
        page.locator("#detail").get_by_role("link", name="Map", exact=True).click()
        expect(page.locator("#map .audible.wanted")).to_have_count(1)


def test_a_picture_lies_under_the_map(
    tmp_path: Path, broker: Broker, device: Device, visit: Visit
) -> None:
    Image.new("RGB", (40, 20), (20, 120, 40)).save(tmp_path / "forest.png")
    picture = {
        "picture_file": str(tmp_path / "forest.png"),
        "picture_bounds": {"north": -3.0, "south": -3.2, "west": -60.2, "east": -59.8},
    }
    with running(tmp_path, broker.port, map=picture) as post:
        device.publish(status("canopy-7"), alert(1, lat=-3.1, lon=-60.0))
        page = visit(url(post) + "#/map")
        ground = page.locator("#map image")
        expect(ground).to_have_attribute("href", "map/picture")
        said = page.request.get(url(post) + "map/picture")
        assert said.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(said.body())).size == (40, 20)
        # The device hangs in the middle of it.
        x, y, width, height = (
            float(ground.get_attribute(name) or "") for name in ("x", "y", "width", "height")
        )
        place = page.locator("#map svg a").get_attribute("transform") or ""
        at = [float(one) for one in re.findall(r"-?[\d.]+", place)]
        assert at == pytest.approx([x + width / 2, y + height / 2], abs=1)


NOTIFICATIONS = """
window.shown = [];
class Told {
  static permission = "default";
  static async requestPermission() { return (Told.permission = "granted"); }
  constructor(title, { body }) { window.shown.push(`${title}: ${body}`); }
}
window.Notification = Told;
window.AudioContext = class extends AudioContext {
  createOscillator() {
    window.tones = (window.tones ?? 0) + 1;
    return super.createOscillator();
  }
};
Object.defineProperty(document, "hidden", { get: () => true });
"""

PLAIN = 'Object.defineProperty(window, "isSecureContext", { get: () => false });'


@pytest.mark.parametrize("secure", [True, False])
def test_an_alert_sounds_and_over_tls_is_notified(
    secure: bool, tmp_path: Path, broker: Broker, device: Device, visit: Visit, certificates: Path
) -> None:
    # A browser takes loopback for secure: without TLS it is told that it isn't.
    files = {
        "tls_cert_file": str(certificates / "server.crt"),
        "tls_key_file": str(certificates / "server.key"),
    }
    post = RunningPost(tmp_path, broker.port, listen=files if secure else {})
    post.start()
    try:
        until(lambda: "connected to the broker" in post.log, "the post to subscribe")
        page = visit("about:blank", ignore_https_errors=True)
        page.add_init_script(NOTIFICATIONS + ("" if secure else PLAIN))
        page.goto(f"http{'s' if secure else ''}://127.0.0.1:{post.port}/")
        # What came before the page was told of news is not rung for.
        expect(page.locator("#connection")).to_have_class("fine")
        page.locator("#sound").click()
        expect(page.locator("#sound")).to_have_attribute("aria-pressed", "true")
        tones = page.evaluate("window.tones")
        device.publish(alert(1), alert(2, historical=True))
        expect(page.locator("#rows li")).to_have_count(2)
        assert page.evaluate("window.tones") == 2 * tones
        shown = page.evaluate("window.shown")
        assert len(shown) == (1 if secure else 0)
        assert all(re.match("Chainsaw: .*canopy-7", one) for one in shown)
    finally:
        post.close()


def test_the_list_is_of_one_device_where_its_name_is_given(
    post: RunningPost, device: Device, visit: Visit
) -> None:
    device.publish(*(alert(number, device_id=f"canopy-{number}") for number in (1, 2, 3)))
    page = visit(url(post))
    expect(page.locator("#rows li")).to_have_count(3)
    page.get_by_text("Filter").click()
    name = page.get_by_label("Device", exact=True)
    name.fill("y-2")
    offered = page.locator("#device-names option")
    expect(offered).to_have_count(1)
    expect(offered).to_have_attribute("value", "canopy-2")
    name.fill("canopy-2")
    name.press("Enter")
    expect(page.locator("#rows li")).to_have_count(1)
    expect(page.locator("#rows")).to_contain_text("canopy-2")


def test_devices_that_hang_close_to_each_other_are_one_mark_that_a_touch_takes_apart(
    post: RunningPost, device: Device, visit: Visit
) -> None:
    for number, metres in enumerate((0, 40, 9000)):
        lat = -3.1 - metres / 111_320
        device.publish(
            status(f"canopy-{number}", "offline" if number == 1 else "online"),
            alert(number, device_id=f"canopy-{number}", lat=lat, lon=-60.0),
        )
    page = visit(url(post) + "#/map", PHONE, has_touch=True, is_mobile=True)
    several = page.locator("#map svg a", has=page.locator(".count"))
    expect(several).to_have_attribute("aria-label", re.compile("2 devices here, silent, Chainsaw"))
    expect(page.locator("#map svg a")).to_have_count(2)
    several.tap()
    expect(page.locator("#map svg a[data-device='canopy-1']")).to_have_count(1)
    expect(page.locator("#map svg a[data-device='canopy-0']")).to_have_count(1)


def test_keys_move_and_judge(
    post: RunningPost, device: Device, broker: Broker, visit: Visit
) -> None:
    device.publish(alert(1, label="engine"), alert(2))
    with Subscriber(broker.port) as subscriber:
        page = visit(url(post))
        expect(page.locator("#rows li")).to_have_count(2)
        page.keyboard.press("j")
        expect(page.locator("#title")).to_contain_text("Chainsaw")
        page.keyboard.press("j")
        expect(page.locator("#title")).to_contain_text("Engine")
        page.keyboard.press("f")
        expect(page.locator(".given")).to_contain_text("False alarm")
        page.keyboard.press("k")
        expect(page.locator("#title")).to_contain_text("Chainsaw")
        page.keyboard.press("u")
        expect(page.locator(".given")).to_contain_text("Unsure")
        until(lambda: len(subscriber.on(detection(2).event_id)) >= 1, "the last verdict")


def test_several_devices_that_hear_one_saw_are_one_incident(
    post: RunningPost, device: Device, visit: Visit
) -> None:
    device.publish(
        alert(1, device_id="canopy-1", lat=-3.1, lon=-60.0),
        alert(2, device_id="canopy-2", lat=-3.105, lon=-60.0),
        alert(3, device_id="canopy-3", lat=-4.0, lon=-60.0),
    )
    page = visit(url(post))
    expect(page.locator("#rows li")).to_have_count(3)
    expect(page.locator("#rows .joined")).to_have_count(2)
    expect(page.locator("#rows .joined").first).to_contain_text("one incident, 2 devices")


def test_hostile_text_stays_text(post: RunningPost, device: Device, visit: Visit) -> None:
    evil = "<img src=x onerror=alert(1)>"
    device.publish(status("canopy-1", "degraded", evil), alert(1, model=evil, label=evil))
    page = visit(url(post) + "#/devices")
    expect(page.locator("#device-list")).to_contain_text(evil)
    page.goto(url(post) + "#/alerts")
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


def test_the_language_is_chosen_and_remembered(
    post: RunningPost, device: Device, visit: Visit
) -> None:
    device.publish(alert())
    page = visit(url(post))
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Language").select_option("pt")
    expect(page.locator("#tab-alerts")).to_have_text("Alertas")
    expect(page.locator("#rows")).to_contain_text("Motosserra")
    page.reload()
    expect(page.locator("#tab-alerts")).to_have_text("Alertas")
    assert page.evaluate("() => document.documentElement.lang") == "pt"


def test_a_broker_that_is_gone_is_said_and_its_return_too(
    post: RunningPost, device: Device, broker: Broker, visit: Visit
) -> None:
    page = visit(url(post))
    expect(page.locator("#connection")).to_have_text("connected")
    broker.kill()
    expect(page.locator("#connection")).to_contain_text("No connection to the broker")
    broker.start()
    expect(page.locator("#connection")).to_have_text("connected", timeout=30_000)
    device.publish(alert())
    expect(page.locator("#rows li")).to_have_count(1)


def test_a_post_that_was_restarted_is_found_again(
    post: RunningPost, device: Device, visit: Visit
) -> None:
    page = visit(url(post))
    expect(page.locator("#connection")).to_have_text("connected")
    post.stop()
    expect(page.locator("#connection")).to_have_text("No connection to the post")
    post.start()
    post.until_serving()
    expect(page.locator("#connection")).to_have_text("connected", timeout=30_000)
    device.publish(alert())
    expect(page.locator("#rows li")).to_have_count(1)


def test_a_viewer_looks_and_cannot_judge(
    tmp_path: Path, broker: Broker, device: Device, visit: Visit
) -> None:
    post = RunningPost(tmp_path, broker.port)
    post.run("--add-user", "vera", "--role", "viewer", stdin="a long password\n")
    post.start()
    try:
        post.until_ready()
        device.publish(alert())
        page = visit(url(post))
        page.get_by_label("Name").fill("vera")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").last.click()
        expect(page.locator("#refused")).to_contain_text("wrong name or password")
        page.get_by_label("Password").fill("a long password")
        page.get_by_role("button", name="Log in").last.click()
        page.locator("#rows li a").click()
        expect(page.get_by_role("button", name="False alarm")).to_be_disabled()
        expect(page.locator("#detail")).to_contain_text("Rangers give verdicts.")
    finally:
        post.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_those_who_see_or_move_differently(
    post: RunningPost, device: Device, visit: Visit, clip: bytes, theme: Any
) -> None:
    device.publish(status("canopy-7"), health("canopy-7"), alert(), clip=clip)
    page = visit(url(post), PHONE, color_scheme=theme, reduced_motion="reduce")
    expect(page.locator("#rows li")).to_have_count(1)
    views = ["alerts", f"alert/{detection(1).event_id}", "map", "devices", "device/canopy-7"]
    for view in views:
        page.goto(f"{url(post)}#/{view}")
        page.wait_for_timeout(200)  # Nothing says that a view is drawn to its end.
        found = Axe().run(page)
        assert not found.violations_count, f"{view}: {found.generate_report()}"
