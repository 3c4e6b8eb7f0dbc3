"""From the outbox to a real broker, whatever the broker and the network do."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rainwatchd.alerts.broker.mqtt import MqttError, MqttOptions
from rainwatchd.alerts.broker.session import Session
from rainwatchd.alerts.outbox import Outbox, OutboxOptions
from rainwatchd.alerts.topics import Topics
from rainwatchd.alerts.uplink import Uplink
from rainwatchd.errors import RainwatchError
from rainwatchd.post.session import PostSession
from tests.broker import PATIENCE_S, Broker, Subscriber, free_port, running, until
from tests.detections import PHASES, event
from tests.schemas import validator

TOPICS = Topics("canopy-7")
ONLINE = b'{"state":"online"}'
OFFLINE = b'{"state":"offline"}'
GONE = b'{"state":"gone"}'

GREEDY = {"backlog_rate_hz": 1000.0, "backoff_max_s": 1.0}


class Device:
    """An outbox and an uplink, as the daemon has them."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.troubles: list[str | None] = []
        self.outbox = Outbox(directory, OutboxOptions(), lambda _: None)
        self.uplink = Uplink(
            MqttOptions(**(GREEDY | {"host": "127.0.0.1"} | options)),
            TOPICS,
            self.outbox,
            GONE,
            self.troubles.append,
        )
        self.uplink.retain(TOPICS.status, ONLINE)

    def put(self, *numbers: int) -> None:
        for number in numbers:
            for message in event(number):
                self.outbox.put(message)
                self.uplink.wake()

    def await_trouble(self, part: str) -> str:
        try:
            until(lambda: part in (self.trouble or ""), f"{part!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}, have {self.troubles}") from None
        return self.trouble or ""

    def await_empty(self) -> None:
        until(lambda: self.outbox.depth == 0, "the outbox to empty")

    @property
    def trouble(self) -> str | None:
        return self.troubles[-1] if self.troubles else None


@contextmanager
def device(directory: Path, **options: Any) -> Iterator[Device]:
    started = Device(directory / "state", **options)
    started.uplink.start()
    try:
        yield started
    finally:
        started.uplink.stop(5.0, OFFLINE)
        started.outbox.close()


