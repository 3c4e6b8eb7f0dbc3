"""From the Keras model to the one file that the daemon runs: ONNX, self-describing, then int8."""

from __future__ import annotations

import base64
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.model_spec import METADATA_KEY, ModelSpec, SelfTest, encode

OPSET = 17
"""The newest that keeps GlobalAveragePool whole; later ones turn it into slower pieces."""

_FLOAT_CONVOLUTIONS = 18
"""The stem and blocks 0 to 5 stay in float: their filters, with ImageNet's batch norm folded in,
span a range of 60 to 1. With all in int8 the scores of an earlier network moved by 0.042 on
average. On 600 held-out windows of each of two folds those of the present one move by 0.010 and
0.011 with nine of these in float, by 0.007 and 0.010 with 18, by 0.006 and 0.008 with 24."""

_RANGES = {"CalibMovingAverage": True}
"""A tensor's range in int8 is the mean of its batches' extremes: with the extreme of all batches,
which one loud window sets, the same scores move by 0.019 and 0.013, towards nothing heard; with
percentile 99.99 by 0.011 and 0.010."""

_OFFSET_DB = -110.0
_STEP_DB = 0.5
_TOLERANCE = 0.02
"""Scores of one file differ by less between processors; a damaged file's differ by more."""


def export_onnx(network: Any, path: Path) -> None:
    """Write `network` as ONNX: input ``log_mel``, output ``scores``, any batch size."""
    import onnx
    import tensorflow as tf
    import tf2onnx

    _, n_mels, frames = network.input_shape
    signature = [tf.TensorSpec((None, n_mels, frames), tf.float32, name="log_mel")]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def forward(log_mel: Any) -> Any:
        return {"scores": network(log_mel, training=False)}

    model, _ = tf2onnx.convert.from_function(forward, input_signature=signature, opset=OPSET)
    onnx.save(model, path)


def quantise(source: Path, target: Path, windows: Floats) -> None:
    """Write `source` with int8 convolutions, calibrated on real `windows` (n, n_mels, frames).

    The gain control before MobileNetV2 and the classifier behind it stay in float: their ranges
    are decibels and decisions, and they cost next to nothing.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Windows(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[dict[str, Floats]] = (
                {"log_mel": windows[first : first + 16]} for first in range(0, len(windows), 16)
            )

        def get_next(self) -> dict[str, Floats] | None:
            return next(self._batches, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        outside = _first_blocks(onnx.load(prepared).graph)
        quantize_static(
            str(prepared),
            str(target),
            Windows(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=_RANGES,
            op_types_to_quantize=["Conv", "Add"],
            nodes_to_exclude=outside,
        )


def _first_blocks(graph: Any) -> list[str]:
    """Return the names of the nodes before each network's convolution `_FLOAT_CONVOLUTIONS`."""
    filters = {tensor.name: tensor.dims for tensor in graph.initializer}
    names = []
    convolutions = 0
    for node in graph.node:
        if node.op_type == "Conv":
            # Only a stem takes a picture, of three channels.
            stem = filters[node.input[1]][1] == 3
            convolutions = 1 if stem else convolutions + 1
        if convolutions <= _FLOAT_CONVOLUTIONS:
            names.append(node.name)
    return names


def describe(path: Path, spec: ModelSpec, reference: Floats) -> None:
    """Put `spec` into the file, with `reference` (n_mels, frames) and its scores as self-test."""
    import onnx

    coded = np.clip(np.rint((reference - _OFFSET_DB) / _STEP_DB), 0, 255).astype(np.uint8)
    decoded = (_OFFSET_DB + _STEP_DB * coded).astype(np.float32)
    self_test = SelfTest(
        log_mel=base64.b64encode(zlib.compress(coded.tobytes(), 9)).decode(),
        offset_db=_OFFSET_DB,
        step_db=_STEP_DB,
        scores=[round(float(score), 5) for score in run(path, decoded[np.newaxis])[0]],
        tolerance=_TOLERANCE,
    )
    model = onnx.load(path)
    model.producer_name = "rainwatchd training"
    model.doc_string = ""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = encode(msgspec.structs.replace(spec, self_test=self_test))
    partial = path.with_suffix(".part")
    onnx.save(model, partial)
    partial.rename(path)


def run(path: Path, log_mel: Floats) -> Floats:
    """Return the file's scores for windows ``(n, n_mels, frames)``, shape ``(n, classes)``."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    parts = [
        session.run(["scores"], {"log_mel": log_mel[first : first + 64]})[0]
        for first in range(0, len(log_mel), 64)
    ]
    scores: Floats = np.concatenate(parts)
    return scores
