"""Messages from the broker into the store, verdicts out of it.

One thread does all of it in turn: read what has come, store it in one transaction, acknowledge it.
A message that was not stored is not acknowledged, and the broker, which keeps the session while the
post is away, sends it again. What the post must hold is bounded by the protocol: the broker sends
only so many messages ahead of their acknowledgement, and none above a size.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable

import msgspec
from paho.mqtt.client import MQTTMessage

from rainwatchd.alerts.broker.mqtt import MqttError
from rainwatchd.post.messages import (
    SUBSCRIPTION,
    Clip,
    Feedback,
    Message,
    Spectrum,
    VoidError,
    read,
    text,
)
from rainwatchd.post.options import PostConfig
from rainwatchd.post.records.clips import ClipFolder
from rainwatchd.post.records.intake import Intake
from rainwatchd.post.records.store import Store
from rainwatchd.post.records.verdicts import Verdicts
from rainwatchd.post.session import MAX_IN_FLIGHT, PostSession
from rainwatchd.post.web.live import Hub

log = logging.getLogger(__name__)

BACKOFF_S = 1.0
"""First wait between two tries to connect; it doubles from try to try."""

POLL_S = 1.0
PRUNE_S = 600.0
REFUSED_S = 60.0
"""Before a verdict is offered again that the broker didn't take."""

_MAX_LOOKS = 100


