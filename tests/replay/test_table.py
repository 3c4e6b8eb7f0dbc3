from __future__ import annotations

import io

from rainwatchd.replay.replay import Heard
from rainwatchd.replay.report import Complaints
from rainwatchd.replay.table import Shortest, Table

LABELS = ["background", "chainsaw"]
SHORTEST = Shortest(windows=3, window_s=4.0, step_s=1.0)


def test_what_was_not_heard_is_no_row_of_the_table_but_a_complaint() -> None:
    out, err = io.StringIO(), io.StringIO()
    table, complaints = Table(out, LABELS, LABELS[1:], SHORTEST), Complaints(err)
    for sink in (table, complaints):
        sink.take(Heard("a.wav", 0.0, None, "a.wav: the file is empty"))
        sink.finish()
    assert out.getvalue() == "1 file, 0.0 s heard: no alerts; 1 dead: not heard at all\n"
    assert err.getvalue() == "rainwatchd: a.wav: the file is empty\n"
    assert complaints.failed


def test_the_sums_count_hours() -> None:
    out = io.StringIO()
    table = Table(out, LABELS, LABELS[1:], SHORTEST)
    for number in range(3):
        heard = Heard(f"{number}.wav", 3600.0, (0.9, 0.1), None, windows=3597, judged="background")
        table.take(heard)
    table.finish()
    assert out.getvalue().splitlines()[-1] == "3 files, 3.0 h heard: no alerts"
    assert "*" not in out.getvalue()
