"""What hearing gives out: a scored window."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Scores of one window; samples count at the model's rate from the start of the stream."""

    start: int
    """First sample."""
    end: int
    """One past the last sample."""
    scores: tuple[float, ...]
    """One a class, in the order of the model's labels."""
    level_dbfs: float
    """Root-mean-square level of the newest step, re full scale."""
