from __future__ import annotations

import io

from rainwatchd.replay.replay import Scored
from rainwatchd.replay.report import ScoreFile


def scored(end_s: float, progress: float) -> Scored:
    return Scored("a.wav", end_s - 4.0, end_s, -31.26, (0.25, 0.75), progress)


def test_a_row_of_scores() -> None:
    out = io.StringIO()
    ScoreFile(out, ["background", "chainsaw"]).take(scored(30.0, 0.5))
    assert out.getvalue() == (
        "file,start_s,end_s,level_dbfs,background,chainsaw\n"
        "a.wav,26.000,30.000,-31.3,0.250000,0.750000\n"
    )
