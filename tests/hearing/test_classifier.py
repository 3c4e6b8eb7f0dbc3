from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from rainwatchd.errors import ModelError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_spec import METADATA_KEY, encode
from tests.tiny_model import LABELS, SPEC, self_test, tiny_graph, write_tiny_model

QUIET = np.full((SPEC.n_mels, SPEC.window_frames), -80.0, np.float32)


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Classifier(path)
    message = str(caught.value)
    assert message.startswith(f"model {path}: ")
    assert len(message.splitlines()) == 1
    return message


def test_scores_come_in_the_order_of_the_labels(tiny_model: Path) -> None:
    classifier = Classifier(tiny_model)
    assert classifier.spec.labels == LABELS
    scores = classifier.scores(QUIET)
    assert scores.index(max(scores)) == LABELS.index("background")
    assert sum(scores) == pytest.approx(1.0)
    loud = QUIET.copy()
    loud[30:40] = 0.0
    assert classifier.scores(loud) != scores


def test_scores_are_the_same_wherever_a_window_lies_in_memory(tiny_model: Path) -> None:
    classifier = Classifier(tiny_model)
    rng = np.random.default_rng(3)
    for _ in range(20):
        levels = rng.normal(-60.0, 10.0, QUIET.size).astype(np.float32)
        room = np.empty(levels.size + 16, np.float32)
        told = set()
        for offset in range(16):
            window = room[offset : offset + levels.size]
            window[:] = levels
            told.add(classifier.scores(window.reshape(QUIET.shape)))
        assert len(told) == 1


def test_a_fixed_batch_of_one_is_honoured(tmp_path: Path) -> None:
    model = tiny_graph()
    for node in (*model.graph.input, *model.graph.output):
        node.type.tensor_type.shape.dim[0].Clear()
        node.type.tensor_type.shape.dim[0].dim_value = 1
    assert len(Classifier(saved(model, tmp_path)).scores(QUIET)) == len(LABELS)


def test_a_fixed_batch_of_more_is_refused(tmp_path: Path) -> None:
    model = tiny_graph()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    assert "input 'log_mel' has shape" in refusal(saved(model, tmp_path))


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_model_that_declares_no_shape_is_refused(tmp_path: Path, side: str) -> None:
    model = tiny_graph()
    getattr(model.graph, side)[0].type.tensor_type.ClearField("shape")
    if side == "input":
        assert "log_mel" in refusal(saved(model, tmp_path))
    else:
        # ONNX Runtime infers what the file leaves out.
        assert len(Classifier(saved(model, tmp_path)).scores(QUIET)) == len(LABELS)


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = tiny_graph()
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: encode(SPEC)})
    bias = next(weight for weight in model.graph.initializer if weight.name == "bias")
    bias.CopyFrom(numpy_helper.from_array(np.full(4, np.nan, np.float32), "bias"))
    assert "0 of 4 finite" in refusal(saved(model, tmp_path))


@pytest.mark.parametrize("change", [{"n_mels": 64}, {"window_s": 3.0}, {"hop_length": 512}])
def test_an_input_that_the_metadata_contradict_is_refused(
    tmp_path: Path, change: dict[str, object]
) -> None:
    model = tiny_graph()
    spec = msgspec.structs.replace(SPEC, **change)
    model.metadata_props[0].value = msgspec.json.encode(spec).decode()
    message = refusal(saved(model, tmp_path))
    assert "input 'log_mel' has shape" in message
    assert "n_mels and window_s" in message


def test_an_output_that_the_labels_contradict_is_refused(tmp_path: Path) -> None:
    model = tiny_graph()
    spec = msgspec.structs.replace(SPEC, labels=[*LABELS, "gunshot"])
    model.metadata_props[0].value = msgspec.json.encode(spec).decode()
    message = refusal(saved(model, tmp_path))
    assert "output 'scores' has shape" in message
    assert "labels" in message


@pytest.mark.parametrize(("end", "name"), [("input", "log_mel"), ("output", "scores")])
def test_other_names_are_refused_and_listed(tmp_path: Path, end: str, name: str) -> None:
    model = tiny_graph()
    for node in model.graph.node:
        node.input[:] = ["other" if given == name else given for given in node.input]
        node.output[:] = ["other" if given == name else given for given in node.output]
    getattr(model.graph, end)[0].name = "other"
    message = refusal(saved(model, tmp_path))
    assert f"{end} must be '{name}'; the file has ['other']" in message


def test_a_second_input_is_refused(tmp_path: Path) -> None:
    model = tiny_graph()
    model.graph.input.append(helper.make_tensor_value_info("gain", TensorProto.FLOAT, [1]))
    assert "input must be 'log_mel'" in refusal(saved(model, tmp_path))


def test_another_type_is_refused(tmp_path: Path) -> None:
    model = tiny_graph()
    model.graph.node.insert(
        0, helper.make_node("Cast", ["log_mel"], ["single"], to=TensorProto.FLOAT)
    )
    model.graph.node[1].input[0] = "single"
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    assert "input 'log_mel' must be float32" in refusal(saved(model, tmp_path))


def test_an_operator_that_the_runtime_lacks_is_refused(tmp_path: Path) -> None:
    model = tiny_graph()
    model.graph.node[-1].op_type = "Clairvoyance"
    assert "ONNX Runtime refuses it" in refusal(saved(model, tmp_path))


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_is_replaced_while_it_is_loaded_is_refused(tmp_path: Path, gone: bool) -> None:
    import onnxruntime

    path = saved(tiny_graph(), tmp_path)
    load = onnxruntime.InferenceSession

    def replaced(model: Path, *arguments: object, **options: object) -> object:
        session = load(model, *arguments, **options)
        path.unlink()
        if not gone:
            saved(tiny_graph(msgspec.structs.replace(SPEC, version="2")), tmp_path)
        return session

    with patch("onnxruntime.InferenceSession", replaced):
        assert ("it was there" if gone else "it was replaced") in refusal(path)
    if not gone:
        assert Classifier(path).spec.version == "2"


def test_a_self_test_that_fails_finds_the_damage(tmp_path: Path) -> None:
    model = tiny_graph(msgspec.structs.replace(SPEC, self_test=self_test()))
    bias = next(weights for weights in model.graph.initializer if weights.name == "bias")
    bias.raw_data = np.array([0.0, -1.0, -8.0, -8.0], np.float32).tobytes()
    assert "self_test: scores are off by" in refusal(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"log_mel": "no base64!"}, "self_test.log_mel"),
        ({"log_mel": "AAAA"}, "self_test.log_mel"),
        ({"scores": [0.5, 0.5]}, "self_test.scores"),
    ],
)
def test_a_self_test_that_cannot_be_run_is_refused(
    tmp_path: Path, change: dict[str, object], field: str
) -> None:
    path = tmp_path / "m.onnx"
    test = msgspec.structs.replace(self_test(), **change)
    write_tiny_model(path, msgspec.structs.replace(SPEC, self_test=test))
    assert field in refusal(path)


def test_one_thread_and_no_telemetry(tiny_model: Path, tmp_path: Path) -> None:
    """In a process of its own, with a home of its own, to see what is left behind."""
    program = (
        "import os, sys, pathlib, numpy as np\n"
        "from rainwatchd.hearing.classifier import Classifier\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "classifier = Classifier(pathlib.Path(sys.argv[1]))\n"
        "classifier.scores(np.zeros((96, 128), np.float32))\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = kept | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny_model)],
        cwd=Path(__file__).parents[2],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "0"
    assert done.stderr == ""
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
