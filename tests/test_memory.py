"""A recording's length costs no memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.hear import peak_mb, write_long


@pytest.mark.slow
def test_forty_minutes_need_no_more_memory_than_one(tmp_path: Path, tiny_model: Path) -> None:
    peaks_mb = []
    for minutes in (1, 40):
        path = tmp_path / f"{minutes}.flac"
        write_long(path, 60.0 * minutes)
        peaks_mb.append(peak_mb("--model", str(tiny_model), "--json", "--file", str(path)))
    short_mb, long_mb = peaks_mb
    assert long_mb < short_mb + 10
    assert long_mb < 120
