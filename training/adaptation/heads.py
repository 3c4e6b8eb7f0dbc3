"""The last layers of a model file, read from its graph: what can be fitted again.

From log-mel to its features a model stays as it is. Each head is one matrix and one bias whose
softmax may know more classes than the model tells apart; what merges them and what joins several
heads is tried out here, not assumed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainwatchd.errors import ModelError
from rainwatchd.hearing.classifier import INPUT, OUTPUT

Values = NDArray[np.float64]

_LEAST_SCORE = 1e-7
"""Where models of several heads bound a score before its logarithm."""

_SURE = 20.0
"""A logit that leaves nothing to the other classes."""

_AGREEMENT = 1e-4


@dataclass(frozen=True)
class Head:
    """One last layer: ``logits = features @ weight + bias``."""

    features: str
    """Name of the tensor that goes in."""
    logits: str
    """Name of the tensor that comes out."""
    weight: Values
    """Shape ``(features, classes)``."""
    bias: Values
    weight_name: str
    bias_name: str
    transposed: bool
    """Whether the file holds the weight as ``(classes, features)``."""


@dataclass(frozen=True)
class Heads:
    """All heads of a model, and how their logits become its scores."""

    model: Any
    """The ``onnx.ModelProto``."""
    heads: tuple[Head, ...]
    merge: Values
    """What of each class of a head goes to each label; zeros and ones, ``(classes, labels)``."""

    def scores(self, logits: Sequence[Values]) -> Values:
        """Return scores ``(n, labels)`` for the logits ``(n, classes)`` of each head.

        The normalised geometric mean of the heads' scores (Genest and Zidek 1986); of one head,
        its scores.
        """
        return pool([softmax(values) @ self.merge for values in logits])

    @property
    def trunk(self) -> str:
        """Digest of all weights but the heads': features of one trunk fit all its heads."""
        return trunk_digest(self.model, self.heads)

    def fitted(self, weights: Sequence[tuple[Values, Values]]) -> Any:
        """Return a copy of the model whose heads have these weights and biases."""
        import onnx
        from onnx import numpy_helper

        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        new: dict[str, Values] = {}
        for head, (weight, bias) in zip(self.heads, weights, strict=True):
            new[head.weight_name] = weight.T if head.transposed else weight
            new[head.bias_name] = bias
        for tensor in model.graph.initializer:
            if tensor.name in new:
                shape = tuple(tensor.dims)
                values = new[tensor.name].reshape(shape).astype(np.float32)
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return model


def read_heads(path: Path, labels: Sequence[str]) -> Heads:
    """Find the heads of a model file; raise `ModelError` where it is built in another way."""
    import onnx

    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf's errors share no public class
        raise ModelError(f"model {path}: not ONNX ({error})") from error
    heads = _find(model)
    classes = {head.bias.size for head in heads}
    if not heads or len(classes) != 1:
        raise ModelError(f"model {path}: no last layer of floats that could be fitted again")
    tail = _tail(model, heads)
    merge = _merge(tail, heads, len(labels))
    found = Heads(model, heads, merge)
    rng = np.random.default_rng(0)
    logits = [rng.normal(0.0, 3.0, (16, head.bias.size)) for head in heads]
    (wanted,) = tail.run([OUTPUT], _feed(heads, logits))
    if (
        wanted.shape != (16, len(labels))
        or np.abs(wanted - found.scores(logits)).max() > _AGREEMENT
    ):
        raise ModelError(f"model {path}: its scores are made of its last layer in an unknown way")
    return found


def softmax(logits: Values) -> Values:
    """Return probabilities along the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Values = exponents / exponents.sum(axis=-1, keepdims=True)
    return shares


def pool(opinions: Sequence[Values]) -> Values:
    """Join the scores of several heads: the normalised geometric mean."""
    if len(opinions) == 1:
        return opinions[0]
    logs = [np.log(np.maximum(opinion, _LEAST_SCORE)) for opinion in opinions]
    return softmax(np.mean(logs, axis=0))


def trunk_digest(model: Any, heads: Sequence[Head]) -> str:
    """Hash every weight but the heads', by name."""
    own = {name for head in heads for name in (head.weight_name, head.bias_name)}
    digest = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: tensor.name):
        if tensor.name not in own:
            digest.update(tensor.SerializeToString(deterministic=True))
    return digest.hexdigest()


def _find(model: Any) -> tuple[Head, ...]:
    """Walk back from the scores to the first layers with a matrix of their own."""
    from onnx import numpy_helper

    arrays = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    heads: dict[str, Head] = {}
    seen: set[str] = set()
    waiting = [(OUTPUT, None)]
    while waiting:
        name, above = waiting.pop()
        node = makers.get(name)
        if name == INPUT:
            raise ModelError("its scores depend on more than its last layer")
        if node is None or name in seen:
            continue
        seen.add(name)
        matrix = arrays.get(node.input[1]) if node.op_type in ("Gemm", "MatMul") else None
        if matrix is None or len(matrix.dims) != 2:
            waiting += [(below, node) for below in node.input]
            continue
        transposed = any(item.name == "transB" and item.i for item in node.attribute)
        bias_name, logits = _bias(node, above, arrays)
        weight = numpy_helper.to_array(matrix).astype(np.float64)
        heads[name] = Head(
            node.input[0],
            logits,
            weight.T if transposed else weight,
            numpy_helper.to_array(arrays[bias_name]).astype(np.float64).ravel(),
            matrix.name,
            bias_name,
            transposed,
        )
    return tuple(heads[name] for name in sorted(heads))


def _bias(node: Any, above: Any, arrays: Any) -> tuple[str, str]:
    """Return the names of a layer's bias and of what comes out behind it."""
    if node.op_type == "Gemm" and len(node.input) == 3 and node.input[2] in arrays:
        return node.input[2], node.output[0]
    if above is not None and above.op_type == "Add":
        for name in above.input:
            if name in arrays:
                return name, above.output[0]
    raise ModelError("its last layer has no bias")


def _tail(model: Any, heads: Sequence[Head]) -> Any:
    """Return a session of what makes scores of the logits."""
    import onnx
    from onnx import TensorProto, helper

    from training.adaptation.features import session

    makers = {name: node for node in model.graph.node for name in node.output}
    wanted, waiting = [], [OUTPUT]
    given = {head.logits for head in heads}
    seen: set[int] = set()
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if name in given or node is None or id(node) in seen:
            continue
        seen.add(id(node))
        wanted.append(node)
        waiting += node.input
    used = {name for node in wanted for name in node.input}
    graph = helper.make_graph(
        [node for node in model.graph.node if id(node) in seen],
        "tail",
        [
            helper.make_tensor_value_info(head.logits, TensorProto.FLOAT, ["n", head.bias.size])
            for head in heads
        ],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, None)],
        [tensor for tensor in model.graph.initializer if tensor.name in used],
    )
    alone: onnx.ModelProto = helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    return session(alone.SerializeToString())


def _merge(tail: Any, heads: Sequence[Head], labels: int) -> Values:
    """Try which label each class of a head counts for."""
    classes = heads[0].bias.size
    sure = _SURE * np.eye(classes)
    (scores,) = tail.run([OUTPUT], _feed(heads, [sure] * len(heads)))
    merge: Values = np.eye(labels)[scores.argmax(axis=1)]
    return merge


def _feed(heads: Sequence[Head], logits: Sequence[Values]) -> dict[str, Any]:
    return {
        head.logits: values.astype(np.float32) for head, values in zip(heads, logits, strict=True)
    }
