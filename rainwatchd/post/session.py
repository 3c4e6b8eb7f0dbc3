"""The post's connection to the broker, whose session outlives it: what comes, and what is answered.

Where the device's session only publishes, this one receives, and says itself what it has stored.
"""

from __future__ import annotations

import time
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from rainwatchd.alerts.broker.mqtt import CONNECT_TIMEOUT_S, BrokerOptions, MqttError
from rainwatchd.alerts.broker.session import connect, exchange, hung_up, refused

SESSION_S = 60 * 24 * 3600
"""How long the broker is asked to keep messages while the post is away."""

MAX_UNACKNOWLEDGED = 100
"""Messages that the broker sends before it waits for an acknowledgement."""

MAX_PACKET_BYTES = 1 << 20
"""The broker keeps larger messages to itself: ten seconds of sound are 30 kB."""

MAX_IN_FLIGHT = 20

_GATHER_S = 0.02
"""Messages that come closer to each other than this are stored together."""


class PostSession:
    """One connection, from TCP to its end; for a single thread. Raises `MqttError` at its end."""

    def __init__(
        self, options: BrokerOptions, client_id: str, topic: str, session_s: int = SESSION_S
    ) -> None:
        self.ready = False
        """Whether the broker has granted the subscription."""
        self.acknowledged: list[tuple[int, str | None]] = []
        """Message id and refusal of what was published, since the caller emptied the list."""
        self._options = options
        self._where = "broker {}:{}".format(*options.address)
        self._topic = topic
        self._session_s = session_s
        self._answered = False
        self._ended: str | None = None
        self._deadline_s = 0.0
        self._messages: list[MQTTMessage] = []
        client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, manual_ack=True)
        client.max_inflight_messages_set(MAX_IN_FLIGHT)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = lambda _client, _data, message: self._messages.append(message)
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        self._client = client

    def open(self) -> None:
        """Connect; `ready` turns true in a later `gather`."""
        wishes = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        wishes.SessionExpiryInterval = self._session_s
        wishes.ReceiveMaximum = MAX_UNACKNOWLEDGED
        wishes.MaximumPacketSize = MAX_PACKET_BYTES
        connect(self._client, self._options, self._where, wishes, clean_start=False)
        self._deadline_s = time.monotonic() + CONNECT_TIMEOUT_S

    def gather(self, wake_fd: int, timeout_s: float) -> list[MQTTMessage]:
        """Wait for messages, for `wake_fd`, or for the timeout; return what came close together."""
        self._exchange(wake_fd, timeout_s)
        until_s = time.monotonic() + _GATHER_S
        while (
            self._messages
            and len(self._messages) < MAX_UNACKNOWLEDGED
            and time.monotonic() < until_s
            and self._exchange(None, 0.0)
        ):
            pass
        messages, self._messages = self._messages, []
        return messages

    def acknowledge(self, messages: list[MQTTMessage]) -> None:
        """Tell the broker that it may forget these."""
        for message in messages:
            self._client.ack(message.mid, message.qos)

    def publish(self, topic: str, payload: bytes, qos: int) -> int:
        """Send a message; return the id under which one with QoS 1 will be acknowledged."""
        return self._client.publish(topic, payload, qos=qos).mid

    def close(self) -> None:
        """End the connection; the broker keeps the session."""
        if self.ready:
            self._client.disconnect()
        connection = self._client.socket()
        if connection is not None:
            connection.close()

    def _exchange(self, wake_fd: int | None, timeout_s: float) -> bool:
        """Exchange what is due with the broker; return whether anything was to be read."""
        readable = exchange(self._client, self._where, wake_fd, timeout_s)
        if self._client.socket() is None:
            raise MqttError(f"{self._where}: {self._ended or 'connection lost'}")
        if not self.ready and time.monotonic() > self._deadline_s:
            raise MqttError(f"{self._where}: accepts connections but does not answer")
        return readable

    def _on_connect(
        self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        self._answered = True
        if reason.is_failure:
            self._ended = refused(reason, "check mqtt.user, its password and the broker's log")
            return
        # What this post itself says about an event need not come back to it.
        client.subscribe(self._topic, options=SubscribeOptions(qos=1, noLocal=True))

    def _on_subscribe(
        self, _client: Client, _data: Any, _mid: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self._ended = (
                f"refuses to let the post read {self._topic} ({reasons[0]});"
                " see the broker's access list"
            )
            self._client.disconnect()
            return
        self.ready = True

    def _on_publish(
        self, _client: Client, _data: Any, message_id: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self.acknowledged.append((message_id, str(reason) if reason.is_failure else None))

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: Any, reason: ReasonCode, _properties: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            taken = "; does another post have this name?"
            self._ended = f"ended the session: {reason}" + (
                taken if reason == "Session taken over" else ""
            )
        elif self._ended is None and not self._answered:
            self._ended = hung_up(self._options)
        self.ready = False
