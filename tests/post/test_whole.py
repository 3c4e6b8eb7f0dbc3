"""A real daemon with a microphone, the broker as shipped, the post, and a ranger in a browser."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from playwright.sync_api import Page, expect

from rainwatchd.alerts.topics import Topics
from rainwatchd.clips.labels import decode
from tests.broker import Broker, Subscriber, until
from tests.live import LiveDaemon
from tests.microphone import RATE_HZ, SoundServer
from tests.post.browser import PHONE, Visit, url
from tests.post.conftest import password_file
from tests.post.running import PROGRAM as POST
from tests.post.running import RunningPost

pytestmark = pytest.mark.slow

RECORDINGS = Path(__file__).parents[1] / "recordings"
CHAINSAW = RECORDINGS / "chainsaw/esc10_freesound-19898.ogg"
FOREST = RECORDINGS / "background/bird_whizz_forest_birds.ogg"

LOOK_S = 4.0
"""Instead of a minute, so that its end can be waited for; the post asks twice as often."""

DAEMON = f"""
import sys
from rainwatchd.cli import main
from rainwatchd.service import spectrum
spectrum.LOOK_S = {LOOK_S}
sys.exit(main())
"""
ASKING_POST = f"import rainwatchd.post.web.live as live; live.LOOK_S = {LOOK_S / 2}; {POST}"


@pytest.fixture
def canopy(tmp_path: Path, sound_server: SoundServer, fleet_broker: Broker) -> Iterator[LiveDaemon]:
    """The daemon with the shipped model, which sends its sound and, when asked, its spectrum."""
    folder = tmp_path / "device"
    folder.mkdir()
    daemon = LiveDaemon(
        folder,
        sound_server.environment,
        lat=-3.1,
        lon=-60.0,
        mqtt={
            "port": fleet_broker.port,
            "backoff_max_s": 1,
            "live_spectrum": True,
            "user": "canopy-7",
            "password_file": password_file(folder, "canopy-7"),
        },
        clips={"publish": True, "min_free_bytes": 0},
    )
    daemon.start(program=(sys.executable, "-c", DAEMON))
    yield daemon
    daemon.close()


@pytest.fixture
def hut(tmp_path: Path, fleet_broker: Broker) -> Iterator[RunningPost]:
    folder = tmp_path / "hut"
    folder.mkdir()
    login = {"user": "post-north", "password_file": password_file(folder, "post-north")}
    post = RunningPost(folder, fleet_broker.port, mqtt=login)
    with post.up(program=(sys.executable, "-c", ASKING_POST)):
        yield post


def sound(path: Path, duration_s: float) -> np.ndarray:
    """Return a recording at the sink's rate, repeated or cut to a length."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.resize(
        soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), round(duration_s * RATE_HZ)
    )


def columns_drawn(page: Page) -> int:
    """Count the seconds that the live spectrogram shows."""
    return int(
        page.evaluate(
            "() => { const canvas = document.querySelector('.listen canvas');"
            " const { data, width } = canvas.getContext('2d').getImageData("
            "0, canvas.height - 1, canvas.width, 1);"
            " let drawn = 0; for (let x = 0; x < width; x++) drawn += data[4 * x + 3] > 0;"
            " return drawn; }"
        )
    )


def test_a_saw_is_heard_seen_played_and_answered_and_the_device_keeps_the_answer(
    canopy: LiveDaemon, hut: RunningPost, sound_server: SoundServer, visit: Visit
) -> None:
    page = visit(url(hut), PHONE, has_touch=True, is_mobile=True)
    canopy.until_ready()
    sound_server.play(np.concatenate([sound(FOREST, 3), sound(CHAINSAW, 7), sound(FOREST, 600)]))
    # In the list while it lasts.
    row = page.locator("#rows li", has_text="Chainsaw").first
    expect(row).to_contain_text("canopy-7", timeout=60_000)
    # On the map, and from there to the alert.
    page.get_by_role("link", name="Map").tap()
    mark = page.locator("#map svg a[data-device='canopy-7']")
    expect(mark).to_have_attribute("aria-label", re.compile("canopy-7, online, Chainsaw"))
    mark.tap()
    expect(page.locator("#title")).to_contain_text("Chainsaw")
    # Its sound comes when it has been recorded, decodes and plays.
    page.wait_for_selector("#heard[data-decoded-s]", timeout=60_000)
    assert float(page.locator("#heard").get_attribute("data-decoded-s") or 0) > 5
    page.evaluate("() => document.querySelector('audio').play()")
    page.wait_for_function("() => document.querySelector('audio').currentTime > 0.5")
    expect(page.locator(".playhead")).to_be_visible()
    # The answer goes all the way to the label beside the device's own recording.
    page.get_by_role("button", name="True alarm").tap()
    expect(page.locator(".given")).to_contain_text("True alarm · hut")
    event_id = page.url.rpartition("/")[2]
    labels = canopy.state / "clips"

    def answered() -> bool:
        found = [decode(path.read_bytes()) for path in labels.rglob("*.json")]
        return any(one.event_id == event_id and one.judged for one in found)

    canopy.until(answered, "the verdict on the device's disk")
    (label,) = (
        decode(path.read_bytes())
        for path in labels.rglob("*.json")
        if json.loads(path.read_bytes())["event_id"] == event_id
    )
    assert label.last is not None
    assert (label.last.verdict, label.last.by) == ("true", "hut")
    assert label.label == "chainsaw"
    expect(page.locator(".given")).not_to_contain_text("not yet at the broker")
    # A battery takes no leave: the broker tells.
    assert canopy.process is not None
    canopy.process.kill()
    expect(page.locator("#tab-devices")).to_have_text("Devices✕1")


def test_a_device_is_listened_to_while_somebody_looks_and_not_longer(
    canopy: LiveDaemon,
    hut: RunningPost,
    fleet_broker: Broker,
    sound_server: SoundServer,
    visit: Visit,
) -> None:
    canopy.until_ready()
    sound_server.play(sound(CHAINSAW, 600))
    with Subscriber(fleet_broker.port, "viewer", "secret of viewer") as link:
        until(lambda: hut.get("/devices/canopy-7").status == 200, "the device at the post")
        page = visit(url(hut) + "#/device/canopy-7", PHONE)
        expect(page.get_by_role("button", name="Listen")).to_be_visible()
        assert not link.on(Topics("canopy-7").look)
        page.get_by_role("button", name="Listen").click()
        # Longer than one request is good for: the post goes on asking.
        canopy.until(lambda: len(link.on("/spectrum")) > 2 * LOOK_S, "columns")
        until(lambda: columns_drawn(page) > LOOK_S, "the picture to grow")
        colours = page.evaluate(
            "() => new Set(document.querySelector('.listen canvas').getContext('2d')"
            ".getImageData(60, 0, 60, 64).data).size"
        )
        assert colours > 20
        assert {len(json.loads(one.payload)["bands"]) for one in link.on("/spectrum")} == {88}
        # Whoever leaves says no word; the device falls silent all the same, and goes on hearing.
        page.get_by_role("link", name="Alerts").click()
        pause_s = 3.0

        def silent() -> bool:
            return time.monotonic() - link.on("/spectrum")[-1].at_s > pause_s

        canopy.until(silent, "the device to fall silent")
        asked = len(link.on("/look"))
        canopy.until_heartbeat()
        assert len(link.on("/look")) == asked
        assert not any(one.retained for one in [*link.on("/look"), *link.on("/spectrum")])
