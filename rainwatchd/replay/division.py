"""How long recordings are divided, so that none ends alone while other cores wait."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rainwatchd.replay.listening import Piece

LONG_S = 7200.0
"""Shorter recordings are heard whole."""

_LEAST_S = 1800.0
"""Of a piece, on the average."""

_MOST = 12
"""Pieces of one recording: the last would do little else than pass over what was before it."""

_PASSING = 0.15
"""What it costs to pass over a second, which is to decode and resample it, over what it costs to
hear it: 0.07 of a WAV at the model's rate, 0.17 of one of 48 kHz, 0.3 of a FLAC of 48 kHz."""

_WORTH = 0.95
"""Of the time that all takes: what is gained by less isn't worth the work."""

_LOOKED_AT = 4
"""Recordings for each core that could end last, the longest; others fill up what is left."""


def divide(lengths_s: Sequence[float], jobs: int) -> dict[int, int]:
    """Return into how many pieces recordings are divided, by their numbers; others are whole.

    `lengths_s` may be wrong. Only what would end alone is divided, heard by `jobs` processes with
    the longest first: every piece passes over what lies before it, and that is work.
    """
    counts: dict[int, int] = {}
    if jobs == 1 or max(lengths_s, default=0.0) <= LONG_S:
        return counts
    longest = heapq.nlargest(_LOOKED_AT * jobs, range(len(lengths_s)), lengths_s.__getitem__)
    looked_at = {number: lengths_s[number] for number in longest}
    rest_s = sum(lengths_s) - sum(looked_at.values())
    whole = plan = _ends(looked_at, counts, rest_s, jobs)
    while looked_at[plan.last] > LONG_S and plan.last not in counts:
        most = min(_MOST, 2 * jobs, int(looked_at[plan.last] / _LEAST_S))
        tries = [{**counts, plan.last: count} for count in range(2, most + 1)]
        best = min(tries, key=lambda tried: _ends(looked_at, tried, rest_s, jobs))
        # Of several that are as long, the first that is divided gains nothing yet.
        if _ends(looked_at, best, rest_s, jobs).ends_s > plan.ends_s:
            break
        counts, plan = best, _ends(looked_at, best, rest_s, jobs)
    return counts if plan.ends_s < _WORTH * whole.ends_s else {}


def pieces(length_s: float, count: int) -> list[Piece]:
    """Divide a recording at minute marks into pieces that cost the same, the last the shortest."""
    left = 1.0 - _PASSING
    whole = 1.0 - left**count
    starts_s = [
        60.0 * round(length_s * (1.0 - left**index) / whole / 60.0) for index in range(count)
    ]
    stops_s = [*starts_s[1:], None]
    return [
        Piece(index, count, start_s, stop_s)
        for index, (start_s, stop_s) in enumerate(zip(starts_s, stops_s, strict=True))
    ]


class _Plan(NamedTuple):
    """Seconds of sound that one process hears in the time; what is least is best."""

    ends_s: float
    uneven: float
    """Grows where some processes do more than others."""
    last: int
    """The recording that ends last."""


def _ends(
    lengths_s: Mapping[int, float], counts: Mapping[int, int], rest_s: float, jobs: int
) -> _Plan:
    """Hear in thought, the longest first."""
    parts = [
        (_cost_s(length_s, counts.get(number, 1)), number)
        for number, length_s in lengths_s.items()
        for _ in range(counts.get(number, 1))
    ]
    busy_s = [0.0] * jobs
    last = (0.0, next(iter(lengths_s)))
    for cost_s, number in sorted(parts, reverse=True):
        end_s = busy_s[0] + cost_s
        heapq.heapreplace(busy_s, end_s)
        last = max(last, (end_s, number))
    even_s = (rest_s + sum(cost_s for cost_s, _ in parts)) / jobs
    return _Plan(max(last[0], even_s), sum(end_s * end_s for end_s in busy_s), last[1])


def _cost_s(length_s: float, count: int) -> float:
    """Return what one of `count` pieces costs."""
    return length_s if count == 1 else length_s * _PASSING / (1.0 - (1.0 - _PASSING) ** count)
