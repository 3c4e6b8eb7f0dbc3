"""Debian's Chromium without a window, and what visits of the page have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from tests.post.running import RunningPost

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 800}

Visit = Callable[..., Page]

# Without these it looks for its maker's servers all the time, and waits for a finger to play.
_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def url(post: RunningPost) -> str:
    return f"http://127.0.0.1:{post.port}/"
