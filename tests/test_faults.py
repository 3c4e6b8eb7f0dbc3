"""A short run of the random faults; ``python -m tests.torture faults`` goes on for longer."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.torture.faults import Trial


@pytest.mark.slow
def test_fifteen_random_faults_lose_no_confirmed_event(tmp_path: Path) -> None:
    Trial(tmp_path / "trial", random.Random("fifteen")).run(15)
