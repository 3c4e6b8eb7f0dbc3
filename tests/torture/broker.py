"""A broker that breaks the protocol: garbage, lies, silence; then an honest one at its address."""

from __future__ import annotations

import random
import shutil
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import msgspec

from rainwatchd.alerts import delivery, uplink
from rainwatchd.alerts.broker import reconnection, session
from rainwatchd.alerts.broker.mqtt import MqttOptions
from rainwatchd.alerts.outbox import Outbox, OutboxOptions
from rainwatchd.alerts.topics import Topics
from rainwatchd.alerts.uplink import Uplink
from tests.broker import until
from tests.detections import event
from tests.torture.mutation import damaged

CONNECT, CONNACK, PUBLISH, PUBACK, PINGREQ, DISCONNECT = 1, 2, 3, 4, 12, 14

_PROPERTIES = (
    b"",
    b"\x21\x00\x00",  # Receive Maximum 0, which the standard forbids
    b"\x21\x00\x01",  # Receive Maximum 1
    b"\x27\x00\x00\x00\x00",  # Maximum Packet Size 0
    b"\x27\x00\x00\x00\x40",  # Maximum Packet Size 64
    b"\x24\x00",  # Maximum QoS 0
    b"\x25\x00",  # no retained messages
    b"\x13\x00\x01",  # Server Keep Alive 1 s
    b"\x22\xff\xff",  # Topic Alias Maximum
    b"\x12\x00\x03\xff\xfe\xfd",  # an assigned client identifier that is no UTF-8
    b"\x11\xff\xff\xff\xff" * 2,  # Session Expiry Interval, twice
    b"\x7f\x00",  # no such property
)


def packet(kind: int, body: bytes, flags: int = 0) -> bytes:
    """Frame an MQTT control packet."""
    length, encoded = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        encoded += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([kind << 4 | flags]) + encoded + body


def connack(reason: int = 0, properties: bytes = b"", session_present: int = 0) -> bytes:
    """Answer a CONNECT."""
    return packet(CONNACK, bytes([session_present, reason, len(properties)]) + properties)


@dataclass
class Server:
    """Takes one connection after another; the first `hostile` ones have evil answers."""

    rng: random.Random
    hostile: int
    seen: set[tuple[str, int]] = field(default_factory=set)

    def __enter__(self) -> Server:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._closing = False
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._listener.close()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server of the torment itself hangs"

    def _accept(self) -> None:
        self._listener.settimeout(0.1)
        while not self._closing:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            connection.settimeout(0.1)
            with connection, suppress(OSError):
                self._serve(connection, self.hostile > 0)
            self.hostile -= 1

    def _serve(self, connection: socket.socket, hostile: bool) -> None:
        rng = self.rng
        patience = rng.randint(1, 40) if hostile else None
        if hostile and rng.random() < 0.15:
            connection.sendall(rng.randbytes(rng.randint(1, 300)))
        silent = hostile and rng.random() < 0.1
        received = b""
        while not self._closing and (patience is None or patience > 0):
            try:
                new = connection.recv(65536)
            except TimeoutError:
                new = None
                if patience is not None:
                    patience -= 1
            if new == b"":
                return
            received += new or b""
            while (found := _split(received)) is not None:
                kind, flags, body, received = found
                if patience is not None:
                    patience -= 1
                self._note(kind, flags, body)
                if not silent:
                    answer = _answer(kind, flags, body)
                    connection.sendall(self._worse(answer, kind) if hostile else answer)

    def _note(self, kind: int, flags: int, body: bytes) -> None:
        if kind == PUBLISH and flags >> 1 & 3:
            (topic_bytes,) = struct.unpack_from(">H", body)
            if not body[2 : 2 + topic_bytes].endswith(b"/detection"):
                return
            properties = body[4 + topic_bytes]
            detection = msgspec.json.decode(body[5 + topic_bytes + properties :])
            self.seen.add((detection["event_id"], detection["seq"]))

    def _worse(self, answer: bytes, kind: int) -> bytes:
        rng = self.rng
        choice = rng.random()
        if choice < 0.3:
            return answer
        if kind == CONNECT and choice < 0.7:
            reason = rng.choice((0, 0, 0, 0x80, 0x87, 0x89, 0x9C, 0xFF))
            return connack(reason, rng.choice(_PROPERTIES), rng.choice((0, 0, 1, 255)))
        if choice < 0.5:
            return damaged(answer or b"\x00", rng)
        if choice < 0.6:
            return b""
        unasked = (
            packet(PUBACK, struct.pack(">H", rng.randrange(1 << 16))),
            packet(PUBACK, struct.pack(">HBB", rng.randint(1, 30), 0x87, 0)),
            packet(5, struct.pack(">H", rng.randint(1, 30)), rng.choice((0, 2))),
            packet(7, struct.pack(">H", rng.randint(1, 30))),
            packet(9, struct.pack(">HBB", rng.randint(1, 30), 0, 0)),
            packet(13, b""),
            packet(15, b"\x00\x00"),
            packet(0, b""),
            packet(DISCONNECT, rng.choice((b"", b"\x8b", b"\x9d\x00", b"\xff\xff\xff"))),
            connack(0),
            packet(PUBLISH, b"\x00\x01#" + rng.randbytes(20), rng.randrange(16)),
            packet(PUBLISH, b"\xff\xff" + rng.randbytes(20)),
            packet(CONNECT, b"\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00"),
            b"\x30\xff\xff\xff\x7f" + rng.randbytes(500),
            b"\x40\xff\xff\xff\xff\xff\xff",
            b"\x40\x00",
        )
        return answer + rng.choice(unasked) if rng.random() < 0.5 else rng.choice(unasked) + answer


