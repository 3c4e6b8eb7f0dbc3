"""What a recording too short for an event is judged to be: the class of its mean scores.

An event asks for seconds above a threshold that a clip of five doesn't have; whoever plays one
wants an answer all the same. The mean over all windows is compared with a threshold of its own
for each class: those of `ModelSpec.clip_thresholds`, whose recall and false alarms on five-second
clips stand in the model's card. It raises no alert, and says of a long recording what it mostly
is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

BACKGROUND = "background"

UNMEASURED_THRESHOLD = 0.5
"""For a class of a model without `clip_thresholds`."""


class ClipJudgement:
    """Takes the windows of one recording as they come; holds no more than their sum."""

    def __init__(self, labels: Sequence[str], thresholds: Mapping[str, float]) -> None:
        """`labels` name the scores of a window; `thresholds` are of mean scores, by label."""
        self._labels = labels
        self._thresholds = thresholds
        self._sums = [0.0] * len(labels)
        self._windows = 0

    def push(self, scores: Sequence[float]) -> None:
        """Take the scores of the next window."""
        self._sums = [total + score for total, score in zip(self._sums, scores, strict=True)]
        self._windows += 1

    @property
    def label(self) -> str | None:
        """What it was up to now; None before the first window."""
        if not self._windows:
            return None
        means = [total / self._windows for total in self._sums]
        return judge_clip(self._labels, means, self._thresholds)


def judge_clip(
    labels: Sequence[str], mean_scores: Sequence[float], thresholds: Mapping[str, float]
) -> str:
    """Return the highest of the classes whose mean score is at or above its threshold.

    `BACKGROUND` where none is; NaN never is.
    """
    passing = [
        (score, label)
        for label, score in zip(labels, mean_scores, strict=True)
        if label != BACKGROUND and score >= thresholds.get(label, UNMEASURED_THRESHOLD)
    ]
    return max(passing)[1] if passing else BACKGROUND
