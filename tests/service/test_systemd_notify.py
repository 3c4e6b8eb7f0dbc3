"""Datagrams to a socket of our own, as systemd would receive them."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainwatchd.service.systemd_notify import SystemdNotify


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(str(tmp_path / "notify"))
        link.settimeout(5)
        yield link


def test_messages_arrive_in_the_protocol_of_sd_notify(manager: socket.socket) -> None:
    notify = SystemdNotify({"NOTIFY_SOCKET": manager.getsockname()})
    notify.ready()
    notify.watchdog()
    notify.status("degraded:\nmicrophone")
    notify.stopping()
    received = [manager.recv(1000).decode() for _ in range(4)]
    assert received == ["READY=1", "WATCHDOG=1", "STATUS=degraded: microphone", "STOPPING=1"]


def test_a_reload_carries_the_monotonic_time(manager: socket.socket) -> None:
    SystemdNotify({"NOTIFY_SOCKET": manager.getsockname()}).reloading()
    state, stamp = manager.recv(1000).decode().split("\n")
    assert state == "RELOADING=1"
    assert int(stamp.removeprefix("MONOTONIC_USEC=")) > 0


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
        link.bind(f"\0rainwatch-test-{os.getpid()}")
        link.settimeout(5)
        SystemdNotify({"NOTIFY_SOCKET": f"@rainwatch-test-{os.getpid()}"}).ready()
        assert link.recv(100) == b"READY=1"


def test_a_dead_socket_is_reported_once_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notify = SystemdNotify({"NOTIFY_SOCKET": str(tmp_path / "absent")})
    notify.ready()
    notify.watchdog()
    assert [r.levelno for r in caplog.records if r.levelno >= logging.WARNING] == [logging.WARNING]


@pytest.mark.parametrize(
    ("environment", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_systemd_says_so(
    environment: dict[str, str], watchdog_s: float | None
) -> None:
    assert SystemdNotify(environment).watchdog_s == watchdog_s