class Subscriber:
    """The thread between broker and store."""

    def __init__(
        self,
        config: PostConfig,
        store: Store,
        *,
        intake: Intake,
        verdicts: Verdicts,
        clips: ClipFolder,
        hub: Hub,
    ) -> None:
        self.trouble: str | None = "not connected yet"
        """What is wrong with the broker or the disk, None if nothing is."""
        self.refused = 0
        """Messages that meant nothing, since the start."""
        self.failed = True
        """Whether it ended, or will, without having been told to."""
        self._config = config
        self._store = store
        self._intake = intake
        self._verdicts = verdicts
        self._clips = clips
        self._hub = hub
        self._looks: deque[str] = deque(maxlen=_MAX_LOOKS)
        self._in_flight: dict[int, int] = {}
        self._held_back_until_s = 0.0
        self._prune_due_s = 0.0
        self._stopping = False
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK)

    def start(self, on_end: Callable[[], None]) -> None:
        """Begin; returns at once. `on_end` is told, in the thread, that it has ended."""
        self._thread = threading.Thread(target=self._run, args=(on_end,), name="subscriber")
        self._thread.start()

    def wake(self) -> None:
        """Say, from any thread, that a verdict waits to be sent."""
        os.eventfd_write(self._wake_fd, 1)

    def look(self, device_id: str) -> None:
        """Ask a device, from any thread, for a minute of its spectrum; nothing where it is away."""
        self._looks.append(device_id)
        self.wake()

    def stop(self) -> None:
        """End the session; the broker keeps what comes from now on."""
        self._stopping = True
        self.wake()
        self._thread.join()
        os.close(self._wake_fd)

    def _run(self, on_end: Callable[[], None]) -> None:
        try:
            self._clips.tidy()
            self._keep_connected()
            self.failed = False
        finally:
            on_end()

    def _keep_connected(self) -> None:
        wait_s = BACKOFF_S
        while not self._stopping:
            session = PostSession(
                self._config.mqtt,
                f"rainwatch-post-{self._config.identity}",
                SUBSCRIPTION,
            )
            try:
                session.open()
                while not self._stopping:
                    self._turn(session)
                    if session.ready:
                        wait_s = BACKOFF_S
            except MqttError as error:
                self._report(str(error))
            except (sqlite3.OperationalError, OSError) as error:
                # What could not be stored comes again once the broker is asked anew.
                self._report(f"{self._store.path.parent}: {error}; is the disk full?")
            finally:
                session.close()
                self._in_flight.clear()
            self._pause(wait_s)
            wait_s = min(2 * wait_s, self._config.mqtt.backoff_max_s)

    def _turn(self, session: PostSession) -> None:
        messages = session.gather(self._wake_fd, POLL_S)
        self._drain_wakes()
        if session.ready:
            self._report(None)
        delivered = self._delivered(session)
        if messages or delivered:
            self._keep(messages, delivered)
            session.acknowledge(messages)
            self._hub.wake()
        if session.ready:
            self._send(session)
        if time.monotonic() >= self._prune_due_s:
            self._prune_due_s = time.monotonic() + PRUNE_S
            with self._store.writing() as db:
                self._intake.prune(db, self._config.storage.max_events)

    def _keep(self, messages: list[MQTTMessage], delivered: list[int]) -> None:
        """Store all of it; it is on the medium on return."""
        understood = [(each, found) for each in messages if (found := self._read(each))]
        clips = [said for _, (_, said) in understood if isinstance(said, Clip)]
        if clips:
            self._clips.make_room(sum(len(clip.opus) for clip in clips))
        for clip in clips:
            self._clips.write(clip.event_id, clip.opus)
        if clips:
            self._clips.sync()
        with self._store.writing() as db:
            for message, (device_id, said) in understood:
                if isinstance(said, Spectrum):
                    self._hub.show(device_id, said)
                    continue
                try:
                    self._intake.take(db, device_id, said, message.retain)
                except VoidError as reason:
                    self._refuse(message.topic, reason)
            self._verdicts.delivered(db, delivered)

    def _read(self, message: MQTTMessage) -> tuple[str, Message] | None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return None
        if topic.endswith("/look"):
            return None
        try:
            return read(topic, bytes(message.payload))
        except VoidError as reason:
            self._refuse(topic, reason)
            return None

    def _refuse(self, topic: str, reason: VoidError) -> None:
        self.refused += 1
        level = logging.WARNING if self.refused == 1 else logging.DEBUG
        log.log(level, "passed over a message on %r: %s", topic[:100], reason)

    def _delivered(self, session: PostSession) -> list[int]:
        """Return the verdicts that the broker has taken since the last call."""
        taken = []
        for message_id, refusal in session.acknowledged:
            verdict_id = self._in_flight.pop(message_id, None)
            if refusal is not None:
                log.warning("the broker doesn't take a verdict: %s; see its access list", refusal)
                self._held_back_until_s = time.monotonic() + REFUSED_S
            elif verdict_id is not None:
                taken.append(verdict_id)
        session.acknowledged.clear()
        return taken

    def _send(self, session: PostSession) -> None:
        while self._looks:
            session.publish(f"rainwatch/{self._looks.popleft()}/look", b"", qos=0)
        if time.monotonic() < self._held_back_until_s:
            return
        sent = set(self._in_flight.values())
        for row in self._verdicts.waiting(2 * MAX_IN_FLIGHT):
            if row["id"] in sent or len(self._in_flight) >= MAX_IN_FLIGHT:
                continue
            feedback = Feedback(
                event_id=row["event_id"],
                verdict=row["verdict"],
                label=row["class"],
                by=row["by"],
                at=text(row["at_ms"]),
            )
            topic = f"rainwatch/{row['device_id']}/feedback/{row['event_id']}"
            message_id = session.publish(topic, msgspec.json.encode(feedback), qos=1)
            self._in_flight[message_id] = row["id"]

    def _report(self, trouble: str | None) -> None:
        if trouble == self.trouble:
            return
        self.trouble = trouble
        if trouble is None:
            log.info("connected to the broker")
        else:
            log.warning("%s", trouble)
        self._hub.report(trouble)

    def _pause(self, wait_s: float) -> None:
        until_s = time.monotonic() + wait_s
        while not self._stopping and time.monotonic() < until_s:
            time.sleep(min(0.1, wait_s))
        self._drain_wakes()

    def _drain_wakes(self) -> None:
        try:
            os.eventfd_read(self._wake_fd)
        except BlockingIOError:
            return
