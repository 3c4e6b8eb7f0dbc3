"""The queue's SQLite file: messages in order of their events, and the events that are open.

Write-ahead log with ``synchronous=FULL``: a commit has reached the medium when it returns, so
neither kill -9 nor a power cut takes it back. The lock is exclusive, so that a second daemon on
the same file is refused instead of sending everything twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_VERSION = 1

_SCHEMA = """
CREATE TABLE messages (
    event_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    born INTEGER NOT NULL,
    queued_s REAL NOT NULL,
    expendable INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (event_id, seq)
) WITHOUT ROWID;
CREATE INDEX by_event ON messages (born DESC, seq);
CREATE INDEX by_worth ON messages (born DESC, seq) WHERE expendable;
CREATE TABLE open_events (
    event_id TEXT PRIMARY KEY,
    born INTEGER NOT NULL,
    payload BLOB NOT NULL
) WITHOUT ROWID;
"""

_ROW_BYTES = 160
"""What a message costs in the file beside its payload: keys, indexes and page headers."""

_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

_LOCK_WAIT_S = 2.0

Key = tuple[str, int]
"""Event id and seq: what tells messages apart."""


class Damaged(sqlite3.DatabaseError):
    """The file is not a queue, or not a whole one."""


class Message(NamedTuple):
    """One message in the queue."""

    event_id: str
    seq: int
    born: int
    """Order of the event among all events of this file."""
    queued_s: float
    """When it was queued, in monotonic seconds of the run that queued it."""
    expendable: bool
    """Whether it may go before any other when the queue is full."""
    payload: bytes

    @property
    def key(self) -> Key:
        """What tells it from other messages."""
        return self.event_id, self.seq

    @property
    def refers(self) -> bool:
        """Whether it is a reference to a clip."""
        return self.born < 0


class OpenEvent(NamedTuple):
    """The last message of an event that has no offset yet."""

    event_id: str
    born: int
    payload: bytes


_COLUMNS = ", ".join(Message._fields)
_INSERT = f"INSERT OR IGNORE INTO messages ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"

CLIP = "/clip"
"""Ends the key of a reference to an event's clip; its payload is the name of the file."""

BEHIND = 1 << 40
"""References are born so much earlier than anything else: no alert ever waits for a clip."""

MOST_CLIPS = 100
"""References kept, the newest: 3 MB of sound, ten minutes of a link of 40 kbit/s."""

_FIGURES = f"""
SELECT count(*), coalesce(sum(length(payload)), 0),
       coalesce(max(CASE WHEN born < 0 THEN born + {BEHIND} ELSE born END), 0)
FROM messages
"""

_OLDER_CLIPS = f"""
SELECT event_id, seq FROM messages WHERE born < 0 ORDER BY born DESC LIMIT -1 OFFSET {MOST_CLIPS}
"""

_OLDEST_UPDATE = (
    "SELECT event_id, seq FROM messages WHERE expendable ORDER BY born, seq DESC LIMIT 1"
)

_OLDEST_EVENT = """
SELECT event_id, seq FROM messages
WHERE born = (SELECT min(born) FROM messages) AND born < (SELECT max(born) FROM messages)
"""


