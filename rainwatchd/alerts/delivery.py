"""Which queued detection or clip goes to the broker next, and when."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from rainwatchd.alerts.ledger import CLIP, Key, Message
from rainwatchd.alerts.outbox import Outbox
from rainwatchd.alerts.topics import Topics

log = logging.getLogger(__name__)

WINDOW = 16
"""Messages sent and not yet acknowledged."""

LATE_S = 30.0
"""Beyond this wait a detection is history rather than news."""

ACKNOWLEDGE_WITHIN_S = 30.0
"""A broker that takes longer is taken for dead: TCP would notice a cut only after many minutes."""

CLIP_WITHIN_S = 150.0
"""The same for a clip and what is sent behind it: 30 kB take a minute at 4 kbit/s."""

_CLIP_TRIES = 3
"""Sessions that may end while a clip is under way: it may be the clip that ends them."""

_PACKET_BYTES = 1024
"""More than what MQTT adds to a clip."""

REFUSED_FIRST_S = 5.0
REFUSED_MAX_S = 300.0
"""Wait after a refusal, doubled each time: only a person can mend an access list."""


ReadClip = Callable[[str], bytes | None]
"""Given the name of a clip's file, returns what is published of it; None if it is gone."""


class Outgoing(NamedTuple):
    """A detection or a clip to be published now."""

    key: Key
    topic: str
    payload: bytes
    kind: str
    """Its topic, or what stands for those of all clips."""


class Delivery:
    """Chooses from the outbox what to send: newest event first, each event in its own order.

    An event has one message under way at a time, so that no loss of the connection can change
    the order onset, update, offset. Backlog is marked `historical` and sent at a bounded rate;
    what happens now is not held up by it. After a refusal single messages are tried, ever more
    rarely, until the broker takes one.

    A clip goes when nothing else is under way, one at a time: an alert waits for one at most.
    """

    def __init__(
        self,
        outbox: Outbox,
        topics: Topics,
        backlog_rate_hz: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.read_clip: ReadClip = lambda _: None
        self._outbox = outbox
        self._topics = topics
        self._rate_hz = backlog_rate_hz
        self._monotonic = monotonic
        self._sent_s: dict[Key, float] = {}
        self._tokens = 1.0
        self._tokens_s = monotonic()
        self._held_until_s: dict[str, float] = {}
        self._refusals = 0
        self._resume_s = 0.0
        self._clips_resume_s = 0.0
        self._interrupted: Counter[Key] = Counter()

    @property
    def in_flight(self) -> int:
        """Messages sent and not yet acknowledged."""
        return len(self._sent_s)

    @property
    def overdue(self) -> bool:
        """Whether the broker has left a message unacknowledged for too long."""
        oldest_s = next(iter(self._sent_s.values()), None)
        within_s = CLIP_WITHIN_S if any(map(_refers, self._sent_s)) else ACKNOWLEDGE_WITHIN_S
        return oldest_s is not None and self._monotonic() - oldest_s > within_s

    def due(self, room: int, most_bytes: int | None = None) -> list[Outgoing]:
        """Return up to `room` messages to publish now, and count them as sent.

        A clip that makes more than a packet of `most_bytes` is given up.
        """
        now_s = self._monotonic()
        room = min(room, (1 if self._refusals else WINDOW) - len(self._sent_s))
        if room <= 0 or now_s < self._resume_s:
            return []
        self._held_until_s = {e: t for e, t in self._held_until_s.items() if t > now_s}
        busy = {event_id for event_id, _ in self._sent_s} | self._held_until_s.keys()
        self._tokens = min(
            max(1.0, self._rate_hz), self._tokens + (now_s - self._tokens_s) * self._rate_hz
        )
        self._tokens_s = now_s
        outgoing = []
        for message in self._outbox.take(room, busy):
            if message.refers and (self._sent_s or now_s < self._clips_resume_s):
                break
            late = self._outbox.late(message, LATE_S)
            if late and self._tokens < 1.0:
                continue
            if message.refers:
                clip = self._clip(message, most_bytes)
                if clip is not None:
                    outgoing.append(clip)
                    self._sent_s[message.key] = now_s
                continue
            try:
                payload = _historical(message) if late else message.payload
            except msgspec.DecodeError as error:
                # It must not hold up the others; the log is where its bytes are kept.
                log.error("outbox: a damaged message is given up: %s: %r", error, message.payload)
                self._outbox.give_up(message.key)
                continue
            self._tokens -= late
            self._sent_s[message.key] = now_s
            topic = self._topics.detection
            outgoing.append(Outgoing(message.key, topic, payload, topic))
        return outgoing

    def _clip(self, message: Message, most_bytes: int | None) -> Outgoing | None:
        """Return a clip to be published; None, and forget it, where that can't be."""
        opus = self.read_clip(message.payload.decode(errors="replace"))
        event_id = message.event_id.removesuffix(CLIP)
        if opus is None:
            log.debug("clip of event %s: gone before it was sent", event_id)
        elif most_bytes is not None and len(opus) + _PACKET_BYTES > most_bytes:
            log.warning("clip of event %s: more than the broker takes: %d B", event_id, len(opus))
        else:
            topic, kind = self._topics.clip(event_id), self._topics.clip("+")
            return Outgoing(message.key, topic, opus, kind)
        self._outbox.acknowledge(message.key)
        return None

    def delivered(self, key: Key) -> None:
        """Take note that the broker has the message."""
        if self._sent_s.pop(key, None) is not None:
            if _refers(key):
                self._interrupted.pop(key, None)
            else:
                self._refusals = 0
            self._outbox.acknowledge(key)

    def refused(self, key: Key) -> None:
        """Take note that the broker did not take the message; it stays in the outbox."""
        if self._sent_s.pop(key, None) is None:
            return
        now_s = self._monotonic()
        if _refers(key):
            # What the broker says of clips is no word on alerts.
            self._clips_resume_s = now_s + REFUSED_MAX_S
            return
        wait_s = min(REFUSED_MAX_S, REFUSED_FIRST_S * 2 ** min(self._refusals, 10))
        self._refusals += 1
        self._resume_s = now_s + wait_s
        # Others go first: it may be this one message that the broker does not like.
        self._held_until_s[key[0]] = now_s + 2 * wait_s

    def disconnected(self) -> None:
        """Take note that nothing is under way any more; all of it will be sent again.

        Refusals are remembered: some brokers hang up after one, and a new session is no new right.
        """
        for key in filter(_refers, self._sent_s):
            self._interrupted[key] += 1
            if self._interrupted[key] >= _CLIP_TRIES:
                log.warning("clip of event %s: given up", key[0].removesuffix(CLIP))
                self._interrupted.pop(key)
                self._outbox.give_up(key)
        self._sent_s.clear()


def _refers(key: Key) -> bool:
    return key[0].endswith(CLIP)


def _historical(message: Message) -> bytes:
    """Mark a detection as delivered late, whatever version of the program queued it."""
    fields = msgspec.json.decode(message.payload, type=dict[str, Any])
    fields["historical"] = True
    return msgspec.json.encode(fields)
