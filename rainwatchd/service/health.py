"""How the device is: what is wrong with which part, and the figures of the last minute."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from rainwatchd import __version__
from rainwatchd.alerts.outbox import Outbox
from rainwatchd.audio.ring import Gap
from rainwatchd.decision.clock import StreamClock
from rainwatchd.decision.events import Health, Status, utc_text
from rainwatchd.hearing.window import Window
from rainwatchd.service.live_port import Glimpse

REPORT_S = 60.0
"""Between two health messages."""

THERMAL_ZONE = Path("/sys/class/thermal/thermal_zone0/temp")
"""The processor's temperature in thousandths of a degree, on boards that measure it."""


class StatusBoard:
    """Collects what is wrong, part by part, and says it whenever it changes. Thread-safe."""

    def __init__(self, device_id: str, model: str, model_digest: str) -> None:
        self._status = Status(
            device_id=device_id,
            state="online",
            version=__version__,
            model=model,
            model_digest=model_digest,
        )
        self._lock = threading.Lock()
        self._troubles: dict[str, str] = {}
        self._listeners: list[Callable[[Status], None]] = []

    def listen(self, listener: Callable[[Status], None]) -> None:
        """Have `listener` told the status now and after each change."""
        with self._lock:
            self._listeners.append(listener)
            listener(self._now())

    def reporter(self, part: str) -> Callable[[str | None], None]:
        """Return the function by which `part` says what is wrong with it, or None."""

        def report(trouble: str | None) -> None:
            with self._lock:
                if trouble == self._troubles.get(part):
                    return
                if trouble is None:
                    del self._troubles[part]
                else:
                    self._troubles[part] = trouble
                self._tell()

        return report

    def use_model(self, model: str, digest: str) -> None:
        """Take note that another model listens now."""
        with self._lock:
            self._status = msgspec.structs.replace(self._status, model=model, model_digest=digest)
            self._tell()

    def offline(self) -> bytes:
        """Return the message of a device that has gone; also the Last Will."""
        with self._lock:
            return msgspec.json.encode(msgspec.structs.replace(self._now(), state="offline"))

    @property
    def status(self) -> Status:
        """How the device is now."""
        with self._lock:
            return self._now()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener(self._now())

    def _now(self) -> Status:
        reasons = [f"{part}: {trouble}" for part, trouble in sorted(self._troubles.items())]
        state = "degraded" if reasons else "online"
        return msgspec.structs.replace(self._status, state=state, reasons=reasons)


class Meter:
    """Keeps the figures of the analysis; used by the thread that listens."""

    def __init__(self) -> None:
        self.windows = 0
        """Windows scored since the start."""
        self.gaps = 0
        self._gap_end = -1
        self._labels: tuple[str, ...] = ()
        self._began_s = time.monotonic()
        self._newest: Window | None = None
        self._latency_s: float | None = None
        self._mark_cpu_s = time.thread_time()
        self._mark_sample = 0

    def use_labels(self, labels: Sequence[str]) -> None:
        """Take note that windows with these labels follow."""
        self._labels, self._newest = tuple(labels), None

    def gap(self, gap: Gap) -> None:
        """Take note of lost sound; gaps that touch are one."""
        self.gaps += gap.start != self._gap_end
        self._gap_end = gap.end

    def heard(self, window: Window, latency_s: float) -> None:
        """Take note of a scored window and of how old its newest sample is by now."""
        if self._newest is None:
            self._mark_cpu_s, self._mark_sample = time.thread_time(), window.end
        self.windows += 1
        self._newest = window
        # The clock's anchor is as exact as a block is long.
        self._latency_s = max(latency_s, self._latency_s or 0.0, 0.0)

    def real_time_factor(self, rate_hz: int) -> float | None:
        """Processor time of the listening thread per second of sound, since the last report."""
        heard = 0 if self._newest is None else self._newest.end - self._mark_sample
        return (time.thread_time() - self._mark_cpu_s) * rate_hz / heard if heard > 0 else None

    def report(
        self,
        device_id: str,
        clock: StreamClock,
        losses: tuple[int, int],
        outbox: Outbox,
        verdicts: Mapping[str, int],
        *,
        directory: Path,
    ) -> Health:
        """Describe the time since the last report, and begin the next.

        `losses` is how often analysis was overtaken, and how often the driver dropped sound;
        `verdicts` is what came of them, see `FeedbackDesk.counts`.
        """
        newest, factor = self._newest, self.real_time_factor(clock.rate_hz)
        health = Health(
            device_id=device_id,
            time=utc_text(clock.now()),
            clock_synced=clock.synced,
            uptime_s=round(time.monotonic() - self._began_s, 1),
            level_dbfs=None if newest is None else round(newest.level_dbfs, 1),
            overruns=losses[0],
            drops=losses[1],
            gaps=self.gaps,
            real_time_factor=None if factor is None else round(factor, 4),
            latency_s=None if self._latency_s is None else round(self._latency_s, 3),
            outbox_depth=outbox.depth,
            outbox_dropped=outbox.dropped,
            feedback=dict(verdicts),
            disk_free_bytes=disk_free_bytes(directory),
            temperature_c=temperature_c(),
            top_scores={} if newest is None else self._scores(newest, 4),
        )
        if newest is not None:
            self._mark_cpu_s, self._mark_sample = time.thread_time(), newest.end
        self._latency_s = None
        return health

    def glimpse(self, status: Status, rate_hz: int, *, deaf: bool) -> Glimpse:
        """Describe the newest window for who looks; before the first, or when `deaf`, the state."""
        newest = None if deaf else self._newest
        factor = None if deaf else self.real_time_factor(rate_hz)
        return Glimpse(
            device_id=status.device_id,
            model=status.model,
            state=status.state,
            reasons=status.reasons,
            level_dbfs=None if newest is None else round(newest.level_dbfs, 1),
            real_time_factor=None if factor is None else round(factor, 3),
            scores={} if newest is None else self._scores(newest, 3),
        )

    def live_line(self, rate_hz: int) -> str:
        """Describe the newest window in one line: level, scores, real-time factor."""
        if self._newest is None:
            return "waiting for the first window"
        ranked = sorted(self._scores(self._newest, 2).items(), key=lambda item: -item[1])
        scores = "  ".join(f"{label} {score:.2f}" for label, score in ranked[:3])
        factor = self.real_time_factor(rate_hz)
        speed = "" if factor is None else f"  {factor:.3f} x real time"
        return f"{self._newest.level_dbfs:6.1f} dBFS  {scores}{speed}"

    def _scores(self, window: Window, digits: int) -> dict[str, float]:
        rounded = (round(score, digits) for score in window.scores)
        return dict(zip(self._labels, rounded, strict=True))


def disk_free_bytes(directory: Path) -> int | None:
    """Return the space left where `directory` is or would be made; None if that fails."""
    for place in (directory, *directory.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError:
            return None
    return None


def temperature_c(zone: Path = THERMAL_ZONE) -> float | None:
    """Return the processor's temperature; None on a board that doesn't tell."""
    try:
        return int(zone.read_text(encoding="ascii")) / 1000.0
    except (OSError, ValueError):
        return None
