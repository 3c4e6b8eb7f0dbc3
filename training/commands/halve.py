"""``python -m training halve``: keep a float model in half its bytes, to hold others against."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from rainwatchd.hearing.model_file import read_model

_LEAST_VALUES = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("model", type=Path, help="model-fp32.onnx of a run")
    parser.add_argument("out", type=Path, help="file to write")


def command(options: argparse.Namespace) -> None:
    """Store the weights as float16 and let the graph widen them; it computes in float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    read_model(options.model)
    model = onnx.load(options.model)
    widened = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.FLOAT and values.size >= _LEAST_VALUES:
            stored = numpy_helper.from_array(values.astype(np.float16), f"{tensor.name}/half")
            cast = helper.make_node("Cast", [stored.name], [tensor.name], to=TensorProto.FLOAT)
            widened.append(cast)
            tensor.CopyFrom(stored)
    nodes = [*widened, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    part = options.out.with_suffix(".part")
    onnx.save(model, part)
    part.replace(options.out)
