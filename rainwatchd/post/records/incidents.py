"""Events that several devices heard at once, near each other: one incident, not several alerts."""

from __future__ import annotations

import math
import sqlite3

NEAR_M = 2000.0
WITHIN_MS = 60_000
EARTH_M = 6_371_000.0

_CANDIDATES = 100
"""Events looked at for each new one; in a flood an incident is the least worry."""


def distance_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great-circle distance in metres by the haversine formula; positions in degrees."""
    a, b = math.radians(lat_a), math.radians(lat_b)
    half_lon = math.radians(lon_b - lon_a) / 2
    chord = math.sin((b - a) / 2) ** 2 + math.cos(a) * math.cos(b) * math.sin(half_lon) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(chord)))


def join(db: sqlite3.Connection, new: sqlite3.Row) -> tuple[str | None, list[int]]:
    """Find the incident of a new event.

    Args:
        db: The store, while it is written to.
        new: Row of ``events``.

    Returns:
        The incident's id (that of its first event) or None, and the rows of other events whose
        incident must become the same.
    """
    if new["lat"] is None or new["lon"] is None or _when_is_unknown(new):
        return None, []
    rows = db.execute(
        "SELECT id, event_id, at_ms, lat, lon, incident FROM events"
        " WHERE class = ? AND at_ms BETWEEN ? AND ? AND device != ? AND lat IS NOT NULL"
        " AND lon IS NOT NULL AND (clock_synced OR NOT historical)"
        " ORDER BY at_ms DESC LIMIT ?",
        (
            new["class"],
            new["at_ms"] - WITHIN_MS,
            new["at_ms"] + WITHIN_MS,
            new["device"],
            _CANDIDATES,
        ),
    ).fetchall()
    near = [
        row for row in rows if distance_m(new["lat"], new["lon"], row["lat"], row["lon"]) <= NEAR_M
    ]
    if not near:
        return None, []
    # An event in between may join what were two incidents until now.
    known = sorted({row["incident"] for row in near if row["incident"]})
    first = min(
        [(row["at_ms"], row["event_id"]) for row in near] + [(new["at_ms"], new["event_id"])]
    )
    incident = known[0] if known else first[1]
    changed = [row["id"] for row in near if row["incident"] != incident]
    for other in known[1:]:
        members = db.execute("SELECT id FROM events WHERE incident = ?", (other,))
        changed += [row["id"] for row in members]
    return incident, sorted(set(changed))


def _when_is_unknown(event: sqlite3.Row) -> bool:
    """Whether an event came late, by a clock that wasn't set: a backlog is no incident."""
    return bool(event["historical"] and not event["clock_synced"])
