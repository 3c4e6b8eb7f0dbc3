"""One session with an MQTT broker; the only module of the device that knows paho.

`connect` and `exchange` serve the post's session as well.

MQTT version 5, because only that tells when a broker refuses a publish: under 3.1.1 a message
that an access list denies is reported as delivered.
"""

from __future__ import annotations

import logging
import select
import ssl
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from rainwatchd.alerts.broker.credentials import (
    Credentials,
    changed_password,
    no_password,
    read_credentials,
)
from rainwatchd.alerts.broker.mqtt import (
    CONNECT_TIMEOUT_S,
    PLAINTEXT,
    BrokerOptions,
    MqttError,
    explained,
    tls_context,
)
from rainwatchd.errors import ConfigError

log = logging.getLogger(__name__)

KEPT_FOR_S = 30 * 24 * 3600
"""How long the broker is asked to keep what it should deliver at least once, for a device that is
away."""

MAX_RECEIVED_BYTES = 64 << 10
"""The broker keeps larger packets to itself; what a device is told is some hundred bytes."""

_MAX_IN_FLIGHT = 20
"""What paho sends before acknowledgements come; beyond it would queue in memory of its own."""

_WANTS_MQTT_5 = "MQTT 5 is needed, this broker speaks an older version only: update the broker"

Handler = Callable[[str, bytes], None]
"""Given topic and payload of a message. With QoS 1 the broker is told on return that it is kept."""


class Sent(NamedTuple):
    """A message beside the outbox's whose acknowledgement is awaited."""

    topic: str
    payload: bytes


class Acknowledgement(NamedTuple):
    """The broker's answer to a publish with QoS 1."""

    message_id: int
    refusal: str | None
    """Why the broker did not take it, None if it did."""


