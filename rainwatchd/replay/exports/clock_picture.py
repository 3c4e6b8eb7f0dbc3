"""Hour of the day against date, as SVG: each cell's colour says what, its strength how often.

What nobody listened to stays white, so that a quiet hour and a dead recorder look different.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

COLOURS = {"chainsaw": "#d1495b", "engine": "#e08e0b", "storm": "#2e86ab"}
_OTHERS = ("#76b041", "#8f5fb5", "#b07156")

_WIDTH = 860
"""Of all days together, at most."""
_WIDEST, _NARROWEST, _CELL = 14, 2, 13
_LEFT, _TOP = 40, 24
_MOST_DAYS = 400
"""More days than that are shown by the last ones alone."""


@dataclass(frozen=True)
class Listened:
    """The hours in which anything was heard at all, by day."""

    hours: dict[date, set[int]]

    @classmethod
    def to(cls, spans: Iterable[tuple[datetime, datetime]]) -> Listened:
        """Collect the hours of all spans, each from its start to its end."""
        hours: dict[date, set[int]] = defaultdict(set)
        for start, end in spans:
            hour = start.replace(minute=0, second=0, microsecond=0)
            while hour < end:
                hours[hour.date()].add(hour.hour)
                hour += timedelta(hours=1)
        return cls(dict(hours))

    def runs(self, day: date) -> Iterator[tuple[int, int]]:
        """Yield the first hour of each stretch of a day, and how many there are."""
        heard = self.hours.get(day, set())
        for hour in sorted(heard):
            if hour - 1 not in heard:
                end = next(other for other in range(hour, 25) if other not in heard)
                yield hour, end - hour


def clock_picture(
    found: Sequence[tuple[str, datetime | None]],
    listened: Listened,
    labels: Sequence[str],
    clock: str,
) -> str:
    """Draw a picture for each label in which there is something; those without a time are left.

    `clock` names what the times are told in.
    """
    times = [(label, time) for label, time in found if time is not None]
    left = len(found) - len(times)
    without = f"<p class=dim>{left} detections without a time are not shown.</p>" if left else ""
    if not times:
        return f"<p class=dim>Nothing whose time is known.</p>{without}"
    days = {time.date() for _, time in times} | set(listened.hours)
    first = max(min(days), max(days) - timedelta(days=_MOST_DAYS - 1))
    many_days = (max(days) - first).days + 1
    counts = Counter((label, time.date(), time.hour) for label, time in times)
    shown = [label for label in labels if any(label == other for other, _ in times)]
    pictures = [
        f"<p class=dim>Each column is a day, each row an hour ({clock}); grey was listened to, "
        "white was not.</p>",
        *(
            _one(
                label,
                colour_of(label, labels),
                counts,
                listened,
                first=first,
                days=many_days,
                clock=clock,
            )
            for label in shown
        ),
        without,
    ]
    return "\n".join(pictures)


def colour_of(label: str, labels: Sequence[str]) -> str:
    """Give each class a colour, always the same."""
    return COLOURS.get(label) or _OTHERS[labels.index(label) % len(_OTHERS)]


def _one(
    label: str,
    colour: str,
    counts: Counter[tuple[str, date, int]],
    listened: Listened,
    *,
    first: date,
    days: int,
    clock: str,
) -> str:
    cell = max(_NARROWEST, min(_WIDEST, _WIDTH // days))
    width, height = _LEFT + days * cell + 60, _TOP + 24 * _CELL + 12
    most = max(count for (other, _, _), count in counts.items() if other == label)
    parts = [
        f"<p><b style='color:{colour}'>{label}</b> <small>up to {most} an hour</small></p>"
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' font-size='10' font-family='sans-serif'>"
    ]
    for number in range(days):
        for hour, many in listened.runs(first + timedelta(days=number)):
            parts.append(
                f"<rect x='{_LEFT + number * cell}' y='{_TOP + hour * _CELL}' width='{cell}' "
                f"height='{many * _CELL}' fill='#eef0f2'/>"
            )
    parts += _axes(first, days, cell)
    for (other, day, hour), count in sorted(counts.items()):
        if other == label and day >= first:
            x = _LEFT + (day - first).days * cell
            y = _TOP + hour * _CELL
            strength = 0.25 + 0.75 * count / most
            parts.append(
                f"<rect x='{x}' y='{y}' width='{cell - (cell > 4)}' height='{_CELL - 1}' "
                f"fill='{colour}' fill-opacity='{strength:.2f}'>"
                f"<title>{day} {hour:02}:00 {clock}: {count}</title></rect>"
            )
    return "".join([*parts, "</svg>"])


def _axes(first: date, days: int, cell: int) -> Iterator[str]:
    for hour in range(0, 25, 6):
        y = _TOP + hour * _CELL
        yield f"<text x='{_LEFT - 6}' y='{y + 4}' text-anchor='end'>{hour:02}:00</text>"
        yield f"<path d='M{_LEFT} {y}h{days * cell}' stroke='#dadce0'/>"
    # A date takes the room of 60 pixels.
    for number in range(0, days, max(1, -(-60 // cell))):
        x = _LEFT + number * cell
        yield f"<text x='{x}' y='{_TOP - 8}'>{first + timedelta(days=number):%d %b}</text>"
