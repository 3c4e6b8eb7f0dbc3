"""Parts that many tests need."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.tiny_model import write_tiny_model

pytest_plugins = ["tests.broker", "tests.microphone"]


# A busy machine takes its time; how long an example takes is no property that is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX model with real metadata whose scores follow the energy of bands.

    A 1 kHz tone is a chainsaw, a 150 Hz tone an engine, a 3.5 kHz tone a storm.
    """
    path = tmp_path_factory.mktemp("model") / "tiny.onnx"
    write_tiny_model(path)
    return path
