"""A store that a very large fleet has reported to."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rainwatchd.post.messages import Status, milliseconds
from rainwatchd.post.records.store import Store
from tests.post.said import health

DEVICES = 10_000
SILENT = "board-07321"


def status(device_id: str) -> Status:
    return Status(
        device_id=device_id,
        state="online",
        reasons=[],
        version="0.2.0",
        model="rainwatch 1",
        model_digest="0" * 64,
    )


def fill(folder: Path, devices: int = DEVICES) -> None:
    """Write what a large fleet has last said straight into the store; one is offline."""
    now_ms = milliseconds("2999-01-01T00:00:00.000Z")
    said = msgspec.json.encode(status("board")), msgspec.json.encode(health("board", now_ms))
    store = Store(folder)
    with store.writing() as db:
        db.executemany(
            "INSERT INTO devices (device_id, heard_ms, state, status, health, lat, lon, rev)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    f"board-{number:05}",
                    now_ms,
                    "offline" if f"board-{number:05}" == SILENT else "online",
                    *said,
                    -3.0 - 0.01 * (number // 100),
                    -60.0 + 0.01 * (number % 100),
                    number,
                )
                for number in range(devices)
            ],
        )
    store.close()
