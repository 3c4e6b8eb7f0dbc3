from __future__ import annotations

import io

from rainwatchd.replay.replay import Heard, Scored
from rainwatchd.replay.report import Complaints, ScoreFile, Table


def scored(end_s: float, progress: float) -> Scored:
    return Scored("a.wav", end_s - 4.0, end_s, -31.26, (0.25, 0.75), progress)


def test_a_row_of_scores() -> None:
    out = io.StringIO()
    ScoreFile(out, ["background", "chainsaw"]).take(scored(30.0, 0.5))
    assert out.getvalue() == (
        "file,start_s,end_s,level_dbfs,background,chainsaw\n"
        "a.wav,26.000,30.000,-31.3,0.250000,0.750000\n"
    )


def test_what_was_not_heard_is_no_row_of_the_table_but_a_complaint() -> None:
    out, err = io.StringIO(), io.StringIO()
    table, complaints = Table(out, ["background", "chainsaw"]), Complaints(err)
    for sink in (table, complaints):
        sink.take(Heard("a.wav", 0.0, None, "a.wav: the file is empty"))
        sink.finish()
    assert out.getvalue() == ""
    assert err.getvalue() == "rainwatchd: a.wav: the file is empty\n"
    assert complaints.failed
