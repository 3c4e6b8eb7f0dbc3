"""The table for the man with the ladder."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from rainwatchd.cli import main
from rainwatchd.service.history import History
from tests.detections import detection, event


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """What a running service has remembered: it isn't closed."""
    history = History(tmp_path / "history.sqlite", lambda _: None)
    onset, _, offset = event(1)
    history.put(onset)
    history.put(msgspec.structs.replace(offset, clip="saw.flac"))
    history.judge(onset.event_id, "true", "ana", "2024-05-12T10:00:00.000Z")
    history.put(msgspec.structs.replace(detection(5), label="engine", clock_synced=False))
    return tmp_path


def events(*words: str) -> int:
    return main(["events", *words])


def test_each_event_is_a_line_with_its_clip_and_verdict(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert events("--state_directory", str(state), "--since", "2024-05-12") == 0
    header, saw, engine, note = capsys.readouterr().out.splitlines()
    assert header.startswith("start (UTC)")
    assert saw == (
        "2024-05-12 00:00:01  chainsaw     6 s   0.95   -32 dBFS true     saw.flac by ana"
    )
    assert "00:00:05? engine     lasts" in engine
    assert "clock" in note


def test_a_clip_that_is_not_there_any_more_is_marked(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--state_directory", str(state), "--since", "999999w")
    (state / "clips").mkdir()
    assert events(*words) == 0
    assert "saw.flac by ana (gone)" in capsys.readouterr().out
    (state / "clips/saw.flac").touch()
    assert events(*words) == 0
    assert "(gone)" not in capsys.readouterr().out


def test_json_has_every_field(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert events("--state_directory", str(state), "--since", "2024-05-12", "--json") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["label"] for line in lines] == ["chainsaw", "engine"]
    assert lines[0]["verdict"] == "true"
    assert lines[0]["clip"] == "saw.flac"


def test_nothing_heard_is_said_and_nothing_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert events("--state_directory", str(tmp_path / "none")) == 0
    assert "nothing heard since" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_span_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        events("--since", "yesterday")
    assert "neither a span" in capsys.readouterr().err
