"""The post's SQLite file: one writer at a time, readers beside it.

Write-ahead log with ``synchronous=FULL``: what a transaction wrote is on the medium when it ends,
so a message that is acknowledged afterwards is kept whatever happens next.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rainwatchd.errors import RainwatchError

_VERSION = 1

_SCHEMA = """
CREATE TABLE devices (
    id INTEGER PRIMARY KEY,
    device_id TEXT NOT NULL UNIQUE,
    heard_ms INTEGER,
    state TEXT NOT NULL DEFAULT 'unknown',
    status BLOB,
    health BLOB,
    lat REAL,
    lon REAL,
    event_ms INTEGER,
    rev INTEGER NOT NULL
);
CREATE INDEX devices_rev ON devices (rev);
CREATE TABLE classes (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE);
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    verdict TEXT NOT NULL,
    class TEXT,
    by TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    UNIQUE (event_id, at_ms, by)
);
CREATE INDEX verdicts_waiting ON verdicts (id) WHERE NOT delivered;
CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    device INTEGER NOT NULL REFERENCES devices,
    class INTEGER NOT NULL REFERENCES classes,
    at_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    phase TEXT NOT NULL,
    start TEXT NOT NULL,
    "end" TEXT,
    duration_s REAL NOT NULL,
    score REAL NOT NULL,
    peak_score REAL NOT NULL,
    level_dbfs REAL NOT NULL,
    lat REAL,
    lon REAL,
    model TEXT NOT NULL,
    clock_synced INTEGER NOT NULL,
    historical INTEGER NOT NULL,
    end_reason TEXT,
    clip INTEGER NOT NULL DEFAULT 0,
    verdict TEXT NOT NULL DEFAULT 'none',
    verdict_id INTEGER REFERENCES verdicts,
    incident TEXT,
    rev INTEGER NOT NULL
);
CREATE INDEX events_rev ON events (rev);
CREATE INDEX events_at ON events (at_ms, class, verdict);
CREATE INDEX events_device ON events (device, at_ms, class, verdict);
CREATE INDEX events_class ON events (class, at_ms, verdict);
CREATE INDEX events_class_verdict ON events (class, verdict, at_ms);
CREATE INDEX events_verdict ON events (verdict, at_ms, class);
CREATE INDEX events_incident ON events (incident) WHERE incident IS NOT NULL;
CREATE TABLE clips (
    event_id TEXT PRIMARY KEY,
    device_id TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    judged INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX clips_worth ON clips (judged, received_ms, size_bytes);
CREATE TABLE hours (
    device INTEGER NOT NULL REFERENCES devices,
    hour INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    level_dbfs REAL,
    temperature_c REAL,
    disk_free_bytes INTEGER,
    outbox_depth INTEGER,
    real_time_factor REAL,
    PRIMARY KEY (device, hour)
) WITHOUT ROWID;
"""

_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

Row = sqlite3.Row


class StoreError(RainwatchError):
    """The store cannot be opened; says why."""


class Store:
    """The file ``post.db`` in `directory`, which this process alone may use."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "post.db"
        self._mark = directory / "post.db.is-damaged"
        self._lock = threading.Lock()
        self._read_lock = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._guard = (directory / "lock").open("wb")
        except OSError as error:
            raise StoreError(f"{directory}: {error.strerror}; see state_directory") from error
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._guard.close()
            raise StoreError(f"{directory}: another rainwatch-post uses it") from error
        try:
            self._writer = self._open()
            self._reader = _connect(self.path)
        except sqlite3.Error as error:
            self._guard.close()
            raise StoreError(f"{self.path}: {error}") from error
        self._reader.execute("PRAGMA query_only = ON")
        self.rev = _newest_rev(self._reader)
        """Revision of the newest change that is committed; events and devices share the counter."""
        self._rev = self.rev

    def _open(self) -> sqlite3.Connection:
        """Open the file; move a damaged one aside, where somebody may save what can be saved."""
        try:
            if not self._mark.exists():
                return _prepared(self.path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        number = 1
        while (aside := self.path.with_name(f"post.db.damaged-{number}")).exists():
            number += 1
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)
        return _prepared(self.path)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: on the medium when the block ends, or nothing of it is.

        Raises ``sqlite3.Error`` as the disk does.
        """
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
                self.rev = self._rev
            except BaseException as error:
                self._rev = self.rev
                if _is_damage(error):
                    # The next start moves the file aside; this one has it open.
                    self._mark.touch()
                # A full disk has rolled back already.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def next_rev(self) -> int:
        """Count a change; only while writing."""
        self._rev += 1
        return self._rev

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Row]:
        """Read what is committed, beside a writer."""
        with self._read_lock:
            return self._reader.execute(query, values).fetchall()

    def row(self, query: str, values: Sequence[Any] = ()) -> Row | None:
        """Read one row, None if there is none."""
        return next(iter(self.rows(query, values)), None)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, self._read_lock:
            self._reader.close()
            self._writer.close()
        self._guard.close()


def _is_damage(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE_CODES


def _prepared(path: Path) -> sqlite3.Connection:
    db = _connect(path)
    try:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        empty = not db.execute("SELECT 1 FROM sqlite_schema").fetchone()
        if version != _VERSION and not (version == 0 and empty):
            raise sqlite3.OperationalError(f"its version is {version}, this program's {_VERSION}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        if empty:
            db.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
            db.execute("COMMIT")
        _newest_rev(db)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _newest_rev(db: sqlite3.Connection) -> int:
    revs = (
        db.execute(f"SELECT coalesce(max(rev), 0) FROM {table}").fetchone()[0]
        for table in ("events", "devices")
    )
    return int(max(revs))


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute("PRAGMA cache_size = -4096")
    return db
