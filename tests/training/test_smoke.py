"""From the bundled recordings to a detection: a training that is small, and otherwise real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.log_mel import LogMel
from rainwatchd.hearing.model_spec import ModelSpec
from training.commands.options import default_weights

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests" / "recordings"
CHAINSAW = RECORDINGS / "chainsaw" / "esc10_freesound-19898.ogg"
FOREST = RECORDINGS / "background" / "bird_whizz_forest_birds.ogg"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def imagenet() -> Path | None:
    """The ImageNet weights, where the labelled recordings come with them."""
    return default_weights()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, imagenet: Path | None) -> Path:
    """The folder of a short training run."""
    out = tmp_path_factory.mktemp("smoke")
    weights = imagenet or _random_weights(out / "random.weights.h5")
    options = ["--data", RECORDINGS, "--weights", weights, "--examples", 256]
    options += ["--epochs", 1, "--rounds", 1]
    _run("-m", "training", "train", out, *options)
    return out


def test_the_daemon_accepts_both_model_files(trained: Path) -> None:
    for name in ("model.onnx", "model-fp32.onnx"):
        assert Classifier(trained / name).spec.training_data["mixed_windows"] == 256


def test_onnx_gives_the_scores_of_keras(trained: Path) -> None:
    script = """
import sys
import numpy as np
from pathlib import Path
from training.network.model import build, together
windows = np.load(sys.argv[1])
networks = []
for frames, trained in zip((64,), sys.argv[4:]):
    networks.append(build(windows.shape[1], frames, 4, weights=Path(sys.argv[2])))
    networks[-1].load_weights(trained)
np.save(sys.argv[3], together(networks).predict(windows, verbose=0))
"""
    classifier = Classifier(trained / "model-fp32.onnx")
    windows = _windows(classifier.spec, CHAINSAW, FOREST)
    np.save(trained / "windows.npy", windows)
    networks = [trained / f"window-of-{s}-s" / "trained.weights.h5" for s in (4,)]
    random = _random_weights(trained / "any.weights.h5")
    _run("-c", script, trained / "windows.npy", random, trained / "keras.npy", *networks)
    onnx = np.array([classifier.scores(window) for window in windows])
    np.testing.assert_allclose(onnx, np.load(trained / "keras.npy"), atol=1e-4)


def test_the_trained_model_tells_a_chainsaw_from_the_forest(
    trained: Path, imagenet: Path | None
) -> None:
    if imagenet is None:
        pytest.skip("no ImageNet weights in ../shared: from random ones this takes hours")
    classifier = Classifier(trained / "model.onnx")
    column = classifier.spec.labels.index("chainsaw")

    def mean_score(recording: Path) -> float:
        windows = _windows(classifier.spec, recording)
        return float(np.mean([classifier.scores(window)[column] for window in windows]))

    assert mean_score(CHAINSAW) > 0.5 > mean_score(FOREST)


def test_recordings_replay_with_the_trained_model(trained: Path) -> None:
    main = "import sys; from rainwatchd.cli import main; sys.exit(main())"
    options = ["--model", trained / "model.onnx", "--json", "--file", CHAINSAW, FOREST]
    for line in _run("-c", main, *options).splitlines():
        assert json.loads(line)["file"] in {str(CHAINSAW), str(FOREST)}


def _run(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def _random_weights(path: Path) -> Path:
    _run(
        "-c",
        "import sys, keras; keras.applications.MobileNetV2(include_top=False, weights=None,"
        " input_shape=(96, 96, 3)).save_weights(sys.argv[1])",
        path,
    )
    return path


def _windows(spec: ModelSpec, *recordings: Path) -> Floats:
    """Real windows of dB, shape ``(n, n_mels, frames)``, without overlap."""
    windows = []
    for recording in recordings:
        samples, rate_hz = soundfile.read(recording, dtype="float32")
        samples = soxr.resample(samples, rate_hz, spec.sample_rate_hz)
        frames = LogMel(spec.mel).push(samples)
        count = frames.shape[1] // spec.window_frames
        kept = frames[:, : count * spec.window_frames]
        windows.append(kept.reshape(spec.n_mels, count, spec.window_frames).swapaxes(0, 1))
    return np.concatenate(windows)
