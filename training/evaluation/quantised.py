"""What a file in int8 loses to its twin in float32, at the working point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rainwatchd.hearing.classifier import Classifier
from training.dataset import DataError
from training.evaluation.matching import alerts, match
from training.evaluation.scoring import DaemonListener, Scored
from training.evaluation.store import Store
from training.evaluation.suite import Subject, Suite
from training.evaluation.verdict import Rules

PLACES = (("chainsaw", 0.0), ("chainsaw", -10.0), ("engine", 10.0), ("engine", 0.0))
"""Where some events are found and some are not."""


def compare_twins(
    tested: Sequence[Subject], suite: Suite, rules: Sequence[Rules], scores: Path | None
) -> str:
    """Say how many of the same events ``NAME.onnx`` and ``NAME-fp32.onnx`` beside it find.

    Raises `DataError` where a twin is not there.
    """
    counts = [0, 0]
    events = 0
    for subject, part, own in zip(tested, suite.parts, rules, strict=True):
        path = subject.model
        if path is None:
            continue
        twin = path.with_stem(f"{path.stem}-fp32")
        if not twin.exists():
            raise DataError(f"{twin}: not there; `python -m training train` writes it")
        classifier = Classifier(twin)
        store = Store(scores, DaemonListener(classifier, twin.stem), classifier.digest)
        for place in PLACES:
            if place in part.events:
                mine = part.events[place]
                (other,) = store.scored([mine.stream])
                counts = [n + _found(s, own) for n, s in zip(counts, (mine, other), strict=True)]
                events += len(mine.stream.truth)
    return f"Of {events} events int8 finds {counts[0]} and float32 {counts[1]}."


def _found(scored: Scored, rules: Rules) -> int:
    made = match(scored.stream.truth, alerts(scored, rules), scored.stream.duration_s)
    return sum(finding.latency_s is not None for finding in made.findings)
