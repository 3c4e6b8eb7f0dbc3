"""What the running service hears, for who looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rainwatchd.cli import main
from rainwatchd.service.live_port import MOST_LOOKERS, Glimpse, LivePort, connected
from tests.broker import until

GLIMPSE = Glimpse(
    device_id="canopy-7",
    model="tiny 1",
    state="degraded",
    reasons=["mqtt: nothing listens there"],
    level_dbfs=-41.5,
    real_time_factor=0.1,
    scores={"background": 0.2, "chainsaw": 0.8},
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    # Longer than a socket's name may be.
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    return folder


@pytest.fixture
def port(folder: Path) -> Iterator[LivePort]:
    port = LivePort(folder)
    port.open()
    yield port
    port.close()
    assert list(folder.iterdir()) == []


def test_the_command_shows_level_scores_and_state(
    folder: Path, port: LivePort, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not port.watched
    status: list[int] = []
    words = ["live", "--once", "--state_directory", str(folder)]
    looker = threading.Thread(target=lambda: status.append(main(words)))
    looker.start()
    until(lambda: port.watched, "the looker")
    port.tell(GLIMPSE)
    looker.join(30)
    assert status == [0]
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "canopy-7, tiny 1: degraded; mqtt: nothing listens there",
        " -41.5 dBFS  chainsaw 0.80  background 0.20  0.100 x",
    ]


def test_without_sound_it_shows_the_state_at_once(
    folder: Path, port: LivePort, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["live", "--once", "--state_directory", str(folder)]
    looker = threading.Thread(target=lambda: main(words))
    looker.start()
    until(lambda: port.watched, "the looker")
    port.tell(msgspec.structs.replace(GLIMPSE, level_dbfs=None, real_time_factor=None, scores={}))
    looker.join(30)
    said = capsys.readouterr().out.splitlines()
    assert said == ["canopy-7, tiny 1: degraded; mqtt: nothing listens there"]


def test_who_does_not_read_is_left_and_too_many_are_turned_away(
    folder: Path, port: LivePort
) -> None:
    links = [connected(folder) for _ in range(MOST_LOOKERS)]
    assert port.watched
    extra = connected(folder)
    assert port.watched
    assert extra.recv(10) == b""
    reader = links[0].makefile("rb")
    for _ in range(10_000):
        port.tell(GLIMPSE)
        if not port._lookers[1:]:
            break
        assert msgspec.json.decode(reader.readline(), type=Glimpse) == GLIMPSE
    assert len(port._lookers) == 1
    for link in (*links, extra):
        link.close()


def test_without_a_service_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "--state_directory", str(tmp_path)]) == 1
    assert "no service is listening" in capsys.readouterr().err


def test_a_socket_that_a_killed_service_left_is_replaced(folder: Path) -> None:
    (folder / "live.sock").touch()
    port = LivePort(folder)
    port.open()
    with connected(folder):
        assert port.watched
    port.close()