def test_detections_arrive_whole_in_order_and_by_the_schema(tmp_path: Path, broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber, device(tmp_path, port=broker.port) as canopy:
        until(lambda: canopy.uplink.connected, "a connection")
        canopy.put(1)
        until(lambda: len(subscriber.detections) == 3, "three messages")

        assert [message["phase"] for message in subscriber.detections] == list(PHASES)
        assert not any(message["historical"] for message in subscriber.detections)
        for message in subscriber.detections:
            validator("detection").validate(message)
        assert {m.topic for m in subscriber.on("detection")} == {"rainwatch/canopy-7/detection"}
        canopy.await_empty()


def test_status_is_retained_and_says_goodbye(tmp_path: Path, broker: Broker) -> None:
    with device(tmp_path, port=broker.port) as canopy:
        until(lambda: canopy.uplink.connected, "a connection")
        with Subscriber(broker.port) as subscriber:
            until(lambda: subscriber.states, "the retained status")
            assert subscriber.states == ["online"]
            assert subscriber.on("/status")[0].retained
            canopy.uplink.retain(TOPICS.status, b'{"state":"degraded"}')
            until(lambda: subscriber.states[-1] == "degraded", "the new status")
            canopy.uplink.stop(5.0, OFFLINE)
            until(lambda: subscriber.states[-1] == "offline", "the farewell")
            time.sleep(0.1)
            assert subscriber.states[-1] == "offline", "no Last Will after a farewell"


def test_last_will_tells_of_a_device_that_was_cut_off(tmp_path: Path, broker: Broker) -> None:
    with Subscriber(broker.port) as subscriber:
        session = Session(
            MqttOptions(host="127.0.0.1", port=broker.port), "canopy-7", (TOPICS.status, GONE)
        )
        session.open()
        wake, _other = socket.socketpair()
        while not session.connected:
            session.poll(wake.fileno(), 1.0)
        session.close(take_leave=False)

        until(lambda: "gone" in subscriber.states, "the Last Will")


def test_health_may_be_lost_but_does_not_pile_up(tmp_path: Path, broker: Broker) -> None:
    with device(tmp_path, port=free_port()) as canopy:
        for minute in range(1000):
            canopy.uplink.offer(f"{TOPICS.health}/{minute}", str(minute).encode(), retain=True)
        assert len(canopy.uplink._offers) <= 16
    with Subscriber(broker.port) as subscriber, device(tmp_path, port=broker.port) as canopy:
        canopy.uplink.offer(TOPICS.health, b"7", retain=True)
        until(lambda: len(subscriber.received) >= 2, "health")

        assert [m.payload for m in subscriber.on("/health")] == [b"7"]


def clip(number: int) -> tuple[str, str]:
    """The arguments by which an event's clip is sent."""
    return event(number)[0].event_id, f"{number}.flac"


def clips(subscriber: Subscriber) -> list[str]:
    return [message.topic for message in subscriber.received if "/clip/" in message.topic]


def test_clips_outlast_an_outage_and_a_restart_behind_all_alerts(
    tmp_path: Path, broker: Broker
) -> None:
    away = Device(tmp_path / "state", port=free_port())
    for number in range(3):
        away.put(number)
        away.uplink.send_clip(*clip(number))
    away.outbox.close()

    def read(name: str) -> bytes | None:
        return None if name == "1.flac" else name.encode()

    with Subscriber(broker.port) as subscriber:
        canopy = Device(tmp_path / "state", port=broker.port)
        canopy.uplink.read_clips(read)
        canopy.uplink.start()
        canopy.await_empty()
        canopy.uplink.stop(5.0, OFFLINE)
        canopy.outbox.close()
        until(lambda: len(clips(subscriber)) == 2, "the clips")
        heard = [m for m in subscriber.received if "/detection" in m.topic or "/clip/" in m.topic]
        assert [m.payload for m in heard[9:]] == [b"2.flac", b"0.flac"]
        assert heard[9].topic == TOPICS.clip(clip(2)[0])


def test_a_clip_beyond_the_brokers_limit_does_not_end_the_session(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    settings = "allow_anonymous true\nmax_packet_size 20000"
    with (
        running(tmp_path / "broker", settings) as broker,
        Subscriber(broker.port) as subscriber,
        device(tmp_path, port=broker.port) as canopy,
    ):
        canopy.uplink.read_clips(lambda name: bytes(100_000 if name == "2.flac" else 1000))
        canopy.uplink.send_clip(*clip(2))
        canopy.uplink.send_clip(*clip(1))
        canopy.await_empty()
        until(lambda: clips(subscriber), "the small clip")

        assert clips(subscriber) == [TOPICS.clip(clip(1)[0])]
        assert canopy.troubles == [None] or canopy.troubles == []


def test_backlog_of_an_outage_arrives_marked_and_newest_first(
    tmp_path: Path, broker: Broker
) -> None:
    canopy = Device(tmp_path / "state", port=broker.port)
    canopy.put(1, 2, 3)
    canopy.outbox.close()
    with Subscriber(broker.port) as subscriber, device(tmp_path, port=broker.port) as canopy:
        canopy.await_empty()
        until(lambda: len(subscriber.detections) == 9, "the backlog")

        assert all(message["historical"] for message in subscriber.detections)
        onsets = [m["event_id"] for m in subscriber.detections if m["phase"] == "onset"]
        assert onsets == sorted(onsets, reverse=True)


def keys(subscriber: Subscriber) -> set[tuple[str, int]]:
    return {(message["event_id"], message["seq"]) for message in subscriber.detections}


def test_a_broker_that_comes_late_and_dies_often_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    try:
        with device(tmp_path, port=broker.port) as canopy:
            canopy.put(0)
            canopy.await_trouble("nothing listens there")
            put = {0}
            seen: set[tuple[str, int]] = set()
            for round_ in range(3):
                broker.start()
                with Subscriber(broker.port) as subscriber:
                    canopy.put(2 * round_ + 1)
                    put.add(2 * round_ + 1)
                    canopy.await_empty()
                    wanted = {(m.event_id, m.seq) for number in put for m in event(number)} - seen
                    until(lambda: wanted <= keys(subscriber), "all that was put")  # noqa: B023
                    seen |= keys(subscriber)
                broker.kill()
                canopy.put(2 * round_ + 2)
                put.add(2 * round_ + 2)
    finally:
        broker.kill()


def test_a_frozen_broker_is_left_and_what_it_took_is_sent_again(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rainwatchd.alerts.delivery.ACKNOWLEDGE_WITHIN_S", 1.0)
    monkeypatch.setattr("rainwatchd.alerts.broker.session.CONNECT_TIMEOUT_S", 1.0)
    with Subscriber(broker.port) as subscriber, device(tmp_path, port=broker.port) as canopy:
        until(lambda: canopy.uplink.connected, "a connection")
        broker.send(signal.SIGSTOP)
        canopy.put(1)
        canopy.await_trouble("does not acknowledge")
        canopy.await_trouble("does not answer")
        broker.send(signal.SIGCONT)
        canopy.await_empty()
        until(lambda: len({m["seq"] for m in subscriber.detections}) == 3, "all phases")


def test_password(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    users = tmp_path / "broker" / "users"
    with running(tmp_path / "broker", f"password_file {password_file(users)}") as broker:
        secret = tmp_path / "secret"
        secret.write_text("wrong\n")
        with device(tmp_path, port=broker.port, user="ranger", password_file=str(secret)) as canopy:
            canopy.put(1)
            assert "check mqtt.user" in canopy.await_trouble("Not authorized")
            assert canopy.outbox.depth == 3
            secret.write_text("liana\n")
            canopy.await_empty()
            assert canopy.trouble is None


def test_a_user_without_a_password_is_told_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broker").mkdir()
    users = tmp_path / "broker" / "users"
    without = "mqtt.user is ranger, without a password: mqtt.password_file is null, and "
    with running(tmp_path / "broker", f"password_file {password_file(users)}") as broker:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
        with device(tmp_path, port=broker.port, user="ranger") as canopy:
            said = canopy.await_trouble("Not authorized")
            unmanaged = "systemd, which hands over the one in /etc/credstore, didn't start this"
            assert f"; {without}{unmanaged}" in said
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
        with device(tmp_path, port=broker.port, user="ranger") as canopy:
            said = canopy.await_trouble("Not authorized")
            assert said.endswith(
                f"{without}systemd found none in /etc/credstore when it started this"
            )


def test_password_as_a_systemd_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broker").mkdir()
    users = tmp_path / "broker" / "users"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt-user").write_text("ranger\n")
    (tmp_path / "mqtt-password").write_text("liana\n")
    with (
        running(tmp_path / "broker", f"password_file {password_file(users)}") as broker,
        device(tmp_path, port=broker.port) as canopy,
    ):
        canopy.put(1)
        canopy.await_empty()


def test_a_missing_certificate_of_the_authority_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    with device(tmp_path, port=1, tls=True, tls_ca_file=str(missing)) as canopy:
        said = canopy.await_trouble("tls_ca_file")
    assert said.endswith(
        f"mqtt.tls_ca_file {missing}: No such file or directory; it should hold the certificate "
        "(PEM) of the authority that signed the broker's"
    )


def test_a_missing_password_file_is_named(tmp_path: Path, broker: Broker) -> None:
    missing = tmp_path / "nowhere"
    with device(tmp_path, port=broker.port, user="ranger", password_file=str(missing)) as canopy:
        assert str(missing) in canopy.await_trouble("No such file")


def test_the_password_is_never_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broker").mkdir()
    users = tmp_path / "broker" / "users"
    secret = tmp_path / "secret"
    secret.write_text("sesame-42")
    with (
        caplog.at_level(logging.DEBUG),
        running(tmp_path / "broker", f"password_file {password_file(users)}") as broker,
        device(tmp_path, port=broker.port, user="ranger", password_file=str(secret)) as canopy,
    ):
        canopy.await_trouble("Not authorized")
    assert "sesame-42" not in caplog.text


def test_a_refused_publish_is_reported_and_its_message_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rainwatchd.alerts.delivery.REFUSED_FIRST_S", 0.2)
    (tmp_path / "broker").mkdir()
    acl = tmp_path / "broker" / "acl"
    acl.write_text("topic readwrite rainwatch/+/status\ntopic read #\n")
    acl.chmod(0o600)
    settings = f"allow_anonymous true\nacl_file {acl}"
    with (
        running(tmp_path / "broker", settings) as broker,
        Subscriber(broker.port) as subscriber,
        device(tmp_path, port=broker.port) as canopy,
    ):
        canopy.put(1)
        trouble = canopy.await_trouble("rainwatch/canopy-7/detection refused: Not authorized")
        assert "access list" in trouble
        assert canopy.outbox.depth == 3
        # mosquitto 2.0.11 hangs up after a refusal; the trouble stays the same.
        until(lambda: canopy.uplink.connected, "a connection")
        assert "refused" in (canopy.trouble or "")
        assert subscriber.detections == []

        acl.write_text("topic readwrite rainwatch/#\n")
        broker.send(signal.SIGHUP)
        canopy.await_empty()
        assert canopy.trouble is None
        # Two connections: the device may be answered before the subscriber has its message.
        until(lambda: len(subscriber.detections) == len(PHASES), "all phases")
        assert [m["phase"] for m in subscriber.detections] == list(PHASES)


def tls_settings(certificates: Path, name: str, more: str = "") -> str:
    return (
        f"allow_anonymous true\ncafile {certificates / 'ca.crt'}\n"
        f"certfile {certificates / name}.crt\nkeyfile {certificates / name}.key\n{more}"
    )


def tls_options(certificates: Path, authority: str = "ca") -> dict[str, Any]:
    return {"tls": True, "host": "localhost", "tls_ca_file": str(certificates / f"{authority}.crt")}


def test_tls_with_an_authority_of_ones_own(tmp_path: Path, certificates: Path) -> None:
    (tmp_path / "broker").mkdir()
    context = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
    with (
        running(tmp_path / "broker", tls_settings(certificates, "server")) as broker,
        Subscriber(broker.port, tls=context) as subscriber,
        device(tmp_path, port=broker.port, **tls_options(certificates)) as canopy,
    ):
        canopy.put(*range(20))
        canopy.await_empty()
        until(lambda: len(subscriber.detections) == 60, "all of it")


@pytest.mark.parametrize(
    ("server", "options", "trouble"),
    [
        ("server", {"tls_ca_file": None}, "certificate not accepted: "),
        ("server", {"authority": "stranger"}, "certificate not accepted"),
        ("expired", {}, "certificate has expired"),
        ("server", {"host": "127.0.0.2"}, "certificate not accepted: IP address mismatch"),
        ("server", {"tls": False, "tls_ca_file": None}, "it may want mqtt.tls"),
    ],
)
def test_a_broker_that_cannot_prove_itself_gets_nothing(
    tmp_path: Path, certificates: Path, server: str, options: dict[str, Any], trouble: str
) -> None:
    (tmp_path / "broker").mkdir()
    chosen = tls_options(certificates, options.pop("authority", "ca")) | options
    settings = tls_settings(certificates, server)
    with (
        running(tmp_path / "broker", settings, address="0.0.0.0") as broker,
        device(tmp_path, port=broker.port, **chosen) as canopy,
    ):
        canopy.put(1)
        canopy.await_trouble(trouble)
        assert canopy.outbox.depth == 3
        assert not canopy.uplink.connected


def test_client_certificate(tmp_path: Path, certificates: Path) -> None:
    (tmp_path / "broker").mkdir()
    settings = tls_settings(certificates, "server", "require_certificate true\n")
    shown = {
        "tls_cert_file": str(certificates / "client.crt"),
        "tls_key_file": str(certificates / "client.key"),
    }
    with running(tmp_path / "broker", settings) as broker:
        options = {"port": broker.port} | tls_options(certificates)
        with device(tmp_path, **options) as canopy:
            canopy.put(1)
            assert "mqtt.tls_cert_file" in canopy.await_trouble("client certificate")
        with device(tmp_path, **(options | shown)) as canopy:
            canopy.await_empty()
        with device(tmp_path, **(options | shown | {"tls_key_file": "/nowhere"})) as canopy:
            assert "/nowhere" in canopy.await_trouble("mqtt.tls_cert_file")


def test_tls_to_a_broker_without_it(tmp_path: Path, broker: Broker, certificates: Path) -> None:
    with device(tmp_path, port=broker.port, **tls_options(certificates)) as canopy:
        canopy.await_trouble("check mqtt.port and mqtt.tls")


def test_a_host_that_does_not_resolve(tmp_path: Path) -> None:
    with device(tmp_path, host="broker.invalid") as canopy:
        assert "mqtt.host" in canopy.await_trouble("cannot be resolved")
    with device(tmp_path, host="bro..ker") as canopy:
        assert "mqtt.host" in canopy.await_trouble("cannot be resolved")


@contextmanager
def stranger(answer: bytes | None) -> Iterator[int]:
    """A server that takes every connection, gives one answer or none, and keeps it open."""
    server = socket.create_server(("127.0.0.1", 0))
    connections = []

    def accept() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connections.append(connection)
            if answer is not None:
                connection.sendall(answer)

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()[1]
    server.close()
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("tls", [False, True])
def test_a_broker_that_accepts_and_never_answers(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    monkeypatch.setattr("rainwatchd.alerts.broker.session.CONNECT_TIMEOUT_S", 0.5)
    with stranger(None) as port:
        options = tls_options(certificates) if tls else {}
        with device(tmp_path, port=port, **options) as canopy:
            canopy.put(1)
            canopy.await_trouble("no answer" if tls else "does not answer")
            assert canopy.outbox.depth == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x20\x03\x00\x00",
        b"\x20\x00",
        b"\x20\x7f",
        b"\x20\xff\xff\xff\xff\xff",
        b"\xe0\x00",
        b"\x20\x05\x00\x00\x02\xff\xff",
        b"\x00" * 64,
        b"\x20\x03\x00\x86\x00",
    ],
)
def test_a_server_that_speaks_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr("rainwatchd.alerts.broker.session.CONNECT_TIMEOUT_S", 0.5)
    with stranger(answer) as port, device(tmp_path, port=port) as canopy:
        canopy.put(1)
        until(lambda: canopy.trouble, "some trouble")
        assert canopy.uplink._thread.is_alive()
        assert canopy.outbox.depth == 3


def test_trouble_is_one_warning_however_long_it_lasts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rainwatchd.alerts.broker.reconnection.FIRST_BACKOFF_S", 0.01)
    with (
        caplog.at_level(logging.DEBUG),
        device(tmp_path, port=free_port(), backoff_max_s=1.0) as canopy,
    ):
        until(lambda: caplog.text.count("nothing listens") >= 4, "four tries")
        levels = [r.levelname for r in caplog.records if "nothing listens" in r.message]
        assert levels[0] == "WARNING"
        assert set(levels[1:]) == {"DEBUG"}
        assert len(canopy.troubles) == 1


def test_two_devices_of_one_name_are_told_so(tmp_path: Path) -> None:
    # mosquitto only hangs up; other brokers say why, in a DISCONNECT with the reason 0x8e.
    welcome, taken_over = b"\x20\x03\x00\x00\x00", b"\xe0\x01\x8e"
    with stranger(welcome + taken_over) as port, device(tmp_path, port=port) as canopy:
        canopy.await_trouble("does another device have this device_id?")


def test_an_error_that_nobody_foresaw_does_not_end_the_thread(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("rainwatchd.alerts.delivery.Delivery.due", broken)
        with device(tmp_path, port=broker.port) as canopy:
            canopy.put(1)
            canopy.await_trouble("unexpected error: ZeroDivisionError()")
            patch.undo()
            canopy.await_empty()


def test_stop_takes_the_outbox_along_when_the_broker_is_there(
    tmp_path: Path, broker: Broker
) -> None:
    with Subscriber(broker.port) as subscriber:
        with device(tmp_path, port=broker.port) as canopy:
            until(lambda: canopy.uplink.connected, "a connection")
            canopy.put(*range(50))
        until(lambda: len(subscriber.detections) == 150, "all of it")
        until(lambda: subscriber.states[-1] == "offline", "the farewell")
        last = [message.topic for message in subscriber.received][-1]
        assert last == TOPICS.status


def test_stop_does_not_wait_for_a_broker_that_is_away(tmp_path: Path) -> None:
    with device(tmp_path, port=free_port()) as canopy:
        canopy.put(1)
        canopy.await_trouble("nothing listens")
        canopy.uplink.stop(PATIENCE_S, OFFLINE)
        assert not canopy.uplink._thread.is_alive()
        assert canopy.outbox.depth == 3
        # What ends after it may still have something to say.
        canopy.uplink.retain(TOPICS.status, b'{"state":"degraded"}')
        canopy.put(2)
        assert canopy.outbox.depth == 6


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"host": "broker.example", "password_file": "/x"}, "plain text: set mqtt.tls"),
        ({"tls_ca_file": "/x"}, "tls: true"),
        ({"tls": True, "tls_key_file": "/x"}, "tls_cert_file"),
    ],
)
def test_options_that_contradict_themselves(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        MqttOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"host": "localhost"},
        {"host": "127.0.0.1"},
        {"host": "::1"},
        {"host": "broker.example", "tls": True},
        {"host": "10.0.0.7", "allow_plaintext_password": True},
    ],
)
def test_passwords_may_go_where_nobody_listens_in(options: dict[str, Any]) -> None:
    MqttOptions(password_file="/x", **options)


