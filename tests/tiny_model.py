"""A stand-in for the trained model: small, deterministic, and it really listens."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rainwatchd.hearing.log_mel import MelSpec, mel_filters
from rainwatchd.hearing.model_spec import METADATA_KEY, DecisionRule, ModelSpec, SelfTest, encode

LABELS = ["background", "chainsaw", "engine", "storm"]
BAND_HZ = {"chainsaw": (850.0, 1200.0), "engine": (100.0, 220.0), "storm": (3000.0, 4200.0)}

SPEC = ModelSpec(
    format=1,
    name="tiny",
    version="1",
    labels=LABELS,
    sample_rate_hz=16000,
    n_fft=1024,
    hop_length=500,
    n_mels=96,
    fmin_hz=40.0,
    fmax_hz=5000.0,
    window_s=4.0,
    step_s=1.0,
    decision={label: DecisionRule() for label in BAND_HZ},
    training_data={"recordings": 0},
    metrics={},
)


def band_weights(mel: MelSpec) -> np.ndarray:
    """Return ``(n_mels, labels)``: mean dB of a label's band less that of all bands."""
    centre_hz = np.fft.rfftfreq(mel.n_fft, 1 / mel.sample_rate_hz)[mel_filters(mel).argmax(axis=1)]
    weights = np.zeros((mel.n_mels, len(LABELS)), np.float32)
    for label, (low_hz, high_hz) in BAND_HZ.items():
        inside = (centre_hz >= low_hz) & (centre_hz <= high_hz)
        weights[:, LABELS.index(label)] = inside / inside.sum() - 1.0 / mel.n_mels
    return weights


def tiny_graph(spec: ModelSpec = SPEC) -> onnx.ModelProto:
    """Build softmax(band contrast in dB - 8), background's logit being 0."""
    bias = np.array([0.0, -8.0, -8.0, -8.0], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["log_mel"], ["bands"], axes=[2], keepdims=0),
            helper.make_node("MatMul", ["bands", "weights"], ["contrast"]),
            helper.make_node("Add", ["contrast", "bias"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
        ],
        "tiny",
        [
            helper.make_tensor_value_info(
                "log_mel", TensorProto.FLOAT, ["batch", spec.n_mels, spec.window_frames]
            )
        ],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [
            numpy_helper.from_array(band_weights(spec.mel), "weights"),
            numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: encode(spec)})
    return model


def self_test(tolerance: float = 1e-3) -> SelfTest:
    """Make the reference window of silence, whose scores follow from the bias alone."""
    levels = np.zeros(SPEC.n_mels * SPEC.window_frames, np.uint8)
    logits = np.array([0.0, -8.0, -8.0, -8.0])
    scores = np.exp(logits) / np.exp(logits).sum()
    return SelfTest(
        log_mel=base64.b64encode(zlib.compress(levels.tobytes())).decode(),
        offset_db=-100.0,
        step_db=0.5,
        scores=scores.tolist(),
        tolerance=tolerance,
    )


def write_tiny_model(path: Path, spec: ModelSpec | None = None) -> None:
    """Write the model, by default with a self-test that it passes."""
    spec = spec or msgspec.structs.replace(SPEC, self_test=self_test())
    path.write_bytes(tiny_graph(spec).SerializeToString())
