"""Five-second clips judged alone: what everybody's first test shows, and ESC-50's own folds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats
from rainwatchd.decision.clip_judgement import BACKGROUND, judge_clip
from training.dataset import Clip, load
from training.evaluation.intervals import Share, share
from training.evaluation.kinds import MACHINES, kinds
from training.evaluation.scoring import Scored
from training.evaluation.streams import Stream, Truth

CLIP_S = 5.0
_SHORTEST_S = 1.0

FALSE_SHARE = 0.05
"""Part of the clips without a class that may be called it, where its threshold is chosen."""

_LOWEST, _HIGHEST = 0.05, 0.95
"""Thresholds of a mean score that are worth having."""

_WHOLE_SOURCES = ("esc10", "esc50")
"""Every clip of these is heard, since published figures count them so; of others one clip of
each recording."""


@dataclass(frozen=True)
class ClipFigures:
    """How clips were judged, each by itself."""

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    """Shape ``(true, judged)``; what must raise no alert counts as background."""
    recall: Mapping[str, Share]
    """Label -> share of its clips that were judged so."""
    false_share: Mapping[str, Share]
    """What it was -> share of the clips that were judged a chainsaw or an engine."""
    esc50: Mapping[int, tuple[int, int]]
    """ESC-50's fold -> clips judged right, clips."""
    esc50_recall: Mapping[str, Share]


def clip_streams(clips: Sequence[Clip], *, rate_hz: int) -> Iterator[Stream]:
    """Yield at most `CLIP_S` from the middle of one clip of every recording."""
    seen: set[str] = set()
    for clip in sorted(clips, key=lambda clip: (clip.recording, clip.path)):
        whole = clip.source in _WHOLE_SOURCES
        if clip.duration_s >= _SHORTEST_S and (whole or clip.recording not in seen):
            seen.add(clip.recording)
            yield _stream(clip, rate_hz)


def _stream(clip: Clip, rate_hz: int) -> Stream:
    length_s = min(CLIP_S, clip.duration_s)

    def blocks() -> Iterator[Floats]:
        samples = load(clip, rate_hz)
        first = max(0, samples.size - round(CLIP_S * rate_hz)) // 2
        yield samples[first : first + round(CLIP_S * rate_hz)]

    truth = Truth(clip.label, 0.0, length_s, clip.recording, clip.source, kinds=kinds(clip))
    # ESC-50's files begin with their fold; see `_fold`.
    name = f"{clip.path.name}, fold {clip.fold}" if clip.fold else clip.path.name
    return Stream(name, rate_hz, length_s, (truth,), blocks)


def choose_thresholds(
    groups: Sequence[Sequence[Scored]], labels: Sequence[str]
) -> dict[str, float]:
    """Return the mean score of each class that at most `FALSE_SHARE` of the other clips reach.

    Clips of either logging class are left out of the other's count: an engine that is called a
    chainsaw brings the ranger all the same.
    """
    known = [scored for group in groups for scored in group if scored.windows]
    if not known:
        return {}
    means = np.array([_means(scored) for scored in known])
    truths = np.array([scored.stream.truth[0].label for scored in known])
    chosen = {}
    for column, label in enumerate(labels):
        rivals = ("chainsaw", "engine") if label in ("chainsaw", "engine") else (label,)
        without = means[~np.isin(truths, rivals), column]
        if label != BACKGROUND and (truths == label).any() and without.size:
            bar = float(np.quantile(without, 1.0 - FALSE_SHARE))
            chosen[label] = round(min(_HIGHEST, max(_LOWEST, bar)), 3)
    return chosen


def judge_clips(
    groups: Sequence[Sequence[Scored]], thresholds: Sequence[Mapping[str, float]]
) -> ClipFigures | None:
    """Judge every clip, each group by its own thresholds; None where there are no clips."""
    judged = [
        (scored, judge_clip(scored.labels, _means(scored), own))
        for group, own in zip(groups, thresholds, strict=True)
        for scored in group
        if scored.windows
    ]
    if not judged:
        return None
    labels = judged[0][0].labels
    counts = np.zeros((len(labels), len(labels)), np.int64)
    right: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    wrong: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    esc50: dict[int, tuple[int, int]] = {}
    esc50_right: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    for scored, called in judged:
        truth = scored.stream.truth[0]
        label = truth.label if truth.label in labels else BACKGROUND
        counts[labels.index(label), labels.index(called)] += 1
        right[label].append((truth.recording, called == label))
        if truth.label not in ("chainsaw", "engine"):
            wrong[_ledger(truth)].append((truth.recording, called in ("chainsaw", "engine")))
        if truth.source in _WHOLE_SOURCES and (fold := _fold(scored.stream)):
            hits, tried = esc50.get(fold, (0, 0))
            esc50[fold] = (hits + (called == label), tried + 1)
            esc50_right[label].append((truth.recording, called == label))
    return ClipFigures(
        labels,
        counts,
        {label: share(right[label]) for label in labels if label in right},
        {ledger: share(own) for ledger, own in sorted(wrong.items())},
        dict(sorted(esc50.items())),
        {label: share(esc50_right[label]) for label in labels if label in esc50_right},
    )


def _means(scored: Scored) -> tuple[float, ...]:
    values = np.mean([window.scores for window in scored.windows], axis=0)
    return tuple(values.tolist())


def _ledger(truth: Truth) -> str:
    if truth.label != "other":
        return "the land"
    return "other machines" if truth.kinds[0] in MACHINES else "other sounds"


def _fold(stream: Stream) -> int | None:
    name, _, fold = stream.name.rpartition(", fold ")
    return int(fold) if name else None
