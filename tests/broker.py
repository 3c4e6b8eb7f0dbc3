"""A real mosquitto on a random loopback port, and a subscriber that keeps what it receives."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

PATIENCE_S = 30.0
"""How long anything may take before a test gives up; nothing waits as long when all is well."""


def stop_loop(client: Client) -> None:
    """Wait for the thread of a client that has disconnected."""
    # It may take itself away between paho's look at it and paho's join.
    with suppress(AttributeError):
        client.loop_stop()


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for something that other threads or processes bring about."""
    deadline_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline_s, f"waited {patience_s} s for {what}"
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """mosquitto with its own configuration; `settings` are lines of mosquitto.conf."""

    def __init__(
        self,
        directory: Path,
        settings: str = "allow_anonymous true",
        address: str = "127.0.0.1",
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self._config = directory / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} {address}\nuser root\nset_tcp_nodelay true\n"
            f"max_queued_messages 0\nmax_inflight_messages 0\n{settings}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with (self.directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/usr/sbin/mosquitto", "-c", str(self._config)], stdout=log, stderr=log
            )
        until(self._listens, "mosquitto to listen")

    def _listens(self) -> bool:
        assert self._process is not None
        log = (self.directory / "mosquitto.log").read_text()
        assert self._process.poll() is None, f"mosquitto ended: {log}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait(10)

    def kill(self) -> None:
        """End it as a power cut does: no Last Will, no farewell."""
        self.stop(signal.SIGKILL)


@dataclass(frozen=True)
class Received:
    topic: str
    payload: bytes
    retained: bool
    at_s: float

    @property
    def json(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.payload)
        return decoded


@dataclass
class Subscriber:
    """Receives every topic; survives the broker's restarts, and so does its subscription."""

    port: int
    user: str | None = None
    password: str | None = None
    tls: Any = None
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> Subscriber:
        self._ready = threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        client.username_pw_set(self.user, self.password)
        if self.tls is not None:
            client.tls_set_context(self.tls)
        client.reconnect_delay_set(0.05, 0.1)  # type: ignore[arg-type]
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1" if self.tls is None else "localhost", self.port)
        client.loop_start()
        self._client = client
        assert self._ready.wait(PATIENCE_S), "subscriber: no answer from mosquitto"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        stop_loop(self._client)

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        self._client.publish(topic, payload, qos)

    def unsubscribed(self) -> None:
        """Say that the broker it was subscribed to is gone."""
        self._ready.clear()

    def await_subscription(self) -> None:
        """Wait until it is subscribed again to a broker that was restarted."""
        assert self._ready.wait(PATIENCE_S), "subscriber: no answer from mosquitto"

    def _on_connect(self, client: Client, *_: Any) -> None:
        client.subscribe("#", qos=1)

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.received.append(
            Received(message.topic, bytes(message.payload), message.retain, time.monotonic())
        )

    def on(self, suffix: str) -> list[Received]:
        return [message for message in self.received if message.topic.endswith(suffix)]

    @property
    def detections(self) -> list[dict[str, Any]]:
        return [message.json for message in self.on("/detection")]

    @property
    def states(self) -> list[str]:
        return [message.json["state"] for message in self.on("/status")]


@contextmanager
def running(
    directory: Path, settings: str = "allow_anonymous true", address: str = "127.0.0.1"
) -> Iterator[Broker]:
    broker = Broker(directory, settings, address)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that lets everyone in."""
    directory = tmp_path / "broker"
    directory.mkdir()
    with running(directory) as started:
        yield started


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files .crt and .key: a `ca`, `server`, `expired` and `client` by it, and a `stranger`."""
    directory = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for authority in ("ca", "stranger"):
        openssl(
            *("req", "-x509", *key, "-days", "30", "-subj", f"/CN=rainwatchd test {authority}"),
            *("-keyout", f"{authority}.key", "-out", f"{authority}.crt"),
        )
    (directory / "names.ext").write_text("subjectAltName = DNS:localhost, IP:127.0.0.1\n")
    for name, days in (("server", "30"), ("expired", "-1"), ("client", "30")):
        openssl(
            *("req", *key, "-subj", f"/CN={name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-days", days, "-extfile", "names.ext", "-out", f"{name}.crt"),
        )
    return directory
