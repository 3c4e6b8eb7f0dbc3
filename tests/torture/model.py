"""Model files cut short by a lost link, hit by bad memory, or made by someone's own script."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from rainwatchd.errors import ModelError
from rainwatchd.hearing.model_file import PACKAGED, read_model
from rainwatchd.hearing.model_spec import METADATA_KEY
from tests.tiny_model import write_tiny_model
from tests.torture.mutation import damaged

_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 1e308, 0.5, "", "x", "1", [], [[]], ["a", "a"], {}, {"a": 1}
)  # fmt: skip

# In a process of its own: what ONNX Runtime does with a damaged graph may end the process.
_LOAD = """
import sys
from pathlib import Path
import numpy as np
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.decision.decision import Decision
from rainwatchd.errors import ModelError
from rainwatchd.hearing.window import Window
try:
    classifier = Classifier(Path(sys.argv[1]))
    spec = classifier.spec
    scores = classifier.scores(np.full((spec.n_mels, spec.window_frames), -60, np.float32))
    assert len(scores) == len(spec.labels), scores
    decision = Decision(spec.labels, spec.decision, spec.sample_rate_hz, spec.step_s)
    for second in range(60):
        start = second * spec.sample_rate_hz
        decision.push(Window(start, start + 1000, scores, -40.0))
    decision.finish("end_of_stream")
except ModelError as error:
    print(error)
"""


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Damage the shipped model and a small one, their bytes or their metadata."""
    small = folder / "small.onnx"
    write_tiny_model(small)
    models = [path.read_bytes() for path in (small, PACKAGED) if path.exists()]
    path = folder / "model.onnx"

    def trial(rng: random.Random) -> None:
        content = rng.choice(models)
        if rng.random() < 0.5:
            content = _with_other_metadata(content, rng)
        else:
            content = damaged(content, rng, near_start=rng.choice((64, len(content))))
        path.write_bytes(content)
        try:
            read_model(path)
        except ModelError as error:
            _check(str(error), path)
            return
        done = subprocess.run(
            [sys.executable, "-c", _LOAD, str(path)],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
        if done.stdout:
            _check(done.stdout.rstrip("\n"), path)

    yield trial


def _check(message: str, path: Path) -> None:
    assert path.name in message, message
    assert len(message.splitlines()) == 1, message
    assert len(message) < 1000, message


def _with_other_metadata(content: bytes, rng: random.Random) -> bytes:
    model = onnx.load_from_string(content)
    (entry,) = (entry for entry in model.metadata_props if entry.key == METADATA_KEY)
    document = json.loads(entry.value)
    section, key = rng.choice(_places(document))
    if rng.random() < 0.15:
        del section[key]
    else:
        section[key] = rng.choice(_VALUES)
    entry.value = json.dumps(document)
    return bytes(model.SerializeToString())


def _places(section: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Every key at every depth, with the section that holds it."""
    places = [(section, key) for key in section]
    for inner in section.values():
        if isinstance(inner, dict):
            places += _places(inner)
    return places
