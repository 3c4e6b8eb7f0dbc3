"""Messages into the store: merged by event, in whatever order and however often they come."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

import msgspec

from rainwatchd.post.incidents import join
from rainwatchd.post.messages import (
    Cleared,
    Clip,
    Detection,
    Feedback,
    Health,
    Label,
    Status,
    Verdict,
    VoidError,
    milliseconds,
    text,
)
from rainwatchd.post.store import Store

MAX_DEVICES = 20_000
MAX_CLASSES = 200
"""What a stranger who may publish could fill the disk and the page with."""

AHEAD_MS = 60_000
"""How far a device's clock may run before the post's until it isn't believed."""

MAX_VERDICTS = 50
"""Verdicts that are kept of one event; the oldest go first."""

WEEK_HOURS = 7 * 24

_LATER_FIELDS = (
    "seq", "phase", "end", "duration_s", "score", "peak_score", "level_dbfs", "lat", "lon", "model",
    "clock_synced", "end_reason",
)  # fmt: skip
"""What a message with a higher ``seq`` says better."""


class Intake:
    """Puts messages into `store`; each call belongs into one ``store.writing()``."""

    def __init__(self, store: Store, wall: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall = wall

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
                self._status(db, message, retained)
            case Health():
                self._health(db, message)
            case Clip():
                self._clip(db, message)
            case Feedback():
                self._feedback(db, device_id, message)

    def judge(
        self, db: sqlite3.Connection, event_id: str, verdict: Verdict, label: Label | None, by: str
    ) -> bool:
        """Store what a person here says; False if there is no such event."""
        event = db.execute(
            "SELECT device_id, (SELECT max(at_ms) FROM verdicts v WHERE v.event_id = e.event_id)"
            " FROM events e JOIN devices d ON d.id = e.device WHERE event_id = ?",
            (event_id,),
        ).fetchone()
        if event is None:
            return False
        # The last by time counts, even where a clock was set back in between.
        at_ms = max(self.now_ms(), (event[1] or 0) + 1)
        said = Feedback(event_id=event_id, verdict=verdict, label=label, by=by, at=text(at_ms))
        self._feedback(db, event[0], said, delivered=False)
        return True

    def delivered(self, db: sqlite3.Connection, verdict_ids: list[int]) -> None:
        """Take note that the broker has these verdicts."""
        for number in verdict_ids:
            db.execute("UPDATE verdicts SET delivered = 1 WHERE id = ?", (number,))
            db.execute(
                "UPDATE events SET rev = ? WHERE verdict_id = ?", (self._store.next_rev(), number)
            )

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
        oldest_hour = self.now_ms() // 3_600_000 - WEEK_HOURS
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
        self._heard(db, said.device_id, self._when(said))

    def _new_event(self, db: sqlite3.Connection, said: Detection) -> None:
        device, now_ms = self._device(db, said.device_id), self.now_ms()
        start_ms = milliseconds(said.start)
        believed = said.clock_synced and start_ms <= now_ms + AHEAD_MS
        at_ms = start_ms if believed else now_ms
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
            "class": self._label(db, said.label),
            "at_ms": at_ms,
            "received_ms": now_ms,
            "first_seq": said.seq,
            "start": said.start,
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
        self._heard(db, said.device_id, self._when(said))
        db.execute(
            "UPDATE devices SET lat = coalesce(?, lat), lon = coalesce(?, lon),"
            " event_ms = max(coalesce(event_ms, 0), ?) WHERE id = ?",
            (said.lat, said.lon, at_ms, device),
        )

    def _status(self, db: sqlite3.Connection, said: Status | Cleared, retained: bool) -> None:
        if isinstance(said, Cleared):
            # A replay that has ended takes its status away; nobody needs to know of it.
            db.execute(
                "UPDATE devices SET state = 'unknown', status = NULL, rev = ? WHERE device_id = ?",
                (self._store.next_rev(), said.device_id),
            )
            return
        device = self._device(db, said.device_id)
        db.execute(
            "UPDATE devices SET state = ?, status = ?, rev = ? WHERE id = ?",
            (said.state, msgspec.json.encode(said), self._store.next_rev(), device),
        )
        # The broker itself says that a device went offline: that is no sign of life.
        if not retained and said.state != "offline":
            self._heard(db, said.device_id, self.now_ms())

    def _health(self, db: sqlite3.Connection, said: Health) -> None:
        device, now_ms = self._device(db, said.device_id), self.now_ms()
        time_ms = milliseconds(said.time)
        at_ms = min(time_ms, now_ms) if said.clock_synced else now_ms
        db.execute(
            "UPDATE devices SET health = ?, rev = ? WHERE id = ?",
            (msgspec.json.encode(said), self._store.next_rev(), device),
        )
        self._heard(db, said.device_id, at_ms)
        if at_ms < now_ms - WEEK_HOURS * 3_600_000:
            return
        db.execute(
            "INSERT INTO hours VALUES (?, ?, 1, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " level_dbfs = coalesce((level_dbfs * messages + excluded.level_dbfs)"
            "  / (messages + 1), level_dbfs, excluded.level_dbfs),"
            " temperature_c = max(coalesce(temperature_c, excluded.temperature_c),"
            "  coalesce(excluded.temperature_c, temperature_c)),"
            " disk_free_bytes = min(coalesce(disk_free_bytes, excluded.disk_free_bytes),"
            "  coalesce(excluded.disk_free_bytes, disk_free_bytes)),"
            " outbox_depth = max(outbox_depth, excluded.outbox_depth),"
            " real_time_factor = max(coalesce(real_time_factor, excluded.real_time_factor),"
            "  coalesce(excluded.real_time_factor, real_time_factor)),"
            " messages = messages + 1",
            (
                device,
                at_ms // 3_600_000,
                said.level_dbfs,
                said.temperature_c,
                said.disk_free_bytes,
                said.outbox_depth,
                said.real_time_factor,
            ),
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
                self.now_ms(),
                event is not None and event["verdict"] != "none",
            ),
        )
        if event is not None:
            db.execute(
                "UPDATE events SET clip = 1, rev = ? WHERE id = ?",
                (self._store.next_rev(), event["id"]),
            )

    def _feedback(
        self, db: sqlite3.Connection, device_id: str, said: Feedback, *, delivered: bool = True
    ) -> None:
        db.execute(
            "INSERT OR IGNORE INTO verdicts"
            " (event_id, device_id, verdict, class, by, at_ms, delivered)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                said.event_id,
                device_id,
                said.verdict,
                said.label,
                said.by,
                milliseconds(said.at),
                delivered,
            ),
        )
        db.execute(
            "DELETE FROM verdicts WHERE event_id = ? AND delivered AND id NOT IN (SELECT id FROM"
            " verdicts WHERE event_id = ? ORDER BY at_ms DESC, id DESC LIMIT ?)",
            (said.event_id, said.event_id, MAX_VERDICTS),
        )
        last = db.execute(
            "SELECT id, verdict FROM verdicts WHERE event_id = ? AND device_id = ?"
            " ORDER BY at_ms DESC, id DESC LIMIT 1",
            (said.event_id, device_id),
        ).fetchone()
        if last is None:
            return
        db.execute(
            "UPDATE events SET verdict = ?, verdict_id = ?, rev = ? WHERE event_id = ?"
            " AND device = (SELECT id FROM devices WHERE device_id = ?)",
            (last["verdict"], last["id"], self._store.next_rev(), said.event_id, device_id),
        )
        db.execute("UPDATE clips SET judged = 1 WHERE event_id = ?", (said.event_id,))

    def _device(self, db: sqlite3.Connection, device_id: str) -> int:
        row = db.execute("SELECT id FROM devices WHERE device_id = ?", (device_id,)).fetchone()
        if row is not None:
            return int(row["id"])
        if db.execute("SELECT count(*) FROM devices").fetchone()[0] >= MAX_DEVICES:
            raise VoidError(f"there are {MAX_DEVICES} devices already")
        return int(
            db.execute(
                "INSERT INTO devices (device_id, rev) VALUES (?, ?)",
                (device_id, self._store.next_rev()),
            ).lastrowid
            or 0
        )

    def _label(self, db: sqlite3.Connection, label: str) -> int:
        row = db.execute("SELECT id FROM classes WHERE label = ?", (label,)).fetchone()
        if row is not None:
            return int(row["id"])
        if db.execute("SELECT count(*) FROM classes").fetchone()[0] >= MAX_CLASSES:
            raise VoidError(f"there are {MAX_CLASSES} classes already")
        return int(db.execute("INSERT INTO classes (label) VALUES (?)", (label,)).lastrowid or 0)

    def _heard(self, db: sqlite3.Connection, device_id: str, at_ms: int) -> None:
        db.execute(
            "UPDATE devices SET heard_ms = max(coalesce(heard_ms, 0), ?), rev = ?"
            " WHERE device_id = ?",
            (at_ms, self._store.next_rev(), device_id),
        )

    def _when(self, said: Detection) -> int:
        """When the device spoke: what waited at the broker for a week is no sign of life now."""
        now_ms = self.now_ms()
        if not said.clock_synced:
            return now_ms
        return min(now_ms, milliseconds(said.start) + round(said.duration_s * 1000))

    def now_ms(self) -> int:
        """The post's clock, in milliseconds since 1970."""
        return round(self._wall() * 1000)
