"""Ten thousand devices at one post, in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.broker import Broker
from tests.post.browser import PHONE, Visit, url
from tests.post.crowd import SILENT, fill
from tests.post.running import running

pytestmark = pytest.mark.slow


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
            # The map is drawn anew a little later.
            page.evaluate("() => { document.querySelector('#map svg a').old = true; }")
            silent.tap()
            page.wait_for_function("() => !document.querySelector('#map svg a')?.old")
        page.locator(f"#map svg a[data-device='{SILENT}']").tap()
        expect(page.locator("#device-title")).to_have_text(SILENT)
