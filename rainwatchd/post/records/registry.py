"""What is known of devices: their state, their week, and when they were last heard."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

import msgspec

from rainwatchd.post.messages import Cleared, Health, Status, VoidError, milliseconds
from rainwatchd.post.records.store import Store

MAX_DEVICES = 20_000
MAX_CLASSES = 200
"""What a stranger who may publish could fill the disk and the page with."""

WEEK_HOURS = 7 * 24


class Registry:
    """Devices and classes by number, in `store`; calls belong into one ``store.writing()``."""

    def __init__(self, store: Store, wall: Callable[[], float] = time.time) -> None:
        self._store = store
        self._wall = wall

    def status(self, db: sqlite3.Connection, said: Status | Cleared, retained: bool) -> None:
        """Store a device's state; one that the broker had kept may be old."""
        if isinstance(said, Cleared):
            # A replay that has ended takes its status away; nobody needs to know of it.
            db.execute(
                "UPDATE devices SET state = 'unknown', status = NULL, rev = ? WHERE device_id = ?",
                (self._store.next_rev(), said.device_id),
            )
            return
        device = self.device(db, said.device_id)
        db.execute(
            "UPDATE devices SET state = ?, status = ?, rev = ? WHERE id = ?",
            (said.state, msgspec.json.encode(said), self._store.next_rev(), device),
        )
        # The broker itself says that a device went offline: that is no sign of life.
        if not retained and said.state != "offline":
            self.heard(db, said.device_id, self.now_ms())

    def health(self, db: sqlite3.Connection, said: Health) -> None:
        """Store a device's figures, and add them to those of the hour."""
        device, now_ms = self.device(db, said.device_id), self.now_ms()
        time_ms = milliseconds(said.time)
        at_ms = min(time_ms, now_ms) if said.clock_synced else now_ms
        db.execute(
            "UPDATE devices SET health = ?, rev = ? WHERE id = ?",
            (msgspec.json.encode(said), self._store.next_rev(), device),
        )
        self.heard(db, said.device_id, at_ms)
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

    def device(self, db: sqlite3.Connection, device_id: str) -> int:
        """Return a device's row; raise `VoidError` where there are too many."""
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

    def label(self, db: sqlite3.Connection, label: str) -> int:
        """Return a class's row; raise `VoidError` where there are too many."""
        row = db.execute("SELECT id FROM classes WHERE label = ?", (label,)).fetchone()
        if row is not None:
            return int(row["id"])
        if db.execute("SELECT count(*) FROM classes").fetchone()[0] >= MAX_CLASSES:
            raise VoidError(f"there are {MAX_CLASSES} classes already")
        return int(db.execute("INSERT INTO classes (label) VALUES (?)", (label,)).lastrowid or 0)

    def heard(self, db: sqlite3.Connection, device_id: str, at_ms: int) -> None:
        """Take note of a sign of life."""
        db.execute(
            "UPDATE devices SET heard_ms = max(coalesce(heard_ms, 0), ?), rev = ?"
            " WHERE device_id = ?",
            (at_ms, self._store.next_rev(), device_id),
        )

    def now_ms(self) -> int:
        """The post's clock, in milliseconds since 1970."""
        return round(self._wall() * 1000)
