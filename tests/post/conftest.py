"""A browser, and visits to the page with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.post.browser import DESK, Visit, chromium

# A busy machine takes its time.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


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
