"""One session with an MQTT broker; the only module that knows paho.

MQTT version 5, because only that tells when a broker refuses a publish: under 3.1.1 a message
that an access list denies is reported as delivered.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import Annotated, Any, NamedTuple

import msgspec
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from rainwatchd.alerts.credentials import is_loopback, no_password, read_credentials
from rainwatchd.errors import ConfigError, RainwatchError

CONNECT_TIMEOUT_S = 15.0
"""For each of TCP, TLS and the broker's word of welcome; a satellite link takes some seconds."""

_MAX_IN_FLIGHT = 20
"""What paho sends before acknowledgements come; beyond it would queue in memory of its own."""

_CERT_NOT_YET_VALID = 9
"""OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID: what a clock that was never set looks like."""

_PLAINTEXT = (
    "a password would travel to {host} as plain text: set mqtt.tls,"
    " or mqtt.allow_plaintext_password if the network is your own"
)


class MqttError(RainwatchError):
    """The session cannot start or go on; says why."""


class MqttOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of the connection to the broker."""

    host: Annotated[str, msgspec.Meta(min_length=1)] = "localhost"
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """None: 8883 with TLS, else 1883."""
    tls: bool = False
    """Encrypt, and verify the broker's certificate and name."""
    tls_ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    tls_cert_file: str | None = None
    """Certificate that the device shows the broker ..."""
    tls_key_file: str | None = None
    """... and its private key, where the certificate's file doesn't hold it."""
    user: str | None = None
    password_file: str | None = None
    """File that holds the password. Without it systemd's credential ``mqtt-password`` counts."""
    allow_plaintext_password: bool = False
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=3600)] = 60
    backoff_max_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 300.0
    """Longest wait between two tries to connect."""
    backlog_rate_hz: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 10.0
    """Messages a second at which an outage's backlog is sent."""
    home_assistant: bool = False
    """Publish Home Assistant's device discovery."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if not self.tls and (self.tls_ca_file or self.tls_cert_file or self.tls_key_file):
            raise ValueError("tls_ca_file, tls_cert_file and tls_key_file need tls: true")
        if self.tls_key_file and not self.tls_cert_file:
            raise ValueError("tls_key_file needs tls_cert_file")
        if self.password_file and self.exposes_password:
            raise ValueError(_PLAINTEXT.format(host=self.host))

    @property
    def exposes_password(self) -> bool:
        """Whether a password would cross a network in the clear, without leave."""
        return not (self.tls or self.allow_plaintext_password or is_loopback(self.host))

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (8883 if self.tls else 1883)


class Acknowledgement(NamedTuple):
    """The broker's answer to a publish with QoS 1."""

    message_id: int
    refusal: str | None
    """Why the broker did not take it, None if it did."""


