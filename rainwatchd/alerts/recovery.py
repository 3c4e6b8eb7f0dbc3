"""What the outbox does with what an earlier run left: damaged files and events without an end."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from rainwatchd.alerts.ledger import Damaged, Ledger, Message, OpenEvent
from rainwatchd.decision.events import Detection, interrupted

log = logging.getLogger(__name__)


def open_ledger(path: Path, damage: Damaged | None = None) -> tuple[Ledger, Path | None]:
    """Open the ledger; one that is damaged, or known to be, is moved aside and begun anew.

    Returns the ledger and the path of what was moved aside. Raises ``OSError`` or
    ``sqlite3.Error`` where the medium fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if damage is None:
        try:
            return Ledger(path), None
        except Damaged as error:
            damage = error
    aside = set_aside(path)
    log.error("outbox: %s is damaged: %s", path, damage)
    return Ledger(path), aside


def interruption(event: OpenEvent) -> Message | None:
    """Return the offset of an event that a killed run left open; None if it cannot be read."""
    try:
        offset = interrupted(msgspec.json.decode(event.payload, type=Detection))
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        log.warning("outbox: an open event, damaged or of another version, cannot end: %s", error)
        return None
    payload = msgspec.json.encode(offset)
    return Message(event.event_id, offset.seq, event.born, 0.0, False, payload)


def set_aside(path: Path) -> Path:
    """Rename a damaged file and its log out of the way; they are never deleted."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    aside = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside
