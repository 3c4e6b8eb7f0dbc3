"""Messages into the store: merged by event, in whatever order and however often they come."""

from __future__ import annotations

import sqlite3

from rainwatchd.post.messages import (
    Cleared,
    Clip,
    Detection,
    Feedback,
    Health,
    Status,
    VoidError,
    milliseconds,
)
from rainwatchd.post.records.incidents import join
from rainwatchd.post.records.registry import WEEK_HOURS, Registry
from rainwatchd.post.records.store import Store
from rainwatchd.post.records.verdicts import Verdicts

AHEAD_MS = 60_000
"""How far a device's clock may run before the post's until it isn't believed."""

NO_TIME = "-"
"""In the place of a start that nobody knows."""

_LATER_FIELDS = (
    "seq", "phase", "end", "duration_s", "score", "peak_score", "level_dbfs", "lat", "lon", "model",
    "clock_synced", "end_reason",
)  # fmt: skip
"""What a message with a higher ``seq`` says better."""


class Intake:
    """Puts messages into `store`; each call belongs into one ``store.writing()``."""

    def __init__(self, store: Store, registry: Registry, verdicts: Verdicts) -> None:
        self._store = store
        self._registry = registry
        self._verdicts = verdicts

    def take(self, db: sqlite3.Connection, device_id: str, message: object, retained: bool) -> None:
        """Store one message of `device_id`; raise `VoidError` where it contradicts what is known.

        Args:
            db: From ``store.writing()``.
            device_id: Who speaks, by the topic.
            message: What `messages.read` returned.
            retained: Whether the broker had kept it, so that it may be old.
        """
        match message:
            case Detection():
                self._detection(db, message)
            case Status() | Cleared():
                self._registry.status(db, message, retained)
            case Health():
                self._registry.health(db, message)
            case Clip():
                self._clip(db, message)
            case Feedback():
                self._verdicts.put(db, device_id, message)

    def lost_clip(self, db: sqlite3.Connection, event_id: str) -> None:
        """Take note that a clip is gone."""
        db.execute("DELETE FROM clips WHERE event_id = ?", (event_id,))
        db.execute(
            "UPDATE events SET clip = 0, rev = ? WHERE event_id = ?",
            (self._store.next_rev(), event_id),
        )

    def prune(self, db: sqlite3.Connection, max_events: int) -> int:
        """Remove the oldest events beyond `max_events`; return how many went."""
        count: int = db.execute("SELECT count(*) FROM events").fetchone()[0]
        surplus = max(0, count - max_events)
        if surplus:
            db.execute(
                "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY at_ms LIMIT ?)",
                (surplus,),
            )
            db.execute(
                "DELETE FROM verdicts WHERE delivered"
                " AND event_id NOT IN (SELECT event_id FROM events)"
            )
        oldest_hour = self._registry.now_ms() // 3_600_000 - WEEK_HOURS
        db.execute("DELETE FROM hours WHERE hour < ?", (oldest_hour,))
        return surplus

    def _detection(self, db: sqlite3.Connection, said: Detection) -> None:
        known = db.execute(
            "SELECT e.id, d.device_id, seq, first_seq, label FROM events e"
            " JOIN devices d ON d.id = e.device JOIN classes c ON c.id = e.class"
            " WHERE event_id = ?",
            (said.event_id,),
        ).fetchone()
        if known is None:
            self._new_event(db, said)
            return
        if (known["device_id"], known["label"]) != (said.device_id, said.label):
            raise VoidError("another event has this event_id")
        changes: dict[str, object] = {}
        if said.seq > known["seq"]:
            changes = {name: getattr(said, name) for name in _LATER_FIELDS}
        if said.seq < known["first_seq"]:
            # Whether the alert itself came late is what its first message says.
            changes |= {"first_seq": said.seq, "historical": said.historical}
        if not changes:
            return
        changes["rev"] = self._store.next_rev()
        assigned = ", ".join(f'"{name}" = ?' for name in changes)
        db.execute(f"UPDATE events SET {assigned} WHERE id = ?", (*changes.values(), known["id"]))
        self._registry.heard(db, said.device_id, self._when(said))

    def _new_event(self, db: sqlite3.Connection, said: Detection) -> None:
        device, now_ms = self._registry.device(db, said.device_id), self._registry.now_ms()
        at_ms = now_ms
        if said.start is not None and said.clock_synced:
            start_ms = milliseconds(said.start)
            at_ms = start_ms if start_ms <= now_ms + AHEAD_MS else now_ms
        verdict = db.execute(
            "SELECT id, verdict FROM verdicts WHERE event_id = ? AND device_id = ?"
            " ORDER BY at_ms DESC, id DESC LIMIT 1",
            (said.event_id, said.device_id),
        ).fetchone()
        clip = db.execute(
            "SELECT 1 FROM clips WHERE event_id = ? AND device_id = ?",
            (said.event_id, said.device_id),
        ).fetchone()
        values: dict[str, object] = {
            "event_id": said.event_id,
            "device": device,
            "class": self._registry.label(db, said.label),
            "at_ms": at_ms,
            "received_ms": now_ms,
            "first_seq": said.seq,
            "start": said.start or NO_TIME,
            "historical": said.historical,
            "clip": clip is not None,
            "verdict": verdict["verdict"] if verdict else "none",
            "verdict_id": verdict["id"] if verdict else None,
            "rev": self._store.next_rev(),
        } | {name: getattr(said, name) for name in _LATER_FIELDS}
        columns = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join("?" * len(values))
        row_id = db.execute(
            f"INSERT INTO events ({columns}) VALUES ({marks})", list(values.values())
        ).lastrowid
        new = db.execute("SELECT * FROM events WHERE id = ?", (row_id,)).fetchone()
        incident, others = join(db, new)
        if incident is not None:
            for other in (new["id"], *others):
                db.execute(
                    "UPDATE events SET incident = ?, rev = ? WHERE id = ?",
                    (incident, self._store.next_rev(), other),
                )
        self._registry.heard(db, said.device_id, self._when(said))
        db.execute(
            "UPDATE devices SET lat = coalesce(?, lat), lon = coalesce(?, lon),"
            " event_ms = max(coalesce(event_ms, 0), ?) WHERE id = ?",
            (said.lat, said.lon, at_ms, device),
        )

    def _clip(self, db: sqlite3.Connection, said: Clip) -> None:
        event = db.execute(
            "SELECT e.id, d.device_id, verdict FROM events e JOIN devices d ON d.id = e.device"
            " WHERE event_id = ?",
            (said.event_id,),
        ).fetchone()
        db.execute(
            "REPLACE INTO clips VALUES (?, ?, ?, ?, ?)",
            (
                said.event_id,
                said.device_id,
                len(said.opus),
                self._registry.now_ms(),
                event is not None and event["verdict"] != "none",
            ),
        )
        if event is not None:
            db.execute(
                "UPDATE events SET clip = 1, rev = ? WHERE id = ?",
                (self._store.next_rev(), event["id"]),
            )

    def _when(self, said: Detection) -> int:
        """When the device spoke: what waited at the broker for a week is no sign of life now."""
        now_ms = self._registry.now_ms()
        if said.start is None or not said.clock_synced:
            return now_ms
        return min(now_ms, milliseconds(said.start) + round(said.duration_s * 1000))
