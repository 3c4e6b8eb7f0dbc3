"""What people say about events, until the broker has it."""

from __future__ import annotations

import sqlite3

from rainwatchd.post.messages import Feedback, Label, Verdict, milliseconds, text
from rainwatchd.post.records.registry import Registry
from rainwatchd.post.records.store import Row, Store

MAX_VERDICTS = 50
"""Verdicts that are kept of one event; the oldest go first."""


class Verdicts:
    """Verdicts in `store`; what writes belongs into one ``store.writing()``."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry

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
        at_ms = max(self._registry.now_ms(), (event[1] or 0) + 1)
        said = Feedback(event_id=event_id, verdict=verdict, label=label, by=by, at=text(at_ms))
        self.put(db, event[0], said, delivered=False)
        return True

    def delivered(self, db: sqlite3.Connection, verdict_ids: list[int]) -> None:
        """Take note that the broker has these verdicts."""
        for number in verdict_ids:
            db.execute("UPDATE verdicts SET delivered = 1 WHERE id = ?", (number,))
            db.execute(
                "UPDATE events SET rev = ? WHERE verdict_id = ?", (self._store.next_rev(), number)
            )

    def waiting(self, limit: int) -> list[Row]:
        """Return the first of what the broker doesn't have yet."""
        return self._store.rows(
            "SELECT * FROM verdicts WHERE NOT delivered ORDER BY id LIMIT ?", (limit,)
        )

    def put(
        self, db: sqlite3.Connection, device_id: str, said: Feedback, *, delivered: bool = True
    ) -> None:
        """Store one verdict; the last by time is the event's."""
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
