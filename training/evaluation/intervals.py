"""How far a measured figure can be trusted: 95 % intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_SEED = 7
_TAIL = 0.025
"""Outside the interval on either side."""


class Share(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Part of some trials that came out true, with its 95 % interval."""

    value: float
    """nan where nothing was tried."""
    low: float
    high: float
    count: int
    """Trials."""
    recordings: int
    """That the trials were made of."""

    def __str__(self) -> str:
        if not self.count:
            return "-"
        return f"{self.value:.2f} ({self.low:.2f}-{self.high:.2f})"


def share(trials: Iterable[tuple[str, bool]]) -> Share:
    """Return the share of ``(recording, came out true)`` that did.

    The interval is the percentile bootstrap (Efron 1979) over recordings, since events of one
    recording are alike. Where all or none came out true resampling shows no spread: then the
    exact interval (Clopper and Pearson 1934), each recording a trial.
    """
    hits: dict[str, list[bool]] = defaultdict(list)
    for recording, hit in trials:
        hits[recording].append(hit)
    if not hits:
        return Share(float("nan"), float("nan"), float("nan"), 0, 0)
    found = np.array([sum(own) for own in hits.values()])
    tried = np.array([len(own) for own in hits.values()])
    value = float(found.sum() / tried.sum())
    spare = _TAIL ** (1.0 / len(hits))
    if value in (0.0, 1.0):
        low, high = (spare, 1.0) if value else (0.0, 1.0 - spare)
    else:
        low, high = _resampled(found, tried)
    return Share(round(value, 4), round(low, 4), round(high, 4), int(tried.sum()), len(hits))


def difference(trials: Iterable[tuple[str, bool, bool]]) -> tuple[float, float, float]:
    """Return by how much the first of two shares of the same trials is larger, and the interval.

    Trials are ``(recording, first came out true, second did)``; the bootstrap is over recordings,
    and both shares stand on the same ones each time. nan where nothing was tried.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for recording, first, second in trials:
        groups[recording].append(int(first) - int(second))
    if not groups:
        return float("nan"), float("nan"), float("nan")
    more = np.array([sum(own) for own in groups.values()])
    tried = np.array([len(own) for own in groups.values()])
    return float(more.sum() / tried.sum()), *_resampled(more, tried)


def _resampled(counted: NDArray[Any], tried: NDArray[Any]) -> tuple[float, float]:
    """Return the interval of what was counted over what was tried, both by recording."""
    drawn = np.random.default_rng(_SEED).integers(0, tried.size, (_RESAMPLES, tried.size))
    values = counted[drawn].sum(axis=1) / tried[drawn].sum(axis=1)
    low, high = np.quantile(values, (_TAIL, 1.0 - _TAIL))
    return float(low), float(high)


def median(values: Iterable[tuple[str, float]]) -> tuple[float, float, float]:
    """Return the median of ``(recording, value)`` and its interval, bootstrapped alike.

    nan where there are no values.
    """
    groups: dict[str, list[float]] = defaultdict(list)
    for recording, value in values:
        groups[recording].append(value)
    if not groups:
        return float("nan"), float("nan"), float("nan")
    own = [np.array(group) for group in groups.values()]
    rng = np.random.default_rng(_SEED)
    drawn = [
        np.median(np.concatenate([own[n] for n in rng.integers(0, len(own), len(own))]))
        for _ in range(_RESAMPLES // 4)
    ]
    low, high = np.quantile(drawn, (_TAIL, 1.0 - _TAIL))
    return float(np.median(np.concatenate(own))), float(low), float(high)


def most_per_day(alarms: int, hours: float) -> float:
    """Return the upper 95 % bound on alarms a day, of which `alarms` came in `hours`.

    The rate of a Poisson process (Garwood 1936): half the 0.95 quantile of chi-square with
    ``2 (alarms + 1)`` degrees of freedom, over the days. 0 in D days is at most 3.0 / D a day,
    1 at most 4.7 / D, 2 at most 6.3 / D. Infinite where nothing was heard.
    """
    from scipy.stats import chi2

    if not hours:
        return float("inf")
    return float(chi2.ppf(0.95, 2 * (alarms + 1)) / 2.0 / (hours / 24.0))
