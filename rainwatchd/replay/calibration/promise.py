"""What some hours of ambience can promise, and what a threshold costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

CONFIDENCE = 0.95


def most_expected(alarms: int, confidence: float = CONFIDENCE) -> float:
    """Return the highest mean number of alarms that `alarms` leave possible.

    The upper limit of a Poisson mean (Garwood 1936): 3.00 for no alarm, 4.74 for one, 6.30 for
    two. It holds for a threshold put right above the peak next in rank, too: how many louder ones
    there would be follows the same law.
    """
    low, high = 0.0, 10.0 * (alarms + 3)
    for _ in range(60):
        mean = (low + high) / 2
        term = chance = math.exp(-mean)
        for count in range(1, alarms + 1):
            term *= mean / count
            chance += term
        low, high = (mean, high) if chance > 1.0 - confidence else (low, mean)
    return high


def days_wanted(alarms: int, per_day: float) -> float:
    """Return the days that would promise `per_day` if no further alarm came."""
    return most_expected(alarms) / per_day


def recall_at(table: Sequence[Sequence[float]], threshold: float) -> float | None:
    """Return the share of events found at `threshold`, from rows of (threshold, recall).

    The table's thresholds rise; between two of them the higher one counts, which promises less.
    """
    return next((recall for on, recall in table if on >= threshold - 1e-9), None)


def cost(tables: Mapping[str, Sequence[Sequence[float]]], before: float, after: float) -> list[str]:
    """Return the recall at each ratio as text: ``0 dB: 0.90 -> 0.84``."""
    said = []
    for ratio, table in tables.items():
        old, new = recall_at(table, before), recall_at(table, after)
        shown = ["below the table" if value is None else f"{value:.2f}" for value in (old, new)]
        said.append(f"{ratio} dB: {shown[0]}" + (f" -> {shown[1]}" if after != before else ""))
    return said
