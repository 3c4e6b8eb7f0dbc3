from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.window import Window
from tests.training.labelled import LABELS, RATE_HZ
from training.evaluation.store import Store
from training.evaluation.streams import Stream, Truth


class Counting:
    """Scores each second by its mean, and counts what it heard."""

    name = "counting"
    labels: tuple[str, ...] = LABELS
    rate_hz = RATE_HZ
    step_s = 1.0
    window_s = 1.0

    def __init__(self) -> None:
        self.blocks = 0

    def windows(self, blocks: Iterable[Floats]) -> Iterator[Window]:
        for number, block in enumerate(blocks):
            self.blocks += 1
            scores = (0.0, float(block.mean()), 0.25, 0.0)
            yield Window(number * RATE_HZ, (number + 1) * RATE_HZ, scores, 0.0)


def stream(name: str, seconds: int, made_of: str = "") -> Stream:
    def blocks() -> Iterator[Floats]:
        yield from (np.full(RATE_HZ, 0.5, np.float32) for _ in range(seconds))

    truth = (Truth("chainsaw", 0.0, float(seconds), name, "field"),)
    return Stream(name, RATE_HZ, float(seconds), truth, blocks, made_of)


def test_what_was_heard_is_not_heard_again(tmp_path: Path) -> None:
    listener = Counting()
    streams = [stream("long", 3), stream("none", 0), stream("short", 1)]
    first = Store(tmp_path / "scores", listener, "model").scored(streams)
    again = Store(tmp_path / "scores", listener, "model").scored(streams)
    assert listener.blocks == 4
    assert [scored.windows for scored in again] == [scored.windows for scored in first]
    assert [len(scored.windows) for scored in again] == [3, 0, 1]


def test_another_model_or_another_stream_is_heard(tmp_path: Path) -> None:
    listener = Counting()
    for digest, heard in (
        ("model", stream("a", 1)),
        ("other", stream("a", 1)),
        ("model", stream("a", 1, made_of="other ambience")),
        ("model", stream("b", 1)),
    ):
        Store(tmp_path, listener, digest).scored([heard])
    assert listener.blocks == 4


def test_nothing_is_kept_without_a_folder_or_of_an_unknown_model(tmp_path: Path) -> None:
    listener = Counting()
    for folder, digest in ((None, "model"), (tmp_path, "")):
        Store(folder, listener, digest).scored([stream("a", 1)])
    assert listener.blocks == 2
    assert not list(tmp_path.iterdir())
