"""The article's classifier: frozen MobileNetV2 over pictures, flattened, two dense layers."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.window import Window
from training.baselines.picture import RATE_HZ, SIDE, computed
from training.dataset import Clip, load
from training.dataset import digest as data_digest

LABELS: tuple[str, ...] = ("background", "chainsaw", "engine", "storm")

_WINDOW_S = 5.0
_STEP_S = 5.0
"""The article classifies one clip after the other."""
_PIECES = 120
"""Five-second pieces of each class at most: the article's classes are of like size."""

_BATCH = 10
_EPOCHS = 10
_HELD_BACK = 0.3
"""Share of the pieces that the article keeps for validation."""

_SCORED_AT_ONCE = 32


class ArticleListener:
    """Trained when it first hears something; scores one five-second window after the other."""

    name = "article's pipeline"
    labels = LABELS
    rate_hz = RATE_HZ
    step_s = _STEP_S
    window_s = _WINDOW_S

    def __init__(self, clips: Sequence[Clip], weights: Path | None, seed: int) -> None:
        """Train on pieces of `clips`; ``other`` is background.

        `weights` as in `training.network.model`.
        """
        self._clips = clips
        self._weights = weights
        self._seed = seed

    @property
    def digest(self) -> str:
        """What it is trained on and how, by which its scores are kept."""
        told = (self.name, data_digest(self._clips), self._seed, _PIECES, _EPOCHS, _HELD_BACK)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def windows(self, blocks: Iterable[Floats]) -> Iterator[Window]:
        """Score float32 blocks of shape ``(n,)`` at 22,050 Hz."""
        length, step = round(_WINDOW_S * RATE_HZ), round(_STEP_S * RATE_HZ)
        cut = _cut(blocks, length, step)
        start = 0
        while batch := list(islice(cut, _SCORED_AT_ONCE)):
            for scores in self._head.predict_on_batch(self._features(batch)):
                yield Window(start, start + length, tuple(scores.tolist()), 0.0)
                start += step

    @cached_property
    def _trunk(self) -> Any:
        import keras

        trunk = keras.applications.MobileNetV2(
            input_shape=(SIDE, SIDE, 3),
            include_top=False,
            weights=None if self._weights else "imagenet",
        )
        if self._weights:
            trunk.load_weights(self._weights)
        return trunk

    @cached_property
    def _head(self) -> Any:
        import keras

        keras.utils.set_random_seed(self._seed)
        pieces = list(_pieces(self._clips, self._seed))
        features = self._features([samples for samples, _ in pieces])
        target = np.array([label for _, label in pieces])
        kept = _stratified(target, 1.0 - _HELD_BACK, self._seed)
        head = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(1024, activation="relu"),
                keras.layers.Dense(len(LABELS), activation="softmax"),
            ]
        )
        head.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        head.fit(
            features[kept],
            target[kept],
            validation_data=(features[~kept], target[~kept]),
            batch_size=_BATCH,
            epochs=_EPOCHS,
            verbose=2,
        )
        return head

    def _features(self, pieces: Sequence[Floats]) -> Any:
        pictures = (computed(samples) for samples in pieces)
        parts = []
        while batch := list(islice(pictures, _SCORED_AT_ONCE)):
            scaled = np.stack(batch).astype(np.float32) / 127.5 - 1.0
            parts.append(np.asarray(self._trunk(scaled, training=False)))
        return np.concatenate(parts)


def _cut(blocks: Iterable[Floats], length: int, step: int) -> Iterator[Floats]:
    pending: Floats = np.zeros(0, np.float32)
    for block in blocks:
        pending = np.concatenate((pending, block))
        while pending.size >= length:
            yield pending[:length]
            pending = pending[step:]


def _pieces(clips: Sequence[Clip], seed: int) -> Iterator[tuple[Floats, int]]:
    """Yield five-second pieces and their labels, one recording after the other, then again."""
    recordings: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        label = clip.label if clip.label in LABELS else "background"
        recordings[label][clip.recording].append(clip)
    length = round(_WINDOW_S * RATE_HZ)
    for number, label in enumerate(LABELS):
        draw = random.Random(f"{seed} {label}")
        queue = [sorted(group, key=lambda clip: clip.path) for group in recordings[label].values()]
        draw.shuffle(queue)
        for clip in islice(_in_turn(queue), _PIECES):
            samples = load(clip, RATE_HZ)
            if samples.size < length:
                samples = np.tile(samples, -(-length // samples.size))
            first = draw.randrange(samples.size - length + 1)
            yield samples[first : first + length], number


def _in_turn(groups: Sequence[Sequence[Clip]]) -> Iterator[Clip]:
    longest = max((len(group) for group in groups), default=0)
    for turn in range(longest):
        yield from (group[turn] for group in groups if turn < len(group))


def _stratified(target: Any, share: float, seed: int) -> Any:
    """Mark `share` of each class, drawn at random; a boolean array."""
    rng = np.random.default_rng(seed)
    kept = np.zeros(target.size, bool)
    for label in np.unique(target):
        members = rng.permutation(np.flatnonzero(target == label))
        kept[members[: round(share * members.size)]] = True
    return kept
