"""Ten thousand devices at one post, in a browser."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import expect

from rainwatchd.post.messages import Health, Status, milliseconds, text
from rainwatchd.post.records.store import Store
from tests.broker import Broker
from tests.post.browser import PHONE, Visit, url
from tests.post.running import running

pytestmark = pytest.mark.slow

DEVICES = 10_000
SILENT = "board-07321"


def fill(folder: Path, devices: int = DEVICES) -> None:
    """Write what a large fleet has last said straight into the store; one is offline."""
    now_ms = milliseconds("2999-01-01T00:00:00.000Z")
    health = Health(
        device_id="board",
        time=text(now_ms),
        clock_synced=True,
        uptime_s=1e5,
        level_dbfs=-47.2,
        overruns=0,
        gaps=0,
        drops=0,
        real_time_factor=0.2,
        latency_s=0.3,
        outbox_depth=0,
        outbox_dropped=0,
        disk_free_bytes=10**10,
        temperature_c=51.5,
        top_scores={"chainsaw": 0.02},
    )
    status = Status(
        device_id="board",
        state="online",
        reasons=[],
        version="0.2.0",
        model="rainwatch 1",
        model_digest="0" * 64,
    )
    said = msgspec.json.encode(status), msgspec.json.encode(health)
    store = Store(folder)
    with store.writing() as db:
        db.executemany(
            "INSERT INTO devices (device_id, heard_ms, state, status, health, lat, lon, rev)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    f"board-{number:05}",
                    now_ms,
                    "offline" if f"board-{number:05}" == SILENT else "online",
                    *said,
                    -3.0 - 0.01 * (number // 100),
                    -60.0 + 0.01 * (number % 100),
                    number,
                )
                for number in range(devices)
            ],
        )
    store.close()


def test_the_silent_one_of_ten_thousand_is_found_on_a_phone(
    tmp_path: Path, broker: Broker, visit: Visit
) -> None:
    fill(tmp_path / "state")
    with running(tmp_path, broker.port) as post:
        page = visit(url(post) + "#/devices", PHONE, has_touch=True, is_mobile=True)
        expect(page.locator("#tab-devices")).to_have_text("Devices✕1")
        names = page.locator("#device-list h2")
        expect(names.first).to_have_text(SILENT)
        # A part of them, and more when they are wanted.
        expect(names).to_have_count(100)
        page.get_by_role("button", name="More").tap()
        expect(names).to_have_count(200)
        page.get_by_label("Find a device").fill("0912")
        expect(names).to_have_count(11)
        page.get_by_role("link", name="Map").tap()
        marks = page.locator("#map svg a")
        expect(marks.first).to_be_attached()
        assert marks.count() < 200
        # What needs somebody shows through, however many hang around it.
        silent = page.locator("#map svg a:has(.worst)")
        expect(silent).to_have_count(1)
        for _ in range(12):
            if not silent.count():
                break
            silent.tap()
        page.locator(f"#map svg a[data-device='{SILENT}']").tap()
        expect(page.locator("#device-title")).to_have_text(SILENT)
