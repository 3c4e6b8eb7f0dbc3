"""Log lines as journald sorts them, by sd-daemon(3)'s ``<N>``: 3 an error, 6 information."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from rainwatchd import __version__

if TYPE_CHECKING:
    from rainwatchd.alerts.topics import Topics
    from rainwatchd.config.options import Config
    from rainwatchd.decision.events import Detection
    from rainwatchd.hearing.classifier import Classifier

_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}

ERROR = 3


def to_journal(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether stderr leads to the journal: systemd names the device and inode of that pipe."""
    try:
        stat = os.fstat(2)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM", "") == f"{stat.st_dev}:{stat.st_ino}"


def prefixed(text: str, priority: int) -> str:
    """Put the priority before every line: journald takes each for an entry of its own."""
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines() or [""])


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return prefixed(super().format(record), _PRIORITIES.get(record.levelno, 6))


def introduced(config: Config, classifier: Classifier, topics: Topics) -> str:
    """Write the first line of a start: what listens, as whom, and with which microphone."""
    return (
        f"rainwatchd {__version__}, model {classifier.name} sha256:{classifier.digest}, "
        f"device {config.identity}, topic {topics.all}, "
        f"microphone {config.audio.device or 'the default'}"
    )


def told(detection: Detection) -> str:
    """Write the line of one message of an event."""
    clip = f"clip {detection.clip}" if detection.clip else "no clip"
    return (
        f"{detection.label} {detection.phase}, peak {detection.peak_score:.2f}, "
        f"{detection.level_dbfs:.0f} dBFS, event {detection.event_id}, {clip}"
    )


def log_to_stderr(*, journal: bool) -> None:
    """Send the log, and every traceback that nobody caught, to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter() if journal else logging.Formatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    sys.excepthook = _uncaught
    threading.excepthook = lambda hooked: _uncaught(
        hooked.exc_type, hooked.exc_value, hooked.exc_traceback
    )


def _uncaught(
    kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt) or error is None:
        return
    logging.getLogger(__name__).error("unexpected error", exc_info=(kind, error, traceback))
