"""Parts that many tests need."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model

pytest_plugins = ["tests.broker", "tests.microphone"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX model with real metadata whose scores follow the energy of bands.

    A 1 kHz tone is a chainsaw, a 150 Hz tone an engine, a 3.5 kHz tone a storm.
    """
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    write_tiny_model(path)
    return path
