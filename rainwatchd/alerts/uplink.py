"""The thread that keeps the device connected and takes the outbox to the broker."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from rainwatchd.alerts.broker.mqtt import MqttError, MqttOptions
from rainwatchd.alerts.broker.reconnection import Reconnection
from rainwatchd.alerts.broker.session import Handler, Sent, Session
from rainwatchd.alerts.delivery import Delivery, Outgoing, ReadClip
from rainwatchd.alerts.outbox import Outbox
from rainwatchd.alerts.topics import Topics
from rainwatchd.errors import Report

log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often the outbox is tended while nothing happens."""

FAREWELL_S = 2.0
"""Kept of the time to stop, for the last status."""

_MAX_OFFERS = 16  # topics that wait for a connection


class Uplink:
    """Publishes detections from the outbox, retained state, and what may be lost.

    `report` is told what is wrong, or None once nothing is. Every method may be called from any
    thread and returns at once, `stop` excepted.
    """

    def __init__(
        self,
        options: MqttOptions,
        topics: Topics,
        outbox: Outbox,
        will: bytes,
        report: Report,
    ) -> None:
        self.connected = False
        self._options = options
        self._topics = topics
        self._outbox = outbox
        self._will = (topics.status, will)
        self._report = report
        self._delivery = Delivery(outbox, topics, options.backlog_rate_hz)
        self._lock = threading.Lock()
        self._state: dict[str, bytes] = {}
        self._once_kept: dict[str, Callable[[], None]] = {}
        self._unsent: set[str] = set()
        self._offers: OrderedDict[str, tuple[bytes, bool]] = OrderedDict()
        self._awaited: dict[int, Outgoing | Sent] = {}
        self._refused: dict[str, str] = {}
        self._denied: dict[str, str] = {}
        self._handlers: dict[str, tuple[Handler, int]] = {}
        self._reconnection = Reconnection(options.backoff_max_s)
        self._trouble: str | None = None
        self._warned: set[str] = set()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._closed = False
        self._stopping = threading.Event()
        self._stop_by_s = 0.0
        self._last_words = b""
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    def subscribe(self, topic: str, handler: Handler, *, qos: int = 0) -> None:
        """Have `handler` given, by the uplink's thread, what comes on `topic`; before `start`.

        With QoS 1 the broker keeps messages while the device is away, and takes the handler's
        return for its word that the message is kept.
        """
        self._handlers[topic] = handler, qos

    def read_clips(self, read: ReadClip) -> None:
        """Have clips read by `read`, on the uplink's thread; before `start`."""
        self._delivery.read_clip = read

    def start(self) -> None:
        """Begin to connect; a broker that is away is no error."""
        self._thread.start()

    def urge(self) -> None:
        """Say that the outbox has something that must not wait for the next try to connect."""
        self._reconnection.urge()
        self.wake()

    def wake(self) -> None:
        """Say that the outbox has something new."""
        with self._lock:
            if not self._closed:
                os.eventfd_write(self._wake_fd, 1)

    def retain(
        self, topic: str, payload: bytes, once_kept: Callable[[], None] | None = None
    ) -> None:
        """Keep `payload` as the retained message of `topic`: now, and after each reconnection.

        `once_kept` is called by the uplink's thread when the broker has it.
        """
        with self._lock:
            if self._state.get(topic) == payload:
                return
            self._state[topic] = payload
            if once_kept is not None:
                self._once_kept[topic] = once_kept
            self._unsent.add(topic)
        self.wake()

    def send_clip(self, event_id: str, name: str) -> None:
        """Send an event's clip, the file `name`, once no alert waits, after a restart too."""
        self._outbox.put_clip(event_id, name)
        self.wake()

    def offer(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send `payload` once, when connected; it may be lost, and a newer one replaces it."""
        with self._lock:
            self._offers[topic] = (payload, retain)
            self._offers.move_to_end(topic)
            while len(self._offers) > _MAX_OFFERS:
                self._offers.popitem(last=False)
        self.wake()

    def stop(self, timeout_s: float, last_words: bytes) -> None:
        """Take the outbox to the broker as far as the time allows, say the last status and leave.

        Without a connection it leaves at once: the outbox keeps what it has.
        """
        if self._stopping.is_set():
            return
        self._last_words = last_words
        self._stop_by_s = time.monotonic() + timeout_s
        self._stopping.set()
        self.wake()
        self._thread.join(timeout_s + 1.0)
        if not self._thread.is_alive():
            with self._lock:
                self._closed = True
                os.close(self._wake_fd)

    def _run(self) -> None:
        while not self._stopping.is_set():
            session = Session(self._options, self._topics.device_id, self._will)
            for topic, (handler, qos) in self._handlers.items():
                session.subscribe(topic, handler, qos=qos)
            self._reconnection.begin()
            finished = False
            try:
                session.open()
                self._serve(session)
                finished = True
            except MqttError as error:
                self._reconnection.ended(explained=bool(self._refused))
                self._tell("; ".join(filter(None, (str(error), self._standing()))))
            except Exception as error:
                # Whatever it is, alerts must not stop for good because one thread has.
                log.exception("mqtt: unexpected error; it is tried again")
                self._reconnection.ended(explained=True)
                self._tell(f"unexpected error: {error!r}")
            finally:
                self.connected = False
                session.close(take_leave=finished)
                self._awaited.clear()
                self._delivery.disconnected()
            self._wait()

    def _serve(self, session: Session) -> None:
        """Publish until the session ends with `MqttError`, or in order when told to stop."""
        while True:
            session.poll(self._wake_fd, TICK_S)
            self._drain_wake()
            if session.connected:
                if not self.connected:
                    self._greet()
                if self._reconnection.settled():
                    self._tell(self._standing())
                self._take_answers(session)
                if self._stopping.is_set() and self._flushed():
                    self._take_leave(session)
                    return
                self._publish(session)
                if self._delivery.overdue:
                    raise MqttError(f"broker {self._options.host}: does not acknowledge messages")
            elif self._stopping.is_set():
                return
            self._outbox.tend()

    def _greet(self) -> None:
        self.connected = True
        log.info("mqtt: connected to %s:%d", *self._options.address)
        with self._lock:
            self._unsent = set(self._state)
        self._reconnection.welcomed()
        self._tell(self._standing())

    def _publish(self, session: Session) -> None:
        room = max(0, session.max_in_flight - len(self._awaited))
        with self._lock:
            topics = sorted(self._unsent)[:room]
            self._unsent.difference_update(topics)
            state = [Sent(topic, self._state[topic]) for topic in topics]
            offers, self._offers = self._offers, OrderedDict()
        for retained in state:
            message_id = session.publish(retained.topic, retained.payload, qos=1, retain=True)
            self._awaited[message_id] = retained
        for outgoing in self._delivery.due(room - len(state), session.max_packet_bytes):
            message_id = session.publish(outgoing.topic, outgoing.payload, qos=1, retain=False)
            self._awaited[message_id] = outgoing
        for topic, (payload, retain) in offers.items():
            session.publish(topic, payload, qos=0, retain=retain)

    def _take_answers(self, session: Session) -> None:
        for message_id, refusal in session.acknowledged:
            awaited = self._awaited.pop(message_id, None)
            if awaited is None:
                continue
            if isinstance(awaited, Sent):
                topic = awaited.topic
                with self._lock:
                    once_kept = self._once_kept.pop(topic, lambda: None)
                once_kept()
            else:
                topic = awaited.kind
                settle = self._delivery.refused if refusal else self._delivery.delivered
                settle(awaited.key)
            if refusal and isinstance(awaited, Sent) and not awaited.payload:
                # The name of a device that was renamed: its own access may have ended with it.
                log.warning("mqtt: %s is not cleared: %s; clear it by hand", topic, refusal)
            elif refusal:
                self._refused[topic] = refusal
            else:
                self._refused.pop(topic, None)
        if session.acknowledged or session.denied != self._denied:
            session.acknowledged.clear()
            self._denied = dict(session.denied)
            self._tell(self._standing())

    def _standing(self) -> str | None:
        """Say what is wrong beyond this session: what the broker does not take, even if it hung
        up over it, and that another device may have the same name."""
        said = []
        for doing, found in ("publishing", self._refused), ("subscribing", self._denied):
            refused = [f"{topic} refused: {reason}" for topic, reason in found.items()]
            if refused:
                said.append(f"{doing} to {', '.join(refused)}; check the broker's access list")
        if self._reconnection.contested:
            said.append(
                f"lost {self._reconnection.quick_losses} times within seconds of the broker's"
                f" welcome; does another device have the device_id {self._topics.device_id} too?"
            )
        return "; ".join(said) or None

    def _flushed(self) -> bool:
        return self._outbox.depth == 0 or time.monotonic() >= self._stop_by_s - FAREWELL_S

    def _take_leave(self, session: Session) -> None:
        """Say the last words and wait until the broker has them."""
        last = Sent(self._topics.status, self._last_words)
        message_id = session.publish(last.topic, last.payload, qos=1, retain=True)
        self._awaited[message_id] = last
        while message_id in self._awaited and time.monotonic() < self._stop_by_s:
            session.poll(self._wake_fd, 0.1)
            self._drain_wake()
            self._take_answers(session)

    def _wait(self) -> None:
        while (left_s := self._reconnection.left_s) > 0:
            if self._stopping.wait(min(left_s, TICK_S)):
                return
            self._outbox.tend()

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)

    def _tell(self, trouble: str | None) -> None:
        if trouble is None:
            self._warned.clear()
        if trouble is not None:
            level = logging.DEBUG if trouble in self._warned else logging.WARNING
            log.log(level, "mqtt: %s", trouble)
            self._warned.add(trouble)
        if trouble != self._trouble:
            self._trouble = trouble
            self._report(trouble)
