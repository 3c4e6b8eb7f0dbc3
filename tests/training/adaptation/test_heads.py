"""The last layers of model files: found, tried, and replaced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rainwatchd.errors import ModelError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import PACKAGED, read_model
from tests.tiny_model import LABELS
from training.adaptation.features import FeatureReader
from training.adaptation.fitting import _slopes, logits_of
from training.adaptation.heads import Heads, read_heads


def test_the_shipped_file_s_scores_follow_from_its_features() -> None:
    spec = read_model(PACKAGED).spec
    heads = read_heads(PACKAGED, spec.labels)
    reader = FeatureReader(heads, spec)
    rng = np.random.default_rng(3)
    for _ in range(3):
        window = rng.normal(-50.0, 12.0, (spec.n_mels, spec.window_frames)).astype(np.float32)
        rows, scores = reader.features(window)
        weights = [(head.weight, head.bias) for head in heads.heads]
        np.testing.assert_allclose(
            heads.scores(logits_of(rows[np.newaxis], weights))[0], scores, atol=1e-5
        )


def merged_model(path: Path) -> Heads:
    """A head that knows five classes, of which two are background."""
    rng = np.random.default_rng(5)
    merge = np.array([[1, 0], [0, 1], [1, 0], [1, 0], [0, 1]], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["log_mel"], ["rows"], axes=[2], keepdims=0),
            helper.make_node("Gemm", ["rows", "w", "b"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["shares"], axis=1),
            helper.make_node("Gather", ["shares", "quiet"], ["quiet_shares"], axis=1),
            helper.make_node("Gather", ["shares", "loud"], ["loud_shares"], axis=1),
            helper.make_node("ReduceSum", ["quiet_shares", "axes"], ["background"], keepdims=1),
            helper.make_node("ReduceSum", ["loud_shares", "axes"], ["saw"], keepdims=1),
            helper.make_node("Concat", ["background", "saw"], ["scores"], axis=1),
        ],
        "merged",
        [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["batch", 6, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])],
        [
            numpy_helper.from_array(rng.normal(size=(6, 5)).astype(np.float32), "w"),
            numpy_helper.from_array(rng.normal(size=5).astype(np.float32), "b"),
            numpy_helper.from_array(np.array([0, 2, 3]), "quiet"),
            numpy_helper.from_array(np.array([1, 4]), "loud"),
            numpy_helper.from_array(np.array([1]), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    heads = read_heads(path, ["background", "saw"])
    np.testing.assert_array_equal(heads.merge, merge)
    return heads


def test_what_merges_classes_is_found_out(tmp_path: Path) -> None:
    merged_model(tmp_path / "merged.onnx")


def test_the_slope_is_the_loss_s(tmp_path: Path) -> None:
    one = merged_model(tmp_path / "merged.onnx")
    heads = Heads(one.model, one.heads * 2, one.merge)
    rng = np.random.default_rng(8)
    logits = [rng.normal(size=(4, 5)) for _ in range(2)]
    target = np.eye(2)[[0, 1, 1, 0]]
    share = np.array([0.4, 0.3, 0.2, 0.1])

    def loss() -> float:
        return float(-(share[:, np.newaxis] * target * np.log(heads.scores(logits))).sum())

    slopes = _slopes(heads, logits, target, share)
    for place in range(2):
        for row, column in ((0, 0), (1, 4), (3, 2)):
            logits[place][row, column] += 1e-5
            above = loss()
            logits[place][row, column] -= 2e-5
            below = loss()
            logits[place][row, column] += 1e-5
            assert slopes[place][row, column] == pytest.approx((above - below) / 2e-5, abs=1e-6)


def test_other_weights_change_the_scores_and_nothing_else(tiny_model: Path, tmp_path: Path) -> None:
    heads = read_heads(tiny_model, LABELS)
    (head,) = heads.heads
    path = tmp_path / "changed.onnx"
    onnx.save(heads.fitted([(head.weight * 0.0, np.zeros(4))]), path)
    again = read_heads(path, LABELS)
    assert again.trunk == heads.trunk
    assert not again.heads[0].weight.any()
    with pytest.raises(ModelError, match="self_test"):
        Classifier(path)


def test_what_is_built_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ModelError):
        read_heads(path, LABELS)
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["log_mel"], ["scores"], axes=[2], keepdims=0)],
        "none",
        [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["batch", 4, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 4])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    with pytest.raises(ModelError, match="more than its last layer"):
        read_heads(path, LABELS)
