"""The network: an ONNX Runtime session made from a self-describing model file."""

from __future__ import annotations

import base64
import hashlib
import math
import os
import zlib
from pathlib import Path

import numpy as np

from rainwatchd.audio.samples import Floats
from rainwatchd.errors import ModelError
from rainwatchd.hearing.log_mel import FLOOR_DB
from rainwatchd.hearing.model_file import read_model

# ONNX Runtime decides about telemetry when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
import onnxruntime

INPUT = "log_mel"
OUTPUT = "scores"

_LINE_BYTES = 64


class Classifier:
    """Gives scores for windows of log-mel frames, on one thread that never spins."""

    def __init__(self, path: Path) -> None:
        """Load and try the model; raise `ModelError` naming what can't be honoured."""
        file = read_model(path)
        self.path = path
        self.spec = file.spec
        self.digest = file.digest
        self.name = file.name
        try:
            self._session = _session(path)
            self._check_unchanged()
            self._check_shapes()
            self._window = aligned((1, self.spec.n_mels, self.spec.window_frames))
            self._check_scores()
            self._check_self_test()
        except ModelError as error:
            raise ModelError(f"model {path}: {error}") from error

    def scores(self, log_mel: Floats) -> tuple[float, ...]:
        """Classify one window of dB, shape ``(n_mels, frames)``; one score a label."""
        self._window[0] = log_mel
        (scores,) = self._session.run([OUTPUT], {INPUT: self._window})
        return tuple(scores[0].tolist())

    def _check_unchanged(self) -> None:
        try:
            with self.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise ModelError(f"{error.strerror}; it was there a moment ago") from error
        if digest != self.digest:
            raise ModelError("it was replaced while it was loaded; try again")

    def _check_shapes(self) -> None:
        spec = self.spec
        inputs = {node.name: node for node in self._session.get_inputs()}
        outputs = {node.name: node for node in self._session.get_outputs()}
        for field, nodes, name, wanted in (
            ("input", inputs, INPUT, [spec.n_mels, spec.window_frames]),
            ("output", outputs, OUTPUT, [len(spec.labels)]),
        ):
            if name not in nodes or (field == "input" and len(nodes) > 1):
                raise ModelError(f"{field} must be {name!r}; the file has {sorted(nodes)}")
            node = nodes[name]
            if node.type != "tensor(float)":
                raise ModelError(f"{field} {name!r} must be float32, is {node.type}")
            batch, *shape = node.shape or [None]
            if shape != wanted or not (batch in (None, 1) or isinstance(batch, str)):
                source = "n_mels and window_s" if field == "input" else "labels"
                raise ModelError(
                    f"{field} {name!r} has shape {node.shape}; {source} of the metadata ask for "
                    f"[1 or any, {', '.join(map(str, wanted))}]"
                )

    def _check_scores(self) -> None:
        spec = self.spec
        silence = np.full((1, spec.n_mels, spec.window_frames), FLOOR_DB, np.float32)
        try:
            (scores,) = self._session.run([OUTPUT], {INPUT: silence})
        except Exception as error:  # ONNX Runtime's errors share no class but this
            reason = " ".join(str(error).split())
            raise ModelError(f"it cannot score a silent window: {reason}") from error
        if scores.shape != (1, len(spec.labels)) or not np.isfinite(scores).all():
            raise ModelError(
                f"{OUTPUT!r} of a silent window has shape {list(scores.shape)}, "
                f"{np.isfinite(scores).sum()} of {scores.size} finite; labels of the metadata ask "
                f"for [1, {len(spec.labels)}], all finite"
            )

    def _check_self_test(self) -> None:
        test, spec = self.spec.self_test, self.spec
        if test is None:
            return
        try:
            levels = np.frombuffer(zlib.decompress(base64.b64decode(test.log_mel)), np.uint8)
            log_mel = levels.reshape(spec.n_mels, spec.window_frames).astype(np.float32)
        except (ValueError, zlib.error) as error:
            raise ModelError(f"self_test.log_mel cannot be read: {error}") from error
        scores = self.scores(np.float32(test.offset_db) + np.float32(test.step_db) * log_mel)
        if len(test.scores) != len(scores):
            raise ModelError(f"self_test.scores has {len(test.scores)}, labels {len(scores)}")
        off_by = max(abs(got - want) for got, want in zip(scores, test.scores, strict=True))
        if not off_by <= test.tolerance:
            raise ModelError(
                f"self_test: scores are off by {off_by:.3g}, tolerance {test.tolerance:g}: "
                "the file is damaged or this ONNX Runtime computes it differently"
            )


def aligned(shape: tuple[int, ...]) -> Floats:
    """Return zeros that begin at a cache line.

    ONNX Runtime sums what begins elsewhere in another order, and the last bits of a score would
    depend on where a window happens to lie.
    """
    room = np.zeros(math.prod(shape) + _LINE_BYTES // 4, np.float32)
    first = -room.ctypes.data % _LINE_BYTES // 4
    return room[first : first + math.prod(shape)].reshape(shape)


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # A spinning thread doubles the processor time of a small network.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        # By path, since bytes would stay beside ONNX Runtime's own copy. The fallback would only
        # try the same again, and says so on stdout.
        return onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's errors share no class but this
        raise ModelError(f"ONNX Runtime refuses it: {' '.join(str(error).split())}") from error
