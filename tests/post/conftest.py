"""A browser and visits to the page with it; the shipped broker and a post that logs in to it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.broker import Broker
from tests.post.browser import DESK, Visit, chromium
from tests.post.running import RunningPost, running

CONFIGS = Path(__file__).parents[2] / "configs"
USERS = ("canopy-7", "canopy-8", "post-north", "viewer")

# A busy machine takes its time.
expect.set_options(timeout=120_000)


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
        context.set_default_timeout(120_000)
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


def password_file(folder: Path, user: str) -> str:
    path = folder / f"{user}.password"
    path.write_text(f"secret of {user}\n")
    return str(path)


@pytest.fixture
def fleet_broker(tmp_path: Path) -> Iterator[Broker]:
    """The shipped mosquitto.conf and mosquitto.acl, on loopback without TLS."""
    folder = tmp_path / "broker"
    folder.mkdir()
    passwords = folder / "passwd"
    passwords.touch()
    for user in USERS:
        subprocess.run(
            ["mosquitto_passwd", "-b", passwords, user, f"secret of {user}"],
            check=True,
            capture_output=True,
        )
    places = {
        "password_file": passwords,
        "acl_file": CONFIGS / "mosquitto.acl",
        "persistence_location": f"{folder}/",
    }
    lines = []
    for line in (CONFIGS / "mosquitto.conf").read_text().splitlines():
        key = line.partition(" ")[0]
        if key in {"listener", "certfile", "keyfile", "set_tcp_nodelay"}:
            continue
        lines.append(f"{key} {places[key]}" if key in places else line)
    broker = Broker(folder, "\n".join(lines))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def north(tmp_path: Path, fleet_broker: Broker) -> Iterator[RunningPost]:
    folder = tmp_path / "post"
    folder.mkdir()
    login = {"user": "post-north", "password_file": password_file(folder, "post-north")}
    with running(folder, fleet_broker.port, name="north", mqtt=login) as post:
        yield post
