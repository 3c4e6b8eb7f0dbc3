"""From samples to scored windows: resampling, log-mel, classifier. Live and replay share it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from rainwatchd.audio.resampling import Resampler
from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import ConfigError
from rainwatchd.hearing.log_mel import FLOOR_DB, LogMel
from rainwatchd.hearing.model_spec import ModelSpec
from rainwatchd.hearing.window import Window

BRIDGE_S = 0.25
"""A gap up to here is filled with the sound before it, mirrored. It is more than the block that a
microphone loses while the board is busy: to start afresh would deafen a whole window."""


def level_dbfs(samples: Floats) -> float:
    """Root-mean-square level of at least one sample, re full scale 1.0; silence is `FLOOR_DB`."""
    power = float(np.dot(samples, samples)) / samples.size
    return max(FLOOR_DB, 10.0 * math.log10(power)) if power > 0.0 else FLOOR_DB


class Scorer(Protocol):
    """What the analysis needs of a classifier."""

    spec: ModelSpec

    def scores(self, log_mel: Floats) -> tuple[float, ...]:
        """Classify one window of dB, shape ``(n_mels, frames)``; one score a label."""


def step_frames(spec: ModelSpec, step_s: float | None) -> int:
    """Return the frames from one window to the next: what is asked for, to the nearest hop.

    None takes the model's step. Raises `ConfigError` where windows would leave sound out.
    """
    frames = spec.mel.frames_in(spec.step_s if step_s is None else step_s)
    if not 1 <= frames <= spec.window_frames:
        hop_s = spec.hop_length / spec.sample_rate_hz
        raise ConfigError(
            f"step_s is {step_s:g}; allowed with this model: {hop_s:g} to {spec.window_s:g}"
        )
    return frames


class Analysis:
    """Cuts a stream of chunks and gaps into windows and has each one scored.

    Window k covers the frames ``[k * step, k * step + n)`` since the start of the stream or its
    last gap. When a window is given out, `history` ends exactly where the window ends: what is
    done with it then is the same whatever the sizes of the chunks.
    """

    def __init__(
        self,
        classifier: Scorer,
        source_rate_hz: int,
        step_s: float | None = None,
        history_s: float = 0.0,
        only: range | None = None,
    ) -> None:
        """`step_s` None takes the model's; `history_s` is the span that clips may reach back.

        With `only`, windows are scored that begin at one of these samples at the model's rate;
        the others' `scores` are empty, and they cost next to nothing.
        """
        spec = classifier.spec
        self.classifier = classifier
        self.rate_hz = spec.sample_rate_hz
        """The model's rate, in which every index that leaves the analysis counts."""
        frames = step_frames(spec, step_s)
        self.step_s = frames * (spec.hop_length / spec.sample_rate_hz)
        """From one window to the next: what was asked for, to the nearest hop."""
        self._source_rate_hz = source_rate_hz
        self._window_samples = spec.mel.samples_in(spec.window_frames)
        self._step_samples = frames * spec.hop_length
        self.history = RingBuffer(max(round(history_s * self.rate_hz), self._window_samples))
        """The newest samples at the model's rate."""
        self.log_mel: Floats = np.full((spec.n_mels, spec.window_frames), FLOOR_DB, np.float32)
        """dB of the window given out last, shape ``(n_mels, frames)``."""
        self._resampler = Resampler(source_rate_hz, self.rate_hz)
        self._bridge_samples = round(BRIDGE_S * source_rate_hz)
        self._only = only
        self._tail: Floats = np.zeros(0, np.float32)
        self._frames = LogMel(spec.mel)
        self._stretch_start = 0
        self._taken = 0
        self._next_end = self._window_samples
        self._mirrored = 0

    def push(self, item: Chunk | Gap) -> Iterator[Window]:
        """Take the ring's next item; yield the windows that it completes.

        A gap advances the index and starts afresh behind it: no window straddles it, unless it
        is bridged.
        """
        if isinstance(item, Chunk):
            samples = item.samples
            self._tail = np.concatenate((self._tail, samples))[-self._bridge_samples :]
        elif self.bridges(item):
            samples = self._tail[: -item.length - 1 : -1]
            # What is filled in may not fill the next gap: half of what is heard is sound.
            self._tail = np.zeros(0, np.float32)
        else:
            self._skip(item)
            return iter(())
        return self._hear(self._resampler.push(samples))

    def bridges(self, gap: Gap) -> bool:
        """Whether a gap that comes next is so short that windows go on across it."""
        return 0 < gap.length <= self._tail.size

    def finish(self) -> Iterator[Window]:
        """Hear the rest before the stream's end or a gap: less than a step, or than a window.

        The last window is filled up with the sound mirrored at the end, which is free of clicks
        and keeps the level; zeros would make a cliff that no microphone hears. Its `Window.end`
        is still where the sound ends.
        """
        none = np.zeros(0, np.float32)
        yield from self._hear(self._resampler.push(none, last=True))
        end = self.history.written
        if end > self._taken:
            missing = self._next_end - end
            tail = self.history.copy(max(self._stretch_start, end - missing), end).samples
            mirrored = np.pad(tail, (0, missing), mode="symmetric")[tail.size :]
            self._mirrored = missing
            for window in self._hear(mirrored):
                yield replace(window, end=end)

    def at_model_rate(self, gap: Gap) -> Gap:
        """Convert a gap from the source's samples to the model's."""
        start = self._model_index(gap.start)
        return Gap(start, self._model_index(gap.end) - start)

    def _hear(self, samples: Floats) -> Iterator[Window]:
        while samples.size:
            missing = self._next_end - self.history.written
            piece, samples = samples[:missing], samples[missing:]
            self.history.write(piece)
            if self.history.written == self._next_end:
                yield self._window(self._next_end)

    def _window(self, end: int) -> Window:
        # Frames are made a whole step at a time, not as samples come: a matrix product's last
        # bits depend on its size, and the scores must not depend on the sizes of the chunks.
        start = end - self._window_samples
        new = self.history.copy(self._taken, end).samples
        only = self._only
        scored = only is None or start in only
        # A window that is scored may hold frames that came with windows before it.
        if only is None or only.start - self._window_samples < start < only.stop:
            frames = self._frames.push(new)
            count = frames.shape[1]
            self.log_mel[:, :-count] = self.log_mel[:, count:]
            self.log_mel[:, -count:] = frames
        else:
            self._frames.pass_over(new)
        self._taken = end
        self._next_end = end + self._step_samples
        return Window(
            start=start,
            end=end,
            scores=self.classifier.scores(self.log_mel) if scored else (),
            level_dbfs=level_dbfs(new[-self._step_samples :]) if scored else FLOOR_DB,
        )

    def _skip(self, gap: Gap) -> None:
        self._resampler.reset()
        self._frames.reset()
        self._tail = np.zeros(0, np.float32)
        resume = max(self._model_index(gap.end), self.history.written - self._mirrored)
        if resume < self.history.written:
            # The last window was filled up with more than the gap is long.
            self.history = RingBuffer(self.history.capacity)
        self.history.skip(resume - self.history.written)
        self._mirrored = 0
        self._stretch_start = self._taken = resume
        self._next_end = resume + self._window_samples

    def _model_index(self, source_index: int) -> int:
        return round(source_index * self.rate_hz / self._source_rate_hz)
