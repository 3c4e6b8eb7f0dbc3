from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import onnx
import pytest

from rainwatchd.errors import ModelError
from rainwatchd.hearing.model_file import read_model
from rainwatchd.hearing.model_spec import METADATA_KEY, encode
from tests.tiny_model import SPEC, tiny_graph


def test_the_metadata_are_found_without_onnx(tiny_model: Path) -> None:
    file = read_model(tiny_model)
    assert msgspec.structs.replace(file.spec, self_test=None) == SPEC
    assert file.name == "tiny 1"
    assert file.digest == hashlib.sha256(tiny_model.read_bytes()).hexdigest()


def test_other_metadata_may_stand_beside(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = tiny_graph()
    for key in ("author", "zzz"):
        entry = model.metadata_props.add()
        entry.key, entry.value = key, "x"
    path.write_bytes(model.SerializeToString())
    assert read_model(path).spec == SPEC


def test_measured_curves_come_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = tiny_graph()
    curves = {"chainsaw": {"+10": [(0.2, 1.0), (0.4, 0.9)], "-5": [(0.2, 0.8), (0.4, 0.5)]}}
    spec = msgspec.structs.replace(SPEC, recall_by_threshold=curves)
    model.metadata_props[0].value = encode(spec)
    path.write_bytes(model.SerializeToString())
    assert read_model(path).spec == spec


@pytest.mark.parametrize("length", [0, 1, 100, 2000, -1])
def test_a_file_cut_short_is_refused(tiny_model: Path, tmp_path: Path, length: int) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(tiny_model.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"m\.onnx: (damaged, cut short or not ONNX|metadata)"):
        read_model(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx: No such file"):
        read_model(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match="directory"):
        read_model(tmp_path)


def test_a_model_without_metadata_is_told_how_to_be_made(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = tiny_graph()
    onnx.helper.set_model_props(model, {"author": "x"})
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=f"{METADATA_KEY}.*training train"):
        read_model(path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"format": 2}, "format"),
        ({"labels": ["a", "a"]}, "labels"),
        ({"hop_length": 0}, "hop_length"),
        ({"fmax_hz": 9000.0}, "fmax_hz"),
        ({"step_s": 9.0}, "step_s"),
        ({"step_s": 0.06, "hop_length": 2048, "n_fft": 2048}, "step_s"),
        ({"clip_thresholds": {"gunshot": 0.5}}, "clip_thresholds"),
        ({"clip_thresholds": {"chainsaw": 1.0}}, r"clip_thresholds\.chainsaw"),
        ({"recall_by_threshold": {"gunshot": {}}}, "recall_by_threshold"),
    ],
)
def test_what_cannot_be_honoured_is_named(
    tmp_path: Path, change: dict[str, object], field: str
) -> None:
    path = tmp_path / "m.onnx"
    model = tiny_graph()
    model.metadata_props[0].value = encode(msgspec.structs.replace(SPEC, **change))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=rf"m\.onnx: .*{field}"):
        read_model(path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    model = tiny_graph()
    document = msgspec.json.decode(model.metadata_props[0].value)
    del document["window_s"]
    model.metadata_props[0].value = msgspec.json.encode(document).decode()
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="window_s"):
        read_model(path)
