"""What the device remembers of what it heard."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from rainwatchd.errors import RainwatchError
from rainwatchd.service import history as module
from rainwatchd.service.history import Heard, History, read
from tests.detections import detection, event

EVER = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/history.sqlite"


@pytest.fixture
def troubles() -> list[str | None]:
    return []


@pytest.fixture
def history(path: Path, troubles: list[str | None]) -> Iterator[History]:
    history = History(path, troubles.append, kept_events=5)
    yield history
    history.close()


def remembered(path: Path) -> list[Heard]:
    return list(read(path, EVER))


def test_an_event_is_read_while_it_lasts_and_when_it_is_over(path: Path, history: History) -> None:
    onset, _, offset = event(1)
    history.put(onset)
    (heard,) = remembered(path)
    assert (heard.label, heard.end, heard.lasts) == ("chainsaw", None, True)
    history.put(msgspec.structs.replace(offset, clip="x.flac", peak_score=0.97))
    (heard,) = remembered(path)
    assert (heard.end, heard.lasts, heard.clip) == (offset.end, False, "x.flac")
    assert (heard.peak_score, heard.end_reason) == (0.97, "released")


def test_the_oldest_go_and_the_newest_stay(path: Path, history: History) -> None:
    for number in range(9):
        history.put(detection(number))
    starts = [heard.start for heard in remembered(path)]
    assert starts == [detection(number).start for number in range(4, 9)]


def test_since_leaves_out_what_is_older_but_nothing_of_unknown_time(
    path: Path, history: History
) -> None:
    history.put(detection(1))
    history.put(msgspec.structs.replace(detection(2), clock_synced=False))
    history.put(detection(50))
    since = datetime(2024, 5, 12, 0, 0, 30, tzinfo=UTC)
    assert [heard.start[17:19] for heard in read(path, since)] == ["02", "50"]


def test_the_last_verdict_by_time_counts(path: Path, history: History) -> None:
    history.put(detection(1))
    event_id = detection(1).event_id
    assert history.judge(event_id, "false", "ana", "2024-05-12T10:00:00.000Z")
    assert history.judge(event_id, "true", "old", "2024-05-12T09:00:00.000Z")
    assert not history.judge(detection(2).event_id, "true", "ana", "2024-05-12T10:00:00.000Z")
    history.put(event(1)[2])
    (heard,) = remembered(path)
    assert (heard.verdict, heard.judged_by) == ("false", "ana")


def test_an_event_that_a_killed_run_left_open_is_over(path: Path, history: History) -> None:
    history.put(detection(1))
    history.close()
    History(path, lambda _: None).close()
    (heard,) = remembered(path)
    assert (heard.end, heard.end_reason, heard.lasts) == (None, "interrupted", False)


def test_a_damaged_file_is_moved_aside(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database, whatever it is" * 100)
    history = History(path, lambda _: None)
    history.put(detection(1))
    history.close()
    assert len(remembered(path)) == 1
    assert len(list(path.parent.glob("history.damaged-*.sqlite"))) == 1


def test_a_file_that_turns_out_damaged_is_moved_aside(
    path: Path, troubles: list[str | None]
) -> None:
    history = History(path, troubles.append)
    for number in range(500):
        history.put(detection(number))
    history.close()
    content = bytearray(path.read_bytes())
    content[8192:] = bytes(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(RainwatchError, match="malformed; the service moves it aside"):
        remembered(path)

    history = History(path, troubles.append)
    history.put(detection(501))
    history.close()
    assert [heard.event_id for heard in remembered(path)] == [detection(501).event_id]
    assert len(list(path.parent.glob("history.damaged-*.sqlite"))) == 1
    assert not any(troubles)


def test_a_file_that_was_just_made_holds_nothing(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert remembered(path) == []


def test_a_disk_that_fails_is_told_once_and_used_again_when_it_works(
    tmp_path: Path, troubles: list[str | None]
) -> None:
    (tmp_path / "state").touch()
    path = tmp_path / "state/history.sqlite"
    history = History(path, troubles.append)
    history.put(detection(1))
    assert len(troubles) == 1
    assert "isn't remembered" in str(troubles[0])
    (tmp_path / "state").unlink()
    history.put(detection(2))
    assert troubles[-1] is None
    assert [heard.event_id for heard in remembered(path)] == [detection(2).event_id]
    history.close()


def test_nothing_was_ever_heard(path: Path) -> None:
    assert remembered(path) == []
    assert not path.parent.exists()


def test_a_file_of_another_user_needs_root(
    path: Path, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.put(detection(1))

    def refused(*_: object, **__: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    # Root may read everything, and these tests may be root.
    monkeypatch.setattr(module.sqlite3, "connect", refused)  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "_readable", lambda _: os.getuid() < 0)
    with pytest.raises(RainwatchError, match="as root, by sudo"):
        remembered(path)
