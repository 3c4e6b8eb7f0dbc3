"""A decoder that crashes."""

from __future__ import annotations

from pathlib import Path

import pytest

FATAL_NAMES = "decoder-crash"

SITE = """
import os, soundfile

class Fragile(soundfile.SoundFile):
    def __init__(self, file, *rest, **named):
        super().__init__(file, *rest, **named)
        name = os.readlink(f"/proc/self/fd/{file}") if isinstance(file, int) else str(file)
        if "decoder-crash" in name:
            os.abort()

soundfile.SoundFile = Fragile
"""


@pytest.fixture
def fatal_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let recordings with this in their names abort every new process that opens them."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    monkeypatch.setenv("PYTHONPATH", str(site))
    return FATAL_NAMES