class Session:
    """One connection, from TCP to its end; for a single thread.

    A new connection is a new session: nothing is carried over that the outbox does not hold.
    """

    def __init__(self, options: MqttOptions, device_id: str, will: tuple[str, bytes]) -> None:
        self.connected = False
        self.acknowledged: list[Acknowledgement] = []
        """Answers since the caller last emptied the list."""
        self.max_packet_bytes: int | None = None
        """The broker's bound of a whole packet, where it names one."""
        self.max_in_flight = _MAX_IN_FLIGHT
        """Publishes with QoS 1 that may await their acknowledgement at once."""
        self._options = options
        self._where = "broker {}:{}".format(*options.address)
        self._ended: str | None = None
        self._hint = "check mqtt.user, its password and the broker's log"
        self._deadline_s = 0.0
        client = Client(CallbackAPIVersion.VERSION2, f"rainwatchd-{device_id}", protocol=MQTTv5)
        client.will_set(will[0], will[1], qos=1, retain=True)
        client.max_inflight_messages_set(_MAX_IN_FLIGHT)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        self._client = client

    def open(self) -> None:
        """Connect and ask for a session; `connected` turns true in a later `poll`.

        Raises `MqttError` naming the broker, the reason and the option to look at.
        """
        options = self._options
        try:
            credentials = read_credentials(options.user, options.password_file)
            if credentials.password is not None and options.exposes_password:
                raise MqttError(_PLAINTEXT.format(host=options.host))
            self._client.username_pw_set(credentials.user, credentials.password)
            if credentials.user and credentials.password is None:
                # Some brokers take a user alone; only a refusal shows that this one doesn't.
                self._hint = no_password(credentials.user)
            if options.tls:
                self._client.tls_set_context(tls_context(options))
            self._deadline_s = time.monotonic() + 2 * CONNECT_TIMEOUT_S
            self._client.connect_async(*options.address, keepalive=options.keepalive_s)
            self._client.reconnect()
        except ConfigError as error:
            raise MqttError(str(error)) from error
        except (OSError, ValueError) as error:
            raise MqttError(f"{self._where}: {explained(error)}") from error
        self._deadline_s = time.monotonic() + CONNECT_TIMEOUT_S

    def poll(self, wake_fd: int, timeout_s: float) -> None:
        """Exchange what is due with the broker; wait for it, for `wake_fd`, or for the timeout.

        Raises `MqttError` once the session is over.
        """
        connection = self._client.socket()
        if connection is not None:
            poller = select.poll()
            writes = select.POLLOUT if self._client.want_write() else 0
            poller.register(connection.fileno(), select.POLLIN | writes)
            poller.register(wake_fd, select.POLLIN)
            # Bytes that TLS has decrypted already never show up in poll().
            decrypted = isinstance(connection, ssl.SSLSocket) and connection.pending() > 0
            ready = dict(poller.poll(0 if decrypted else timeout_s * 1000))
            self._exchange(ready.get(connection.fileno(), 0), decrypted)
        if self._client.socket() is None:
            raise MqttError(f"{self._where}: {self._ended or 'connection lost'}")
        if not self.connected and time.monotonic() > self._deadline_s:
            raise MqttError(f"{self._where}: accepts connections but does not answer")

    def _exchange(self, flags: int, decrypted: bool) -> None:
        try:
            if decrypted or flags & ~select.POLLOUT:
                self._client.loop_read()
            if flags & select.POLLOUT:
                self._client.loop_write()
            self._client.loop_misc()
        except Exception as error:
            # What paho raises on bytes that are not MQTT is whatever its parser stumbled over.
            raise MqttError(f"{self._where}: does not speak MQTT ({error!r})") from error

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
            self._ended = f"{reason}; {self._hint}"
            return
        self.connected = True
        self.max_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        self.max_in_flight = min(_MAX_IN_FLIGHT, getattr(properties, "ReceiveMaximum", 65535))

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
            hint = "a client certificate (mqtt.tls_cert_file)" if self._options.tls else "mqtt.tls"
            self._ended = f"hung up before it answered; if this lasts, it may want {hint}"
        self.connected = False


def tls_context(options: MqttOptions) -> ssl.SSLContext:
    """Read the certificates anew, so that renewed ones need no restart; raise `MqttError`."""
    try:
        context = ssl.create_default_context(cafile=options.tls_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise MqttError(f"mqtt.tls_ca_file {options.tls_ca_file}: {error}") from error
    if options.tls_cert_file:
        try:
            context.load_cert_chain(options.tls_cert_file, options.tls_key_file)
        except (OSError, ssl.SSLError) as error:
            files = " and ".join(filter(None, (options.tls_cert_file, options.tls_key_file)))
            raise MqttError(f"mqtt.tls_cert_file {files}: {error}") from error
    return context


def explained(error: OSError | ValueError) -> str:
    """Say in a line what a failed connection means and where to look."""
    match error:
        case ssl.SSLCertVerificationError(verify_code=code, verify_message=message):
            hint = "the device's clock" if code == _CERT_NOT_YET_VALID else "mqtt.tls_ca_file"
            text = f"certificate not accepted: {message}; check {hint}"
        case ssl.SSLError():
            text = f"TLS handshake failed ({error.reason or error}); check mqtt.port and mqtt.tls"
        case socket.gaierror() | UnicodeError():
            text = "host name cannot be resolved; check mqtt.host and the network"
        case TimeoutError():
            text = f"no answer within {CONNECT_TIMEOUT_S:.0f} s; check mqtt.host and the network"
        case ConnectionResetError():
            text = "hung up; check mqtt.port and mqtt.tls"
        case ConnectionRefusedError():
            text = "nothing listens there; check mqtt.port and that the broker runs"
        case OSError(strerror=str(reason)):
            text = reason
        case _:
            text = str(error)
    return text
