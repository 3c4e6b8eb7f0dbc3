from __future__ import annotations

import io

from rainwatchd.replay.replay import Heard, Scored
from rainwatchd.replay.report import Complaints, Progress, ScoreFile, Table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def scored(end_s: float, progress: float) -> Scored:
    return Scored("a.wav", end_s - 4.0, end_s, -31.26, (0.25, 0.75), progress)


def test_the_bar_grows_within_a_recording_and_with_each() -> None:
    terminal = Terminal()
    progress = Progress(terminal, 2)
    progress.show(scored(30.0, 0.5))
    assert terminal.getvalue().count("█") == 8
    assert "0/2 files  0:00:30.0" in terminal.getvalue()
    progress.show(Heard("a.wav", 60.0, (0.25, 0.75), None))
    last = terminal.getvalue().rsplit("\r", 1)[1]
    assert last.count("█") == 15
    assert "1/2 files  0:01:00.0" in last


def test_windows_in_quick_succession_are_not_all_drawn() -> None:
    terminal = Terminal()
    progress = Progress(terminal, 1)
    for number in range(1000):
        progress.show(scored(4.0 + number, number / 1000))
    assert terminal.getvalue().count("\r") < 100


def test_no_bar_is_written_into_a_file() -> None:
    out = io.StringIO()
    progress = Progress(out, 1)
    progress.show(scored(30.0, 0.5))
    progress.clear()
    assert out.getvalue() == ""


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
