"""Models on trial: what serves after updates, crashes and restarts."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from rainwatchd.errors import ModelError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import OPEN, PACKAGED
from rainwatchd.service import model_store
from rainwatchd.service.model_store import ModelStore
from tests.tiny_model import SPEC, self_test, write_tiny_model


def write(path: Path, version: str, *, tested: bool = True) -> Path:
    test = self_test() if tested else None
    write_tiny_model(path, msgspec.structs.replace(SPEC, version=version, self_test=test))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.onnx", "1")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def write_bad(path: Path, fault: str) -> Path:
    """A site's model that fails its self-test, or that scores whatever it hears alike."""
    test = self_test()
    if fault == "self-test":
        test = msgspec.structs.replace(test, scores=[0.25] * 4)
    write_tiny_model(path, msgspec.structs.replace(SPEC, name="tiny+site", self_test=test))
    if fault == "constant":
        graph = onnx.load(path)
        for tensor in graph.graph.initializer:
            if tensor.name == "weights":
                still = np.zeros(tuple(tensor.dims), np.float32)
                tensor.CopyFrom(onnx.numpy_helper.from_array(still, "weights"))
        onnx.save(graph, path)
    return path


BAD = {"self-test": "self_test: scores are off", "constant": "same scores to whatever it hears"}


def serve(state: Path, model: Path) -> Classifier:
    """Start and get through the trial."""
    store = ModelStore(state)
    classifier, trouble = store.load(model)
    assert trouble is None
    assert store.judge(classifier, 0.1) is None
    return classifier


def test_a_damaged_file_at_the_start_is_replaced_by_the_last_good_model(
    state: Path, model: Path
) -> None:
    serve(state, model)
    model.write_bytes(b"not a model")
    classifier, trouble = ModelStore(state).load(model)
    assert classifier.name == "tiny 1"
    assert trouble is not None
    assert "tiny 1 listens instead" in trouble
    assert str(model) in trouble


def test_without_any_good_model_the_error_names_the_configured_one(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_store, "PACKAGED", tmp_path / "none.onnx")
    with pytest.raises(ModelError, match=r"absent\.onnx: No such file"):
        ModelStore(state).load(tmp_path / "absent.onnx")


def test_a_model_that_ends_two_processes_on_trial_is_rolled_back(state: Path, model: Path) -> None:
    serve(state, model)
    write(model, "2")
    for _ in range(2):
        # The process dies before the trial is over, both times.
        classifier, trouble = ModelStore(state).load(model)
        assert (classifier.name, trouble) == ("tiny 2", None)
    classifier, trouble = ModelStore(state).load(model)
    assert classifier.name == "tiny 1"
    assert trouble is not None
    assert "failed its trial" in trouble


def test_starts_that_end_in_good_order_count_for_nothing(state: Path, model: Path) -> None:
    serve(state, model)
    write(model, "2")
    for _ in range(5):
        store = ModelStore(state)
        assert store.load(model)[0].name == "tiny 2"
        store.adjourn()


def test_a_model_that_was_rolled_back_may_be_tried_again_by_reload(
    state: Path, model: Path
) -> None:
    serve(state, model)
    write(model, "2")
    for _ in range(3):
        serving, _ = ModelStore(state).load(model)
    assert serving.name == "tiny 1"
    write(model, "2.1")
    renewed = ModelStore(state).renew(model, serving)
    assert renewed is not None
    assert renewed.name == "tiny 2.1"


def test_a_model_that_is_too_slow_fails_and_stays_out(state: Path, model: Path) -> None:
    serve(state, model)
    write(model, "2")
    store = ModelStore(state)
    classifier, _ = store.load(model)
    verdict = store.judge(classifier, 1.7)
    assert verdict is not None
    assert "1.7 s for a second of sound" in verdict
    assert ModelStore(state).load(model)[0].name == "tiny 1"


def test_reload_without_a_new_file_changes_nothing(state: Path, model: Path) -> None:
    assert ModelStore(state).renew(model, serve(state, model)) is None


@pytest.mark.parametrize(
    ("digest", "said"),
    [("0" * 64, "was it copied whole"), ("", "wants nothing"), (None, None), ("right", None)],
)
def test_the_digest_beside_a_model_must_match(
    state: Path, model: Path, digest: str | None, said: str | None
) -> None:
    serving = serve(state, model)
    write(model, "2")
    if digest is not None:
        right = sha256(model.read_bytes()).hexdigest()
        line = f"{right if digest == 'right' else digest}  model.onnx\n"
        model.with_name("model.onnx.sha256").write_text(line if digest else "\n")
    if said is None:
        renewed = ModelStore(state).renew(model, serving)
        assert renewed is not None
        assert renewed.name == "tiny 2"
    else:
        with pytest.raises(ModelError, match=said):
            ModelStore(state).renew(model, serving)


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_site_model_is_refused_at_reload_and_rolled_back_at_a_start(
    state: Path, model: Path, fault: str
) -> None:
    serving = serve(state, model)
    write_bad(model, fault)
    with pytest.raises(ModelError, match=BAD[fault]):
        ModelStore(state).renew(model, serving)
    classifier, trouble = ModelStore(state).load(model)
    assert classifier.name == "tiny 1"
    assert trouble is not None
    assert BAD[fault] in trouble
    assert "tiny 1 listens instead" in trouble


@pytest.mark.skipif(not PACKAGED.exists(), reason="the shipped models are not there")
@pytest.mark.parametrize("path", [PACKAGED, OPEN])
def test_the_shipped_models_are_not_deaf(state: Path, path: Path) -> None:
    assert ModelStore(state).load(path)[1] is None


def test_an_update_needs_a_self_test(state: Path, model: Path) -> None:
    serving = serve(state, model)
    write(model, "2", tested=False)
    with pytest.raises(ModelError, match="self_test is missing"):
        ModelStore(state).renew(model, serving)


def test_a_state_directory_that_cannot_be_written_keeps_no_model_from_serving(
    tmp_path: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    store = ModelStore(tmp_path / "file/state")
    classifier, trouble = store.load(model)
    assert trouble is None
    assert store.judge(classifier, 0.1) is None
    assert any("no copy of it can be kept" in record.message for record in caplog.records)