def test_a_credential_does_not_go_in_plain_text_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "mqtt-password").write_text("liana")
    session = Session(MqttOptions(host="192.0.2.1"), "canopy-7", (TOPICS.status, GONE))

    with pytest.raises(RainwatchError, match="plain text"):
        session.open()


def password_file(path: Path) -> Path:
    """The user ranger, whose password is liana."""
    path.write_text("ranger:liana\n")
    subprocess.run(["mosquitto_passwd", "-U", str(path)], check=True)
    return path


def tell(broker: Broker, topic: str, payload: str) -> None:
    publish = ["mosquitto_pub", "-p", str(broker.port), "-V", "5", "-q", "1"]
    subprocess.run([*publish, "-t", topic, "-m", payload], check=True)


def test_what_is_told_to_the_device_reaches_it_even_while_it_is_away(
    tmp_path: Path, broker: Broker
) -> None:
    topic, heard = "rainwatch/canopy-7/feedback/1", list[tuple[str, bytes]]()

    def keep(topic: str, payload: bytes) -> None:
        heard.append((topic, payload))
        raise ZeroDivisionError

    def listening(name: str) -> Device:
        canopy = Device(tmp_path / name, port=broker.port)
        canopy.uplink.subscribe("rainwatch/canopy-7/feedback/#", keep, qos=1)
        canopy.uplink.start()
        until(lambda: canopy.uplink.connected, "a connection")
        return canopy

    canopy = listening("first")
    tell(broker, topic, "true")
    until(lambda: heard, "the first verdict")
    assert canopy.uplink.connected, "an error over one message ends no session"
    canopy.uplink.stop(5.0, OFFLINE)
    canopy.outbox.close()
    tell(broker, topic, "false")
    canopy = listening("second")
    until(lambda: len(heard) > 1, "the second verdict")
    canopy.uplink.stop(5.0, OFFLINE)
    canopy.outbox.close()
    assert heard == [(topic, b"true"), (topic, b"false")]


