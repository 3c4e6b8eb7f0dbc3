from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import pytest

from rainwatchd.errors import AudioError
from rainwatchd.replay import progress as progress_module
from rainwatchd.replay.progress import Progress, sizes_of
from rainwatchd.replay.replay import Heard


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path | AudioError]:
    paths = []
    for name, size in (("a.wav", 1000), ("b.wav", 3000)):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(bytes(size))
    return [paths[0], AudioError("nothing here"), paths[1], tmp_path / "gone.wav"]


@contextmanager
def terminal() -> Iterator[tuple[TextIO, int]]:
    master, slave = os.openpty()
    try:
        with os.fdopen(slave, "w", encoding="utf-8") as out:
            yield out, master
    finally:
        os.close(master)


def read_all(master: int) -> str:
    """Read what a terminal was told; it gives it out in pieces."""
    os.set_blocking(master, False)
    pieces = []
    with suppress(BlockingIOError):
        while piece := os.read(master, 1 << 16):
            pieces.append(piece)
    return b"".join(pieces).decode()


def test_the_bar_grows_with_what_all_workers_hear(
    recordings: list[Path | AudioError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "_INTERVAL_S", 0.0)
    with terminal() as (out, master):
        progress = Progress(out, sizes_of(recordings))
        progress.take(Heard("a.wav", 60.0, None, None))
        progress.follow(2, 90.0, 0.5)
        progress.take(Heard("", 0.0, None, "nothing here"))
        progress.finish()
        shown = read_all(master)
    assert " 25 % |██████" in shown
    assert "1/4 files, 0:01:00.0 heard, " in shown
    assert progress.summary == ("2 of 4 recordings heard to their end, 0:02:30.0 of sound in all")
    assert shown.rsplit("\r", 2)[1].strip() == "", "the bar is taken away in the end"


def test_steps_in_quick_succession_are_not_all_drawn(recordings: list[Path | AudioError]) -> None:
    with terminal() as (out, master):
        progress = Progress(out, sizes_of(recordings))
        for number in range(1000):
            progress.follow(0, number, number / 1000)
        assert os.read(master, 1 << 16).count(b"\r") < 100


def test_no_bar_is_written_into_a_file(recordings: list[Path | AudioError]) -> None:
    out = io.StringIO()
    progress = Progress(out, sizes_of(recordings))
    progress.follow(0, 30.0, 0.5)
    progress.clear()
    progress.finish()
    assert out.getvalue() == ""
    assert progress.summary.startswith("0 of 4 recordings heard to their end, 0:00:30.0")


def test_an_archive_says_a_line_a_minute_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress_module, "_LINE_S", 0.0)
    out = io.StringIO()
    progress = Progress(out, [60.0, 0.0, 120.0, 0.0], of_sound=True)
    progress.end(0, 60.0, failed=True)
    assert out.getvalue().startswith("1/4 files, 0:01:00.0 of 0:03:00.0 heard, ")
    assert "1 failed" in out.getvalue()
    assert out.getvalue().endswith(" left\n")


def test_the_last_word_of_a_recording_is_not_counted_behind_its_end(
    recordings: list[Path | AudioError],
) -> None:
    progress = Progress(io.StringIO(), sizes_of(recordings))
    progress.follow(0, 59.0, 0.9)
    progress.end(0, 60.0)
    progress.follow(0, 60.0, 1.0)
    assert progress.summary.endswith("0:01:00.0 of sound in all")
