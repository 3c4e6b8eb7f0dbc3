"""The durable queue between the decision and the broker.

A detection is on the medium when `put` returns and leaves it only once the broker has
acknowledged it. Where the medium fails, the queue goes on in memory, says so, and moves back as
soon as the medium takes a write again. Acknowledged messages are removed with the next detection
or in one batch after a while: what a crash brings back in between is sent again under the same
id, which costs a subscriber nothing and spares the card a write for each message.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import Annotated

import msgspec

from rainwatchd.alerts.ledger import BEHIND, CLIP, Damaged, Key, Ledger, Message, OpenEvent
from rainwatchd.alerts.recovery import interruption, open_ledger
from rainwatchd.decision.events import Detection
from rainwatchd.errors import Report

log = logging.getLogger(__name__)

MEMORY_BYTES = 4 << 20
"""Bound of what is held in memory while the medium fails: some 6,000 messages."""

RETRY_S = 30.0
"""How often a failed medium is tried again."""

REMOVE_AFTER_S = 30.0
"""How long an acknowledged message may stay on the medium; one write then removes the batch."""

REMOVE_BATCH = 256
"""Acknowledged messages that are removed at once, whatever their age."""


class OutboxOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of the queue."""

    max_bytes: Annotated[int, msgspec.Meta(ge=65536)] = 64 << 20
    """Messages kept while the broker is away: 64 MiB is a month of an alert each minute."""