def test_an_onset_does_not_wait_for_the_next_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rainwatchd.alerts.broker.reconnection.FIRST_BACKOFF_S", 3600.0)
    monkeypatch.setattr("rainwatchd.alerts.broker.reconnection.URGENT_FLOOR_S", 0.1)
    (tmp_path / "broker").mkdir()
    broker = Broker(tmp_path / "broker")
    with device(tmp_path, port=broker.port, backoff_max_s=3600.0) as canopy:
        canopy.await_trouble("nothing listens there")
        broker.start()
        canopy.put(1)
        canopy.uplink.urge()
        canopy.await_empty()
    broker.stop()


def test_two_devices_with_one_name_on_a_real_broker(tmp_path: Path, broker: Broker) -> None:
    with (
        device(tmp_path / "a", port=broker.port) as one,
        device(tmp_path / "b", port=broker.port) as other,
    ):
        until(
            lambda: any("have the device_id canopy-7 too?" in (x or "") for x in one.troubles),
            "the hint",
        )
        assert "lost 3 times within seconds of the broker's welcome" in str(one.troubles)
        assert other.troubles


@pytest.mark.parametrize("answer", [b"\x20\x02\x00\x01", b"\x20\x03\x00\x84\x00"])
def test_a_broker_that_is_too_old_for_mqtt_5(tmp_path: Path, answer: bytes) -> None:
    with stranger(answer) as port, device(tmp_path, port=port) as canopy:
        assert "password" not in canopy.await_trouble("MQTT 5 is needed")
        post = PostSession(MqttOptions(port=port), "post", "rainwatch/+/#")
        post.open()
        wake = os.eventfd(0)
        with pytest.raises(MqttError, match="MQTT 5 is needed"):
            while True:
                post.gather(wake, PATIENCE_S)
        os.close(wake)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ("mqtt://broker.lan", "write host: broker.lan"),
        ("mqtts://me:secret@broker.lan:8884/x", "write host: broker.lan, port: 8884, tls: true"),
        ("broker.lan:1884", "write host: broker.lan, port: 1884"),
        ("[fd00::1]:1884", "write host: fd00::1, port: 1884"),
        ("broker.lan/", "write host: broker.lan"),
    ],
)
def test_a_url_is_no_host(given: str, advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice) + "$"):
        MqttOptions(host=given)


@pytest.mark.parametrize("host", ["broker.lan", "localhost", "fd00::1", "::1", "10.0.0.7"])
def test_names_and_addresses_are_hosts(host: str) -> None:
    assert MqttOptions(host=host).address == (host, 1883)
