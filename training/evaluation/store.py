"""Scores on disk, so that choosing rules and writing a card need not hear all of it again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rainwatchd.hearing.window import Window
from training.evaluation.scoring import Listener, Scored, score
from training.evaluation.streams import Stream

_LEVEL_DBFS = 0.0
"""Levels aren't kept; no figure needs them."""


class Store:
    """What one listener made of streams, kept under a name that model and streams give."""

    def __init__(self, folder: Path | None, listener: Listener, digest: str) -> None:
        """Without a `folder` or a `digest` of the model nothing is kept."""
        self._folder = folder if digest else None
        self._listener = listener
        self._digest = digest

    def scored(self, streams: Sequence[Stream]) -> tuple[Scored, ...]:
        """Score `streams`, or read what was scored before; kept as one file, by rename."""
        if self._folder is None or not streams:
            return tuple(score(self._listener, stream) for stream in streams)
        path = self._folder / f"{self._name(streams)}.npz"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(path, [score(self._listener, stream) for stream in streams])
        return self._read(path, streams)

    def _name(self, streams: Sequence[Stream]) -> str:
        """Every part of a stream that is drawn shows in its truth or its name."""
        told = [(s.name, s.rate_hz, s.duration_s, s.truth, s.made_of) for s in streams]
        return hashlib.sha256(repr((self._digest, told)).encode()).hexdigest()[:24]

    def _read(self, path: Path, streams: Sequence[Stream]) -> tuple[Scored, ...]:
        with np.load(path) as kept:
            counts, spans, scores = kept["counts"], kept["spans"].tolist(), kept["scores"].tolist()
        listener = self._listener
        made = []
        first = 0
        for stream, count in zip(streams, counts.tolist(), strict=True):
            windows = tuple(
                Window(start, end, tuple(scores[n]), _LEVEL_DBFS)
                for n, (start, end) in enumerate(spans[first : first + count], first)
            )
            made.append(Scored(stream, listener.labels, listener.step_s, windows))
            first += count
        return tuple(made)


def _write(path: Path, made: Sequence[Scored]) -> None:
    windows = [window for scored in made for window in scored.windows]
    part = path.with_name(f".{path.name}")
    with part.open("wb") as out:
        np.savez_compressed(
            out,
            counts=np.array([len(scored.windows) for scored in made]),
            spans=np.array([(w.start, w.end) for w in windows], np.int64).reshape(-1, 2),
            scores=np.array([w.scores for w in windows], np.float32),
        )
    part.replace(path)
