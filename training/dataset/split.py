"""Dividing clips by recording, so that nothing is tested on what it was trained on."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from training.dataset.clip import Clip, DataError

_FREESOUND = re.compile(r"freesound-(\d+)$")
_SESSION_NUMBERS = 3
"""Freesound numbers uploads in order; neighbours of one class are one evening of one recordist."""


def joined_sessions(clips: Sequence[Clip]) -> list[Clip]:
    """Give neighbouring Freesound uploads of one class one recording name: no split parts them.

    118656, 118657 and 118658 are the same saw, and held apart the test would hear what training
    heard. They take the first one's name; a recording with clips of two classes keeps one name.
    """
    numbers = sorted(
        {(clip.label, int(m[1])) for clip in clips if (m := _FREESOUND.match(clip.recording))}
    )
    name: dict[str, str] = {}
    previous = ("", 0, "")
    for label, number in numbers:
        joins = previous[0] == label and number - previous[1] <= _SESSION_NUMBERS
        own = f"freesound-{number}"
        name[own] = name.get(own, previous[2] if joins else own)
        previous = (label, number, name[own])
    return [replace(clip, recording=name.get(clip.recording, clip.recording)) for clip in clips]


def split_by_recording(
    clips: Sequence[Clip], fractions: Mapping[str, float], seed: int
) -> dict[str, list[Clip]]:
    """Divide `clips` into named parts by recording, stratified by class and source.

    `fractions` maps each part's name to its share of every class's recordings; the shares are
    taken relative to their sum. Every class is in every part, or `DataError` is raised.
    """
    names = list(fractions)
    dealt = _deal(clips, [fractions[name] for name in names], seed, own_folds=False)
    return dict(zip(names, dealt, strict=True))


def folds(clips: Sequence[Clip], k: int, seed: int) -> list[tuple[list[Clip], list[Clip]]]:
    """Return `k` pairs (training, held out); every clip is held out exactly once.

    Collections with folds of their own (ESC-10, ESC-50: 5; UrbanSound8K: 10) keep them where
    `k` is a number that they fit into, so that results compare with published ones.
    """
    parts = _deal(clips, [1.0] * k, seed, own_folds=True)
    return [
        ([clip for other in parts if other is not part for clip in other], part) for part in parts
    ]


def _deal(
    clips: Sequence[Clip], shares: Sequence[float], seed: int, own_folds: bool
) -> list[list[Clip]]:
    by_recording: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        by_recording[clip.recording].append(clip)
    strata: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for recording, members in by_recording.items():
        label = Counter(clip.label for clip in members).most_common(1)[0][0]
        strata[label][members[0].source].append(recording)
    parts: list[list[Clip]] = [[] for _ in shares]
    total = sum(shares)
    for label in sorted(strata):
        sources = strata[label]
        count = sum(len(recordings) for recordings in sources.values())
        if count < len(shares):
            raise DataError(
                f"class {label} has {count} recording{'s' if count != 1 else ''}, too few for "
                f"{len(shares)} parts: add recordings or ask for fewer parts"
            )
        draw = random.Random(f"{seed} {label}")
        got = [0] * len(shares)
        for recording in _order(sources, draw):
            members = by_recording[recording]
            own = next((clip.fold for clip in members if clip.fold is not None), None)
            if own_folds and own is not None and 1 <= own <= len(shares):
                part = own - 1
            else:
                # The part that lags most behind its share; ties are drawn, not always the first.
                dealt = sum(got) + 1
                lag = [
                    share / total * dealt - have for share, have in zip(shares, got, strict=True)
                ]
                empty = [i for i, have in enumerate(got) if not have]
                left = count - sum(got)
                candidates = empty if len(empty) >= left else range(len(shares))
                part = max(candidates, key=lambda i: (round(lag[i], 6), draw.random()))
            got[part] += 1
            parts[part].extend(members)
    return parts


def _order(sources: Mapping[str, Sequence[str]], draw: random.Random) -> list[str]:
    """Recordings source by source, both shuffled."""
    names = sorted(sources)
    draw.shuffle(names)
    ordered = []
    for name in names:
        recordings = sorted(sources[name])
        draw.shuffle(recordings)
        ordered.extend(recordings)
    return ordered
