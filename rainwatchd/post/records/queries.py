"""What is read from the store: pages of events, devices and their weeks, in the page's words."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rainwatchd.errors import RainwatchError
from rainwatchd.post.messages import milliseconds, text
from rainwatchd.post.options import Position
from rainwatchd.post.records.store import Row, Store

PAGE = 50
MAX_PAGE = 200
MAX_DEVICES_PAGE = 500

Json = dict[str, Any]

_EVENT_COLUMNS = """
SELECT e.*, d.device_id, c.label, v.verdict AS v_verdict, v.class AS v_class, v.by AS v_by,
 v.at_ms AS v_at_ms, v.delivered AS v_delivered
FROM events e JOIN devices d ON d.id = e.device JOIN classes c ON c.id = e.class
LEFT JOIN verdicts v ON v.id = e.verdict_id
"""

_CURSOR = re.compile(r"(-?\d{1,18})\.(\d{1,18})")

_COPIED = (
    "event_id", "seq", "phase", "start", "end", "duration_s", "score", "peak_score", "level_dbfs",
    "device_id", "lat", "lon", "model", "end_reason", "incident",
)  # fmt: skip

_HEALTH_FIELDS = (
    "level_dbfs", "temperature_c", "disk_free_bytes", "outbox_depth", "clock_synced", "uptime_s",
    "overruns", "gaps", "drops", "real_time_factor",
)  # fmt: skip

_HOUR_FIELDS = (
    "messages", "level_dbfs", "temperature_c", "disk_free_bytes", "outbox_depth", "real_time_factor"
)  # fmt: skip


class QueryError(RainwatchError):
    """What was asked for can't be understood; says why."""


@dataclass(frozen=True)
class Filter:
    """Which events are wanted; None for any."""

    device: str | None = None
    label: str | None = None
    verdict: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    incident: str | None = None

    @classmethod
    def read(cls, words: Mapping[str, str]) -> Filter:
        """Read a query string's words; raise `QueryError` naming the one that is wrong."""
        verdict = words.get("verdict")
        if verdict not in {None, "true", "false", "unsure", "none"}:
            raise QueryError("verdict: allowed are true, false, unsure and none")
        return cls(
            device=words.get("device"),
            label=words.get("class"),
            verdict=verdict,
            since_ms=_time(words, "since"),
            until_ms=_time(words, "until"),
            incident=words.get("incident"),
        )


def page_size(words: Mapping[str, str], most: int = MAX_PAGE) -> int:
    """Read how many a page shall have; raise `QueryError` where that is no number or too many."""
    limit = words.get("limit", str(PAGE))
    if not limit.isascii() or not limit.isdigit() or not 1 <= int(limit[:9]) <= most:
        raise QueryError(f"limit: allowed are 1 to {most}")
    return int(limit)