def _split(data: bytes) -> tuple[int, int, bytes, bytes] | None:
    """Take the first packet off: kind, flags, body, rest."""
    length = shift = 0
    for at in range(1, min(5, len(data))):
        length |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            end = at + 1 + length
            if len(data) < end:
                return None
            return data[0] >> 4, data[0] & 15, data[at + 1 : end], data[end:]
    return None


def _answer(kind: int, flags: int, body: bytes) -> bytes:
    """Answer as an honest broker."""
    if kind == CONNECT:
        return connack()
    if kind == PINGREQ:
        return packet(13, b"")
    if kind == PUBLISH and flags >> 1 & 3:
        (topic_bytes,) = struct.unpack_from(">H", body)
        return packet(PUBACK, body[2 + topic_bytes : 4 + topic_bytes])
    return b""


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Send events through a few evil sessions; all must arrive once the broker is honest."""
    with ExitStack() as patches:
        # Waits are what they are for the field's sake; the order of things stays the same.
        for module, name, value in (
            (reconnection, "FIRST_BACKOFF_S", 0.01),
            (uplink, "TICK_S", 0.05),
            (session, "CONNECT_TIMEOUT_S", 0.3),
            (delivery, "ACKNOWLEDGE_WITHIN_S", 0.5),
            (delivery, "REFUSED_FIRST_S", 0.05),
        ):
            patches.enter_context(mock.patch.object(module, name, value))

        def trial(rng: random.Random) -> None:
            with Server(rng, rng.randint(1, 4)) as server:
                _deliver(server, folder, rng.randint(1, 20))

        yield trial


def _deliver(server: Server, folder: Path, events: int) -> None:
    directory = folder / "state"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    outbox = Outbox(directory, OutboxOptions(), lambda _: None)
    options = MqttOptions(host="127.0.0.1", port=server.port, backlog_rate_hz=1000.0)
    sender = Uplink(options, Topics("canopy-7"), outbox, b"{}", lambda _: None)
    sender.retain("rainwatch/canopy-7/status", b"{}")
    sender.start()
    wanted = set()
    for number in range(events):
        for detection in event(number):
            wanted.add((detection.event_id, detection.seq))
            outbox.put(detection)
            sender.wake()
    try:
        until(lambda: outbox.depth == 0, "every message to be acknowledged")
    finally:
        sender.stop(2.0, b"{}")
        outbox.close()
    assert server.seen == wanted, f"never sent: {sorted(wanted - server.seen)}"