class Outbox:
    """Queue of detections in `directory`; thread-safe.

    Opening it ends, with the reason ``interrupted``, what a killed run had left open.
    """

    def __init__(
        self,
        directory: Path,
        options: OutboxOptions,
        report: Report,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0
        """Messages given up because the queue was full, or because they were damaged."""
        self._path = directory / "outbox.sqlite"
        self._max_bytes = options.max_bytes
        self._report = report
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._acknowledged: set[Key] = set()
        self._acknowledged_s = 0.0
        self._trouble: str | None = None
        self._memory = Ledger(None)
        self._disk: Ledger | None = None
        self._writable = False
        self._retry_s = 0.0
        self._born: dict[str, int] = {}
        self._last_born = 0
        self._first_born: int | None = None
        self._journaled: set[str] = set()
        self._open_disk()

    @property
    def depth(self) -> int:
        """Messages that wait for the broker's acknowledgement."""
        with self._lock:
            on_disk = self._disk.depth if self._disk else 0
            return max(0, on_disk + self._memory.depth - len(self._acknowledged))

    def put(self, detection: Detection) -> bool:
        """Queue a detection; return whether it is on the medium, or else in memory only."""
        with self._lock:
            event_id = detection.event_id
            message = Message(
                event_id,
                detection.seq,
                self._place(detection),
                self._monotonic(),
                detection.phase == "update",
                msgspec.json.encode(detection),
            )
            if detection.phase == "offset":
                del self._born[event_id]
                self._write([message], closed=[event_id])
            else:
                journal = OpenEvent(event_id, message.born, message.payload)
                self._write([message], opened=[journal])
            return self._writable

    def put_clip(self, event_id: str, name: str) -> None:
        """Queue a reference to an event's clip, a file's name, to be sent when no alert waits."""
        with self._lock:
            self._last_born += 1
            born, now_s = self._last_born - BEHIND, self._monotonic()
            self._write([Message(event_id + CLIP, 0, born, now_s, True, name.encode())])

    def take(self, limit: int, busy: Set[str]) -> list[Message]:
        """Return the next message of each of the newest events, but those in `busy`.

        An event's next message comes only after the one before it was acknowledged; references to
        clips come behind all events.
        """
        with self._lock:
            found = {
                message.event_id: message
                for message in self._memory.newest(limit, busy, self._acknowledged)
            }
            if self._disk:
                try:
                    on_disk = self._disk.newest(limit, busy, self._acknowledged)
                    # An event that began before the medium failed goes on in memory.
                    for event_id in list(found):
                        earlier = self._disk.first_of(event_id, self._acknowledged)
                        found[event_id] = earlier or found[event_id]
                    found = {message.event_id: message for message in on_disk} | found
                except sqlite3.Error as error:
                    self._lose_disk(error)
            return sorted(found.values(), key=lambda message: -message.born)[:limit]

    def acknowledge(self, key: Key) -> None:
        """Take note that the broker has the message."""
        with self._lock:
            in_memory = self._memory.depth
            self._memory.write(remove=[key])
            if self._memory.depth < in_memory:
                return
            if not self._acknowledged:
                self._acknowledged_s = self._monotonic()
            self._acknowledged.add(key)
            if len(self._acknowledged) >= REMOVE_BATCH:
                self._write([])

    def give_up(self, key: Key) -> None:
        """Remove a message that nobody could read, and count it."""
        self.acknowledge(key)
        self.dropped += 1

    def late(self, message: Message, after_s: float) -> bool:
        """Whether a message waited longer than `after_s`, or since before this run."""
        if self._first_born is not None and message.born < self._first_born:
            return True
        return self._monotonic() - message.queued_s > after_s

    def tend(self) -> None:
        """Do what is due by now; call it every second or so."""
        with self._lock:
            now_s = self._monotonic()
            if not self._writable and now_s >= self._retry_s:
                self._open_disk()
            elif self._acknowledged and now_s - self._acknowledged_s >= REMOVE_AFTER_S:
                self._write([])

    def close(self) -> int:
        """Write what is left to write and let go of the file; return how many messages are lost.

        None are, unless the medium fails to the last.
        """
        with self._lock:
            if not self._writable:
                self._open_disk()
            elif self._acknowledged:
                self._write([])
            lost = self._memory.depth
            if lost:
                log.error("outbox: %d messages were in memory only and are lost", lost)
            if self._disk:
                self._disk.close()
            self._memory.close()
            return lost

    def _place(self, detection: Detection) -> int:
        """Say where a detection's event stands among the others, the newest being last.

        What is added after the offset stands with what still waits of its event.
        """
        event_id = detection.event_id
        if event_id not in self._born:
            earlier = self._waiting(event_id) if detection.seq else None
            self._last_born += earlier is None
            self._born[event_id] = earlier.born if earlier else self._last_born
        return self._born[event_id]

    def _waiting(self, event_id: str) -> Message | None:
        try:
            on_disk = self._disk and self._disk.first_of(event_id, self._acknowledged)
        except sqlite3.Error as error:
            self._lose_disk(error)
            on_disk = None
        return on_disk or self._memory.first_of(event_id, self._acknowledged)

    def _write(
        self,
        add: list[Message],
        opened: Sequence[OpenEvent] = (),
        closed: Sequence[str] = (),
    ) -> None:
        """Write to the medium, with the removals that are due; to memory where that fails."""
        if self._disk and self._writable:
            try:
                gone = self._disk.write(add, self._acknowledged, opened, closed, self._max_bytes)
            except sqlite3.Error as error:
                self._lose_disk(error)
                if self._writable:
                    self._write(add, opened, closed)
                    return
            else:
                self._journaled.update(event.event_id for event in opened)
                self._journaled.difference_update(closed)
                self._acknowledged.clear()
                self._count_dropped(gone)
                return
        limit_bytes = min(MEMORY_BYTES, self._max_bytes)
        self._count_dropped(self._memory.write(add, (), opened, closed, limit_bytes))

    def _count_dropped(self, gone: list[Key]) -> None:
        if gone and not self.dropped:
            log.warning("outbox: full; the messages that are worth least are given up")
        self.dropped += len(gone)

    def _lose_disk(self, error: sqlite3.Error) -> None:
        if isinstance(error, Damaged):
            self._open_disk(error)
        else:
            self._fail(str(error))

    def _fail(self, reason: str) -> None:
        self._writable = False
        self._retry_s = self._monotonic() + RETRY_S
        self._tell(
            f"{self._path}: {reason}; alerts are kept in memory only, until it can be written"
        )

    def _tell(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble:
                log.warning("outbox: %s", trouble)
            else:
                log.info("outbox: on disk again")
            self._report(trouble)

    def _open_disk(self, damage: Damaged | None = None) -> None:
        """Open the file, end what a killed run left open, and bring over what is in memory."""
        if self._disk:
            self._disk.close()
            self._disk = None
        try:
            self._disk, aside = open_ledger(self._path, damage)
            self._settle(self._disk)
        except (OSError, sqlite3.Error) as error:
            self._fail(str(error))
            return
        self._writable = True
        self._tell(
            f"{self._path} was damaged; it was moved aside to {aside.name}" if aside else None
        )

    def _settle(self, disk: Ledger) -> None:
        # What was queued before the file could first be read comes after all that is in it.
        shift = disk.last_born if self._first_born is None else 0
        add = [m._replace(born=m.born + shift) for m in self._memory.all()]
        opened = [e._replace(born=e.born + shift) for e in self._memory.open_events()]
        over = [event for event in disk.open_events() if event.event_id not in self._born]
        left_open = [event for event in over if event.event_id not in self._journaled]
        add += filter(None, map(interruption, left_open))
        closed = [event.event_id for event in over]
        self._count_dropped(disk.write(add, self._acknowledged, opened, closed, self._max_bytes))
        if self._first_born is None:
            self._first_born = shift + 1
            self._last_born += shift
            self._born = {event_id: born + shift for event_id, born in self._born.items()}
        self._acknowledged.clear()
        self._journaled = {event.event_id for event in disk.open_events()}
        self._memory.close()
        self._memory = Ledger(None)
