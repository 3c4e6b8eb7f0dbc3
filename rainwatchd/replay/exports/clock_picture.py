"""Hour of the day against date, as SVG: each cell's colour says what, its strength how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

COLOURS = {"chainsaw": "#d1495b", "engine": "#e08e0b", "storm": "#2e86ab"}
_OTHERS = ("#76b041", "#8f5fb5", "#b07156")

_CELL = 14
_LEFT, _TOP = 40, 24
_MOST_DAYS = 400
"""More days than that are shown by the last ones alone."""


def clock_picture(found: Sequence[tuple[str, datetime | None]], labels: Sequence[str]) -> str:
    """Draw a picture for each label in which there is something; those without a time are left."""
    times = [(label, time) for label, time in found if time is not None]
    if not times:
        return "<p class=dim>Nothing whose time is known.</p>"
    last = max(time for _, time in times).date()
    first = max(min(time for _, time in times).date(), last - timedelta(days=_MOST_DAYS - 1))
    counts = Counter((label, time.date(), time.hour) for label, time in times)
    left = len(found) - len(times)
    pictures = [
        _one(label, colour_of(label, labels), counts, first, last)
        for label in labels
        if any(label == other for other, _ in times)
    ]
    if left:
        pictures.append(f"<p class=dim>{left} detections without a time are not shown.</p>")
    return "\n".join(pictures)


def colour_of(label: str, labels: Sequence[str]) -> str:
    """Give each class a colour, always the same."""
    return COLOURS.get(label) or _OTHERS[labels.index(label) % len(_OTHERS)]


def _one(
    label: str, colour: str, counts: Counter[tuple[str, date, int]], first: date, last: date
) -> str:
    days = (last - first).days + 1
    width, height = _LEFT + days * _CELL + 60, _TOP + 24 * _CELL + 24
    most = max(count for (other, _, _), count in counts.items() if other == label)
    parts = [
        f"<p><b style='color:{colour}'>{label}</b> <small>up to {most} an hour</small></p>"
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
        f"viewBox='0 0 {width} {height}' font-size='10' font-family='sans-serif'>",
        f"<rect x='{_LEFT}' y='{_TOP}' width='{days * _CELL}' height='{24 * _CELL}' "
        "fill='#f4f5f6'/>",
        *_axes(first, days),
    ]
    for (other, day, hour), count in sorted(counts.items()):
        if other == label and day >= first:
            x = _LEFT + (day - first).days * _CELL
            y = _TOP + hour * _CELL
            strength = 0.25 + 0.75 * count / most
            parts.append(
                f"<rect x='{x}' y='{y}' width='{_CELL - 1}' height='{_CELL - 1}' fill='{colour}' "
                f"fill-opacity='{strength:.2f}'><title>{day} {hour:02}:00 UTC: {count}</title>"
                "</rect>"
            )
    return "".join([*parts, "</svg>"])


def _axes(first: date, days: int) -> Iterator[str]:
    for hour in range(0, 25, 6):
        y = _TOP + hour * _CELL
        yield f"<text x='{_LEFT - 6}' y='{y + 4}' text-anchor='end'>{hour:02}:00</text>"
        yield f"<path d='M{_LEFT} {y}h{days * _CELL}' stroke='#dadce0'/>"
    every = max(1, -(-days // 12)) if days > 12 else max(1, -(-60 // (_CELL * days)))
    for number in range(0, days, max(every, 5) if days > 5 else every):
        x = _LEFT + number * _CELL
        yield f"<text x='{x}' y='{_TOP - 8}'>{first + timedelta(days=number):%d %b}</text>"
