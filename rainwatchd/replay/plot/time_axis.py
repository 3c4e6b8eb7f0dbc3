"""A picture's time axis: places in the recording, and the time of day where it is known."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from matplotlib.axes import Axes

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
_STEPS_H = (1, 2, 3, 6, 12, 24, 48, 168)
_MOST_TICKS = 10


def draw_time(top: Axes, bottom: Axes, duration_s: float, start: datetime | None) -> None:
    """Label the time below `bottom`: of day (UTC) where `start` is known, else of the recording.

    Where the time of day is known, the places in the recording stand above `top`.
    """
    bottom.set_xlim(0.0, max(duration_s, 1e-3))
    step_s = _step_s(duration_s)
    if start is None:
        ticks_s = _multiples(step_s, 0.0, duration_s)
        bottom.set_xticks(ticks_s, [place(at_s, step_s) for at_s in ticks_s])
        bottom.set_xlabel("time from the beginning of the recording")
        return
    midnight = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin_s = (start - midnight).total_seconds()
    ticks_s = _multiples(step_s, begin_s, duration_s)
    bottom.set_xticks(
        [at_s - begin_s for at_s in ticks_s],
        [_time_of_day(midnight + timedelta(seconds=at_s), step_s) for at_s in ticks_s],
    )
    bottom.set_xlabel(f"UTC, from {start:%Y-%m-%d %H:%M:%S}")
    above = top.secondary_xaxis("top")
    ticks_s = _multiples(step_s, 0.0, duration_s)
    above.set_xticks(ticks_s, [place(at_s, step_s) for at_s in ticks_s])
    above.tick_params(length=2, labelsize=8, colors="#80868b")
    above.spines[:].set_visible(False)


def place(seconds: float, step_s: float) -> str:
    """Write a place in a recording as short as ticks `step_s` apart allow."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if step_s >= 60 and whole >= 3600:
        return f"{hours} h {minutes:02}" if minutes or step_s < 3600 else f"{hours} h"
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _time_of_day(at: datetime, step_s: float) -> str:
    if at.hour == at.minute == at.second == 0:
        return f"{at:%H:%M}\n{at:%Y-%m-%d}"
    return f"{at:%H:%M}" if step_s >= 60 else f"{at:%H:%M:%S}"


def _step_s(duration_s: float) -> float:
    steps_s = (*_STEPS_S, *(3600 * hours for hours in _STEPS_H))
    fitting = (step_s for step_s in steps_s if duration_s / step_s <= _MOST_TICKS)
    return next(fitting, steps_s[-1] * math.ceil(duration_s / steps_s[-1] / _MOST_TICKS))


def _multiples(step_s: float, begin_s: float, duration_s: float) -> list[float]:
    first = math.ceil(begin_s / step_s)
    last = math.floor((begin_s + duration_s) / step_s)
    return [number * step_s for number in range(first, last + 1)]