class Ledger:
    """One SQLite file, or memory when `path` is None. Every method may raise ``sqlite3.Error``."""

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(
            path or ":memory:", timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False
        )
        self.depth = self.size_bytes = self.last_born = 0
        try:
            with _damage_named():
                self._prepare()
                self.depth, payload_bytes, born = self._db.execute(_FIGURES).fetchone()
        except sqlite3.Error:
            self._db.close()
            raise
        self.size_bytes = payload_bytes + self.depth * _ROW_BYTES
        self.last_born = max([born, *(event.born for event in self.open_events())])

    def _prepare(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        empty = not self._db.execute("SELECT 1 FROM sqlite_schema").fetchone()
        if version != _VERSION and not (version == 0 and empty):
            raise Damaged(f"its version is {version}, this program's {_VERSION}")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA temp_store = MEMORY")
        if empty:
            with self._transaction():
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise Damaged(found)

    def open_events(self) -> list[OpenEvent]:
        """Return the events that have an onset and no offset."""
        with _damage_named():
            rows = self._db.execute("SELECT event_id, born, payload FROM open_events ORDER BY born")
            return [OpenEvent(*row) for row in rows]

    def write(
        self,
        add: Iterable[Message] = (),
        remove: Iterable[Key] = (),
        opened: Iterable[OpenEvent] = (),
        closed: Iterable[str] = (),
        limit_bytes: int | None = None,
    ) -> list[Key]:
        """Do all of it in one transaction; it is on the medium on return, or nothing is.

        Beyond `limit_bytes` what is worth least goes, and its keys are returned. Updates go first,
        oldest first: an update only repeats what its onset and offset say. Then go whole events,
        oldest first: where someone is sawing now matters more than where someone did last month.
        The newest event stays, whatever it weighs.
        """
        with _damage_named(), self._transaction():
            for key in remove:
                self._remove(key)
            for message in add:
                if self._db.execute(_INSERT, message).rowcount:
                    self.depth += 1
                    self.size_bytes += len(message.payload) + _ROW_BYTES
                    self.last_born = max(self.last_born, message.born)
                if message.refers:
                    for key in self._db.execute(_OLDER_CLIPS).fetchall():
                        self._remove(key)
            self._db.executemany("REPLACE INTO open_events VALUES (?, ?, ?)", opened)
            for event_id in closed:
                self._db.execute("DELETE FROM open_events WHERE event_id = ?", (event_id,))
            gone = [] if limit_bytes is None else self._shrink(limit_bytes)
        return gone

    def newest(self, limit: int, busy: Set[str], done: Set[Key]) -> list[Message]:
        """Return the first message of each of the newest events.

        Leaves out the events in `busy`, and messages in `done` as though they were removed.
        """
        found: list[Message] = []
        event_id = ""
        with _damage_named():
            # Only keys are read here: what is skipped costs no more than an index entry.
            keys = self._db.execute("SELECT event_id, seq FROM messages ORDER BY born DESC, seq")
            for key in keys:
                if key[0] == event_id or key[0] in busy or key in done:
                    continue
                event_id = key[0]
                found.append(self._message(key))
                if len(found) == limit:
                    break
            keys.close()
        return found

    def first_of(self, event_id: str, done: Set[Key]) -> Message | None:
        """Return the first message of one event that is not in `done`."""
        with _damage_named():
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM messages WHERE event_id = ? ORDER BY seq", (event_id,)
            )
            return next((message for message in map(_read, rows) if message.key not in done), None)

    def all(self) -> list[Message]:
        """Return every message, oldest event first."""
        with _damage_named():
            rows = self._db.execute(f"SELECT {_COLUMNS} FROM messages ORDER BY born, seq")
            return [_read(row) for row in rows]

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _message(self, key: Key) -> Message:
        row = self._db.execute(
            f"SELECT {_COLUMNS} FROM messages WHERE event_id = ? AND seq = ?", key
        ).fetchone()
        return _read(row)

    def _shrink(self, limit_bytes: int) -> list[Key]:
        gone: list[Key] = []
        while self.size_bytes > limit_bytes:
            least = self._db.execute(_OLDEST_UPDATE).fetchall()
            least = least or self._db.execute(_OLDEST_EVENT).fetchall()
            if not least:
                break
            for key in least:
                self._remove(key)
            gone += least
        return gone

    def _remove(self, key: Key) -> None:
        row = self._db.execute(
            "DELETE FROM messages WHERE event_id = ? AND seq = ? RETURNING length(payload)", key
        ).fetchone()
        if row:
            self.depth -= 1
            self.size_bytes -= row[0] + _ROW_BYTES

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        figures = self.depth, self.size_bytes
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self.depth, self.size_bytes = figures
            # A full disk has rolled back already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _read(row: tuple[str, int, int, float, int, bytes]) -> Message:
    return Message(*row[:4], bool(row[4]), row[5])


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, Damaged):
            raise
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE_CODES:
            raise Damaged(str(error)) from error
        raise
