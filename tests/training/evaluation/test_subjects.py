import json
import shutil
from pathlib import Path

import msgspec
import pytest

from tests.tiny_model import SPEC, write_tiny_model
from tests.training.labelled import clip
from training.dataset import Clip
from training.evaluation.subjects import held_out_clips

CLIPS = [
    *(clip(f"free {n}", "chainsaw") for n in range(4)),
    *(clip(f"nc {n}", "chainsaw", use="train-nc") for n in range(4)),
    *(clip(f"never {n}", "chainsaw", use="evaluate") for n in range(4)),
    clip("never 0", "chainsaw", use="evaluate"),
]


def fold(folder: Path, name: str, held_out: list[str], licence: str = "", **more: object) -> Path:
    path = folder / f"{name}.onnx"
    write_tiny_model(path, msgspec.structs.replace(SPEC, licence=licence))
    path.with_suffix(".json").write_text(json.dumps({"held_out_recordings": held_out, **more}))
    return path


def names(parts: list[list[Clip]]) -> list[list[str]]:
    return [sorted(clip.recording for clip in part) for part in parts]


@pytest.mark.parametrize("licence", ["Apache-2.0", "CC-BY-NC-4.0"])
def test_folds_of_either_licence_are_tested_on_the_same(tmp_path: Path, licence: str) -> None:
    lists = [["free 0", "free 1", "nc 0", "nc 1"], ["free 2", "free 3", "nc 2", "nc 3"]]
    folds = [fold(tmp_path, f"{n}", own, licence) for n, own in enumerate(lists)]
    first, second = names(held_out_clips(folds, CLIPS))
    # Every clip counts once, and clips of one recording stay together.
    assert first == [*lists[0], "never 0", "never 0", "never 2"]
    assert second == [*lists[1], "never 1", "never 3"]


def test_an_open_model_never_heard_what_is_for_non_commercial_use(tmp_path: Path) -> None:
    lone = fold(tmp_path, "open", [], "Apache-2.0")
    (heard,) = names(held_out_clips([lone], CLIPS))
    assert [name for name in heard if name.startswith("nc")] == ["nc 0", "nc 1", "nc 2", "nc 3"]
    other = fold(tmp_path, "nc", [], "CC-BY-NC-4.0")
    (heard,) = names(held_out_clips([other], CLIPS))
    assert {name.split()[0] for name in heard} == {"never"}


def test_rules_of_a_lone_model_are_chosen_on_its_validation(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lone = fold(tmp_path, "final", [], validation_recordings=["free 1"])
    (heard,) = names(held_out_clips([lone], CLIPS, tuning=True))
    assert "free 1" in heard
    assert "chosen on its validation recordings" in caplog.text


def test_a_model_without_a_list_is_tested_on_everything(
    tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bare = Path(shutil.copy(tiny_model, tmp_path / "bare.onnx"))
    (heard,) = held_out_clips([bare], CLIPS)
    assert heard == CLIPS
    assert "no bare.json beside it" in caplog.text
