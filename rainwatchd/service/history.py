"""What was heard, kept on the device: the outbox forgets what the broker has.

A small SQLite file that other processes may read while the service writes. It is for the person at
the device; no alert depends on it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from rainwatchd.alerts.recovery import set_aside
from rainwatchd.decision.events import Detection, utc_text
from rainwatchd.errors import RainwatchError, Report

log = logging.getLogger(__name__)

KEPT_EVENTS = 20_000
"""A year of fifty a day, some 6 MB; beyond it the oldest go."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    start TEXT NOT NULL,
    "end" TEXT,
    duration_s REAL NOT NULL,
    peak_score REAL NOT NULL,
    level_dbfs REAL NOT NULL,
    clock_synced INTEGER NOT NULL,
    clip TEXT,
    end_reason TEXT,
    verdict TEXT,
    judged_by TEXT,
    judged_at TEXT
)
"""

_PUT = """
INSERT INTO events (
    event_id, label, start, "end", duration_s, peak_score, level_dbfs, clock_synced, clip,
    end_reason
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO UPDATE SET
    "end" = excluded."end", duration_s = excluded.duration_s, peak_score = excluded.peak_score,
    level_dbfs = excluded.level_dbfs, clip = excluded.clip, end_reason = excluded.end_reason
"""

_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@dataclass(frozen=True)
class Heard:
    """One event as the device remembers it."""

    event_id: str
    label: str
    start: str
    end: str | None
    """None while it lasts, and for good where the end was missed."""
    duration_s: float
    peak_score: float
    level_dbfs: float
    clock_synced: bool
    clip: str | None
    end_reason: str | None
    verdict: str | None
    """``true``, ``false`` or ``unsure``, as a person said; None: nobody has said."""
    judged_by: str | None
    judged_at: str | None

    @property
    def lasts(self) -> bool:
        """Whether it had no end when this was read."""
        return self.end_reason is None


_COLUMNS = tuple(field.name for field in fields(Heard))

_READ = f"""
SELECT {", ".join(f'"{column}"' for column in _COLUMNS)} FROM events
WHERE start >= ? OR NOT clock_synced ORDER BY number
"""


class History:
    """The newest events in `path`; thread-safe. A failing disk is reported and costs no alert."""

    def __init__(self, path: Path, report: Report, kept_events: int = KEPT_EVENTS) -> None:
        self._path = path
        self._report = report
        self._kept_events = kept_events
        self._lock = threading.Lock()
        self._trouble: str | None = None
        self._db: sqlite3.Connection | None = None
        with self._lock:
            self._open()

    def put(self, detection: Detection) -> None:
        """Remember what one message of an event says."""
        row = (
            *(detection.event_id, detection.label, detection.start, detection.end),
            *(detection.duration_s, detection.peak_score, detection.level_dbfs),
            *(detection.clock_synced, detection.clip, detection.end_reason),
        )
        forget = "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?"
        with self._lock:
            self._write((_PUT, row), (forget, (self._kept_events,)))

    def judge(self, event_id: str, verdict: str, by: str, at: str) -> bool:
        """Write down what a person said of an event; return whether the event is known.

        The last by time counts: one that was said before the one that is there changes nothing.
        """
        judge = """
            UPDATE events SET verdict = ?, judged_by = ?, judged_at = ?
            WHERE event_id = ? AND coalesce(judged_at, '') <= ?
        """
        with self._lock:
            self._write((judge, (verdict, by, at, event_id, at)))
            try:
                known = "SELECT 1 FROM events WHERE event_id = ?"
                return bool(self._db and self._db.execute(known, (event_id,)).fetchone())
            except sqlite3.Error:
                return False

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._let_go()

    def _write(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        if self._db is None and not self._open():
            return
        assert self._db is not None
        try:
            with self._db:
                for statement, values in statements:
                    self._db.execute(statement, values)
        except sqlite3.Error as error:
            self._let_go()
            if _damaged(error) and self._open(error):
                self._write(*statements)
                return
            self._tell(f"{self._path}: {error}; what is heard now isn't remembered on the device")
        else:
            self._tell(None)

    def _open(self, damage: sqlite3.Error | None = None) -> bool:
        """Open the file; one that is damaged, or known to be, is moved aside and begun anew."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if damage is None:
                try:
                    self._db = self._prepared()
                except sqlite3.Error as error:
                    if not _damaged(error):
                        raise
                    damage = error
            if damage is not None:
                aside = set_aside(self._path)
                log.error("history: %s: %s; it was moved aside to %s", self._path, damage, aside)
                self._db = self._prepared()
        except (OSError, sqlite3.Error) as error:
            self._tell(f"{self._path}: {error}; what is heard now isn't remembered on the device")
            return False
        return True

    def _prepared(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=2.0, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            # What a power cut takes from here is in the outbox.
            db.execute("PRAGMA synchronous = NORMAL")
            with db:
                db.execute(_SCHEMA)
                db.execute("UPDATE events SET end_reason = 'interrupted' WHERE end_reason IS NULL")
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _let_go(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _tell(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            if trouble and not self._trouble:
                log.warning("history: %s", trouble)
            self._trouble = trouble
            self._report(trouble)


def _damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE_CODES


def read(path: Path, since: datetime) -> Iterator[Heard]:
    """Yield the events that began at `since` or later, oldest first, service or no service.

    Where the clock wasn't set nobody knows when it was: such events are always among them. Raises
    `RainwatchError` where the file can't be read.
    """
    try:
        present = path.exists()
    except PermissionError:
        present = True
    if not present:
        return
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            if not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
                return  # A power cut just when it was made.
            for row in db.execute(_READ, (utc_text(since),)):
                yield Heard(**dict(zip(_COLUMNS, row, strict=True)))
    except sqlite3.Error as error:
        raise RainwatchError(f"{path}: {error}; {_mending(path, error)}") from error


def _mending(path: Path, error: sqlite3.Error) -> str:
    if _damaged(error):
        return "the service moves it aside when it next writes, and begins a new one"
    return "look at the disk" if _readable(path) else "read it as root, by sudo"


def _readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except PermissionError:
        return False
    except OSError:
        return True
