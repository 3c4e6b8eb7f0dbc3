"""Features of sound: what goes into a model's heads, by the daemon's own analysis."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rainwatchd.audio.recording import Recording
from rainwatchd.audio.ring import Chunk, Gap
from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.analysis import Analysis
from rainwatchd.hearing.classifier import INPUT, OUTPUT, aligned
from rainwatchd.hearing.model_spec import ModelSpec
from training.adaptation.heads import Heads, Values


@dataclass(frozen=True)
class Heard:
    """What a model makes of one recording, window by window."""

    start_s: Values
    end_s: Values
    features: Values
    """Shape ``(n, heads, features)``."""
    log_mel: Floats | None
    """dB of the first window, shape ``(n_mels, frames)``; None if there was none."""


class FeatureReader:
    """The model with its heads' inputs as outputs; a `Scorer` for the daemon's analysis."""

    def __init__(self, heads: Heads, spec: ModelSpec) -> None:
        import onnx
        from onnx import TensorProto, helper

        self.spec = spec
        self._names = [head.features for head in heads.heads]
        model = onnx.ModelProto()
        model.CopyFrom(heads.model)
        shown = {node.name for node in model.graph.output}
        model.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for name in dict.fromkeys(self._names)
            if name not in shown
        )
        self._session = session(model.SerializeToString())
        self._window = aligned((1, spec.n_mels, spec.window_frames))
        self._rows: list[Floats] = []

    def features(self, log_mel: Floats) -> tuple[Values, Values]:
        """Return features ``(heads, features)`` and scores ``(labels,)`` of one window of dB."""
        wanted = [*self._names, OUTPUT]
        self._window[0] = log_mel
        *rows, scores = self._session.run(wanted, {INPUT: self._window})
        return np.stack([row[0] for row in rows]).astype(np.float64), scores[0].astype(np.float64)

    def scores(self, log_mel: Floats) -> tuple[float, ...]:
        """Classify a window and keep its features."""
        rows, scores = self.features(log_mel)
        self._rows.append(rows.astype(np.float32))
        return tuple(scores.tolist())

    def hear(self, path: Path) -> Heard:
        """Return all windows of a recording; raise `AudioError` where it can't be read."""
        source = Recording(path)
        source.open()
        try:
            return self._hear(source.items(), source.rate_hz)
        finally:
            source.close()

    def hear_sound(self, samples: Floats) -> Heard:
        """Return all windows of samples at the model's rate, shape ``(n,)``."""
        second = self.spec.sample_rate_hz
        chunks = [
            Chunk(first, samples[first : first + second])
            for first in range(0, samples.size, second)
        ]
        return self._hear(chunks, second)

    def _hear(self, items: Iterable[Chunk | Gap], source_rate_hz: int) -> Heard:
        self._rows = []
        analysis = Analysis(self, source_rate_hz)
        windows, first = [], None
        for pushed in (*map(analysis.push, items), analysis.finish()):
            for window in pushed:
                windows.append(window)
                first = analysis.log_mel.copy() if first is None else first
        rate_hz = self.spec.sample_rate_hz
        return Heard(
            np.array([window.start for window in windows]) / rate_hz,
            np.array([window.end for window in windows]) / rate_hz,
            _stacked(self._rows),
            first,
        )


def _stacked(rows: Sequence[Floats]) -> Values:
    return np.stack(rows).astype(np.float64) if rows else np.zeros((0, 0, 0))


def session(model: bytes) -> Any:
    """Return an ONNX Runtime session on one thread."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