class Session:
    """One connection, from TCP to its end; for a single thread.

    A new connection is a new session: nothing is carried over that the outbox does not hold. Only
    with a subscription of QoS 1 does the broker keep messages for the device meanwhile.
    """

    def __init__(self, options: BrokerOptions, device_id: str, will: tuple[str, bytes]) -> None:
        self.connected = False
        self.acknowledged: list[Acknowledgement] = []
        """Answers since the caller last emptied the list."""
        self.denied: dict[str, str] = {}
        """Topics that the broker does not let this device subscribe to, and why."""
        self.max_packet_bytes: int | None = None
        """The broker's bound of a whole packet, where it names one."""
        self.max_in_flight = _MAX_IN_FLIGHT
        """Publishes with QoS 1 that may await their acknowledgement at once."""
        self._options = options
        self._where = "broker {}:{}".format(*options.address)
        self._ended: str | None = None
        self._hint = "check mqtt.user, its password and the broker's log"
        self._deadline_s = 0.0
        self._wanted: dict[str, int] = {}
        self._asked: dict[int | None, str] = {}
        client = Client(CallbackAPIVersion.VERSION2, f"rainwatchd-{device_id}", protocol=MQTTv5)
        client.will_set(will[0], will[1], qos=1, retain=True)
        client.max_inflight_messages_set(_MAX_IN_FLIGHT)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        self._client = client

    def subscribe(self, topic: str, handler: Handler, *, qos: int = 0) -> None:
        """Have `handler` given, by the thread that polls, what comes on `topic`; before `open`.

        `topic` may hold wildcards. An error of the handler is logged and the message lost.
        """

        def receive(_client: Client, _data: Any, message: MQTTMessage) -> None:
            try:
                handler(message.topic, bytes(message.payload))
            except Exception:
                # A message that the broker gave again and again would end every connection.
                log.exception("mqtt: unexpected error over a message on %s", topic)

        self._wanted[topic] = qos
        self._client.message_callback_add(topic, receive)

    def open(self) -> None:
        """Connect and ask for a session; `connected` turns true in a later `poll`.

        Raises `MqttError` naming the broker, the reason and the option to look at.
        """
        options = self._options
        wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        wishes.MaximumPacketSize = MAX_RECEIVED_BYTES
        kept = any(self._wanted.values())
        if kept:
            wishes.SessionExpiryInterval = KEPT_FOR_S
        credentials = connect(self._client, options, self._where, wishes, clean_start=not kept)
        if credentials.user and credentials.password is None:
            # Some brokers take a user alone; only a refusal shows that this one doesn't.
            self._hint = no_password(credentials.user)
        elif changed := changed_password(options.password_file):
            self._hint = f"{self._hint}; {changed}"
        self._deadline_s = time.monotonic() + CONNECT_TIMEOUT_S

    def poll(self, wake_fd: int, timeout_s: float) -> None:
        """Exchange what is due with the broker; wait for it, for `wake_fd`, or for the timeout.

        Raises `MqttError` once the session is over.
        """
        exchange(self._client, self._where, wake_fd, timeout_s)
        if self._client.socket() is None:
            raise MqttError(f"{self._where}: {self._ended or 'connection lost'}")
        if not self.connected and time.monotonic() > self._deadline_s:
            raise MqttError(f"{self._where}: accepts connections but does not answer")

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        """Send a message; return the id under which a QoS 1 message will be acknowledged."""
        return self._client.publish(topic, payload, qos=qos, retain=retain).mid

    def close(self, *, take_leave: bool) -> None:
        """End the connection; unless it takes leave, the broker sends the Last Will."""
        if take_leave and self.connected:
            self._client.disconnect()
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _on_connect(
        self,
        client: Client,
        _data: Any,
        _flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._ended = refused(reason, self._hint)
            return
        self.connected = True
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self.max_in_flight = min(_MAX_IN_FLIGHT, getattr(properties, "ReceiveMaximum", 65535))
        for topic, qos in self._wanted.items():
            self._asked[client.subscribe(topic, qos)[1]] = topic

    def _on_subscribe(
        self, _client: Client, _data: Any, message_id: int, reasons: list[ReasonCode], _: Any
    ) -> None:
        topic = self._asked.pop(message_id, None)
        if topic is not None and reasons[0].is_failure:
            self.denied[topic] = str(reasons[0])

    def _on_publish(
        self, _client: Client, _data: Any, message_id: int, reason: ReasonCode, _properties: Any
    ) -> None:
        refusal = str(reason) if reason.is_failure else None
        self.acknowledged.append(Acknowledgement(message_id, refusal))

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            taken = "; does another device have this device_id?"
            hint = taken if reason == "Session taken over" else ""
            self._ended = f"ended the session: {reason}{hint}"
        elif self._ended is None and not self.connected:
            self._ended = hung_up(self._options)
        self.connected = False


def refused(reason: ReasonCode, hint: str) -> str:
    """Say why a broker refuses a connection; `hint` is what is mostly to blame."""
    return _WANTS_MQTT_5 if reason == "Unsupported protocol version" else f"{reason}; {hint}"


def hung_up(options: BrokerOptions) -> str:
    """Say what it may be that a broker ends a connection before it has answered."""
    hint = "a client certificate (mqtt.tls_cert_file)" if options.tls else "mqtt.tls"
    return f"hung up before it answered; if this lasts, it may want {hint}, or not know MQTT 5"


def connect(
    client: Client, options: BrokerOptions, where: str, wishes: Properties, *, clean_start: bool
) -> Credentials:
    """Sign in at the broker, which is at `where`, and ask for a session; return user and password.

    Its answer comes with a later `exchange`. Raises `MqttError` with the reason.
    """
    try:
        credentials = _sign_in(client, options)
        client.connect_async(
            *options.address,
            keepalive=options.keepalive_s,
            clean_start=clean_start,
            properties=wishes,
        )
        client.reconnect()
    except ConfigError as error:
        raise MqttError(str(error)) from error
    except (OSError, ValueError) as error:
        raise MqttError(f"{where}: {explained(error)}") from error
    return credentials


def _sign_in(client: Client, options: BrokerOptions) -> Credentials:
    """Give the client user, password and certificates; return the first two.

    Raises `MqttError` where the password would travel in the clear, `ConfigError` where it or a
    certificate can't be read.
    """
    credentials = read_credentials(options.user, options.password_file)
    if credentials.password is not None and options.exposes_password:
        raise MqttError(PLAINTEXT.format(host=options.host))
    client.username_pw_set(credentials.user, credentials.password)
    if options.tls:
        client.tls_set_context(tls_context(options))
    return credentials


def exchange(client: Client, where: str, wake_fd: int | None, timeout_s: float) -> bool:
    """Exchange what is due with the broker at `where`; return whether anything was to be read.

    Waits for it, for `wake_fd`, or for the timeout. Raises `MqttError` where no MQTT is spoken.
    """
    connection = client.socket()
    if connection is None:
        return False
    poller = select.poll()
    writes = select.POLLOUT if client.want_write() else 0
    poller.register(connection.fileno(), select.POLLIN | writes)
    if wake_fd is not None:
        poller.register(wake_fd, select.POLLIN)
    # Bytes that TLS has decrypted already never show up in poll().
    decrypted = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
    ready = dict(poller.poll(0 if decrypted else timeout_s * 1000))
    flags = ready.get(connection.fileno(), 0)
    readable = decrypted or bool(flags & ~select.POLLOUT)
    try:
        if readable:
            client.loop_read()
        if flags & select.POLLOUT:
            client.loop_write()
        client.loop_misc()
    except Exception as error:
        # What paho raises on bytes that are not MQTT is whatever its parser stumbled over.
        raise MqttError(f"{where}: does not speak MQTT ({error!r})") from error
    return readable
