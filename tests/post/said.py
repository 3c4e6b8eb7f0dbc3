"""What a device says of itself, for the post to hear."""

from __future__ import annotations

import time
from typing import Any

from rainwatchd.decision.events import Health
from rainwatchd.post.messages import text


def health(device_id: str = "canopy-7", time_ms: int | None = None, **changes: Any) -> Health:
    """Make the health message of a device at `time_ms`, now by default."""
    values: dict[str, Any] = {
        "device_id": device_id,
        "time": text(round(time.time() * 1000) if time_ms is None else time_ms),
        "clock_synced": True,
        "uptime_s": 4000.0,
        "level_dbfs": -47.2,
        "overruns": 0,
        "drops": 0,
        "gaps": 0,
        "real_time_factor": 0.2,
        "latency_s": 0.3,
        "outbox_depth": 3,
        "outbox_dropped": 0,
        "feedback": {"taken": 1, "void": 0, "unknown": 2, "lost": 0},
        "disk_free_bytes": 12_300_000_000,
        "temperature_c": 51.5,
        "top_scores": {"chainsaw": 0.02},
    }
    return Health(**values | changes)
