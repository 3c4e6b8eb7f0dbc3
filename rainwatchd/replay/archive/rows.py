"""What stands in a recording's part: its row, its detections and its windows."""

from __future__ import annotations

import re
from array import array
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from rainwatchd.replay.replay import Found, Scored

_RECORDER = re.compile(r"(.+?)[-_]\d{8}[-_T]\d{6}")
"""What a recorder puts before the time in its files' names."""


def device_of(place: str) -> str:
    """Name the recorder: what stands before the time in the file's name, else its folder."""
    path = PurePosixPath(place)
    named = _RECORDER.match(path.stem)
    return named[1] if named is not None else path.parent.name or "unknown"


def detection_row(found: Found) -> dict[str, Any]:
    """Return a detection as it stands in a part."""
    detection = found.detection
    times = [
        None if text is None else datetime.fromisoformat(text)
        for text in (detection.start, detection.end)
    ]
    return {
        "event_id": detection.event_id,
        "class": detection.label,
        "start_s": round(found.start_s, 3),
        "end_s": None if found.end_s is None else round(found.end_s, 3),
        "start": times[0],
        "end": times[1],
        "score": detection.score,
        "peak_score": detection.peak_score,
        "level_dbfs": detection.level_dbfs,
        "end_reason": detection.end_reason,
    }


class Windows:
    """Every window's scores, in half precision: three digits of a number between 0 and 1."""

    def __init__(self, labels: int) -> None:
        self._labels = labels
        self._starts_s = array("f")
        self._scores = array("f")

    def take(self, window: Scored) -> None:
        """Keep a window."""
        self._starts_s.append(window.start_s)
        self._scores.extend(window.scores)

    def table(self) -> pa.Table:
        """Return one row: when the windows began, and their scores one label after another."""
        scores = np.asarray(self._scores, np.float32).astype(np.float16)
        return pa.table(
            {
                "window_start_s": _one_row(np.asarray(self._starts_s, np.float32), pa.float32()),
                "window_scores": _one_row(scores, pa.float16()),
            }
        )


def _one_row(values: np.ndarray[Any, Any], kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array([0, values.size], pa.int32()), pa.array(values, kind))