class Queries:
    """Answers from `store`; `positions` and `silent_after_s` are those of the configuration."""

    def __init__(
        self,
        store: Store,
        positions: Mapping[str, Position],
        silent_after_s: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._positions = positions
        self._silent_after_ms = silent_after_s * 1000
        self._wall = wall

    def events(
        self, wanted: Filter, before: str | None = None, limit: int = PAGE
    ) -> tuple[list[Json], str | None]:
        """Return one page, newest first, and the cursor of the next, None at the end."""
        clauses, values = self._clauses(wanted)
        if before is not None:
            cursor = _CURSOR.fullmatch(before)
            if cursor is None:
                raise QueryError("before: not the `next` of a page")
            clauses.append("(e.at_ms, e.id) < (?, ?)")
            values += [int(cursor[1]), int(cursor[2])]
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        rows = self._store.rows(
            f"{_EVENT_COLUMNS} WHERE e.id IN (SELECT e.id FROM events e {where}"
            " ORDER BY e.at_ms DESC, e.id DESC LIMIT ?) ORDER BY e.at_ms DESC, e.id DESC",
            [*values, limit + 1],
        )
        page = rows[:limit]
        further = f"{page[-1]['at_ms']}.{page[-1]['id']}" if len(rows) > limit else None
        return [_event(row) for row in page], further

    def event(self, event_id: str) -> Json | None:
        """Return one event with all verdicts."""
        row = self._store.row(f"{_EVENT_COLUMNS} WHERE e.event_id = ?", (event_id,))
        if row is None:
            return None
        said = self._store.rows(
            "SELECT verdict AS v_verdict, class AS v_class, by AS v_by, at_ms AS v_at_ms,"
            " delivered AS v_delivered FROM verdicts WHERE event_id = ? AND device_id = ?"
            " ORDER BY at_ms DESC, id DESC",
            (event_id, row["device_id"]),
        )
        return _event(row) | {"verdicts": [_verdict(verdict) for verdict in said]}

    def events_after(self, rev: int, limit: int) -> tuple[list[Json], int]:
        """Return up to `limit` events that changed after `rev`, and the last one's revision."""
        rows = self._store.rows(
            f"{_EVENT_COLUMNS} WHERE e.rev > ? ORDER BY e.rev LIMIT ?", (rev, limit)
        )
        return [_event(row) for row in rows], rows[-1]["rev"] if rows else rev

    def devices(self) -> list[Json]:
        """Return all devices, those first that need somebody."""
        devices = [self._device(row) for row in self._store.rows("SELECT * FROM devices")]
        rank = {"offline": 0, "unknown": 1, "degraded": 2, "online": 3}
        return sorted(
            devices,
            key=lambda one: (not one["silent"], rank[one["state"]], one["device_id"]),
        )

    def devices_from(self, after: str, limit: int) -> tuple[list[Json], str | None]:
        """Return one page in the order of names, and the cursor of the next, None at the end."""
        rows = self._store.rows(
            "SELECT * FROM devices WHERE device_id > ? ORDER BY device_id LIMIT ?",
            (after, limit + 1),
        )
        page = [self._device(row) for row in rows[:limit]]
        return page, page[-1]["device_id"] if len(rows) > limit else None

    def devices_after(self, rev: int, limit: int) -> tuple[list[Json], int]:
        """Return up to `limit` devices that changed after `rev`, and the last one's revision."""
        rows = self._store.rows(
            "SELECT * FROM devices WHERE rev > ? ORDER BY rev LIMIT ?", (rev, limit)
        )
        return [self._device(row) for row in rows], rows[-1]["rev"] if rows else rev

    def device(self, device_id: str) -> Json | None:
        """Return one device with its week."""
        row = self._store.row("SELECT * FROM devices WHERE device_id = ?", (device_id,))
        if row is None:
            return None
        hours = self._store.rows("SELECT * FROM hours WHERE device = ? ORDER BY hour", (row["id"],))
        week = [
            {"at": text(hour["hour"] * 3_600_000)} | {name: hour[name] for name in _HOUR_FIELDS}
            for hour in hours
        ]
        health, status = _decoded(row["health"]), _decoded(row["status"])
        return self._device(row) | {
            "top_scores": health.get("top_scores", {}),
            "model_digest": status.get("model_digest"),
            "week": week,
        }

    def classes(self) -> list[str]:
        """Return what was heard so far."""
        return [row["label"] for row in self._store.rows("SELECT label FROM classes ORDER BY 1")]

    def _clauses(self, wanted: Filter) -> tuple[list[str], list[Any]]:
        clauses, values = [], []
        # Of one device there are few events: a `+` keeps SQLite at that device's index, where it
        # would take the one of a class and a verdict, and sort what all devices have of them.
        of_few = "" if wanted.device is None else "+"
        for clause, value in (
            ("e.device = (SELECT id FROM devices WHERE device_id = ?)", wanted.device),
            (f"{of_few}e.class = (SELECT id FROM classes WHERE label = ?)", wanted.label),
            (f"{of_few}e.verdict = ?", wanted.verdict),
            ("e.at_ms >= ?", wanted.since_ms),
            ("e.at_ms <= ?", wanted.until_ms),
            ("e.incident = ?", wanted.incident),
        ):
            if value is not None:
                clauses.append(clause)
                values.append(value)
        return clauses, values

    def _device(self, row: Row) -> Json:
        status, health = _decoded(row["status"]), _decoded(row["health"])
        lat, lon = row["lat"], row["lon"]
        if lat is None and (position := self._positions.get(row["device_id"])):
            lat, lon = position.lat, position.lon
        heard_ms = row["heard_ms"]
        quiet_ms = self._wall() * 1000 - (heard_ms or 0)
        return {
            "device_id": row["device_id"],
            "state": row["state"],
            "reasons": status.get("reasons", []),
            "silent": row["state"] == "offline" or quiet_ms > self._silent_after_ms,
            "last_heard": None if heard_ms is None else text(heard_ms),
            "lat": lat,
            "lon": lon,
            "version": status.get("version"),
            "model": status.get("model"),
            "last_event": None if row["event_ms"] is None else text(row["event_ms"]),
        } | {name: health.get(name) for name in _HEALTH_FIELDS}


def _decoded(document: bytes | None) -> Json:
    return {} if document is None else msgspec.json.decode(document, type=Json)


def _event(row: Row) -> Json:
    return {name: row[name] for name in _COPIED} | {
        "class": row["label"],
        "at": text(row["at_ms"]),
        "received": text(row["received_ms"]),
        "clock_synced": bool(row["clock_synced"]),
        "historical": bool(row["historical"]),
        "clip": bool(row["clip"]),
        "verdict": None if row["v_verdict"] is None else _verdict(row),
    }


def _verdict(row: Row) -> Json:
    return {
        "verdict": row["v_verdict"],
        "class": row["v_class"],
        "by": row["v_by"],
        "at": text(row["v_at_ms"]),
        "delivered": bool(row["v_delivered"]),
    }


def _time(words: Mapping[str, str], name: str) -> int | None:
    if name not in words:
        return None
    try:
        return milliseconds(words[name])
    except (ValueError, OverflowError) as error:
        raise QueryError(f"{name}: a time such as 2026-05-12T04:01:02Z is wanted") from error
