"""What the device says of itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from rainwatchd.alerts.outbox import Outbox, OutboxOptions
from rainwatchd.audio.ring import Gap
from rainwatchd.decision.clock import StreamClock
from rainwatchd.decision.events import Status
from rainwatchd.hearing.window import Window
from rainwatchd.service import health
from rainwatchd.service.health import Meter, StatusBoard, disk_free_bytes, temperature_c
from tests.schemas import validator

RATE_HZ = 16_000


@pytest.fixture
def board() -> StatusBoard:
    return StatusBoard("canopy-7", "tiny 1", "0" * 64)


@pytest.fixture
def told(board: StatusBoard) -> list[Status]:
    told: list[Status] = []
    board.listen(told.append)
    return told


def test_a_listener_is_told_at_once_and_after_each_change(
    board: StatusBoard, told: list[Status]
) -> None:
    microphone, outbox = board.reporter("microphone"), board.reporter("outbox")
    microphone("the device is gone")
    microphone("the device is gone")
    outbox("disk full")
    microphone(None)
    outbox(None)
    outbox(None)
    assert [(status.state, status.reasons) for status in told] == [
        ("online", []),
        ("degraded", ["microphone: the device is gone"]),
        ("degraded", ["microphone: the device is gone", "outbox: disk full"]),
        ("degraded", ["outbox: disk full"]),
        ("online", []),
    ]


def test_the_last_words_say_what_was_wrong(board: StatusBoard) -> None:
    board.reporter("microphone")("lost")
    last = msgspec.json.decode(board.offline())
    assert (last["state"], last["reasons"]) == ("offline", ["microphone: lost"])


def test_every_status_keeps_to_the_schema(board: StatusBoard, told: list[Status]) -> None:
    board.reporter("mqtt")("publishing refused")
    board.use_model("tiny 2", "1" * 64)
    for status in told:
        validator("status").validate(msgspec.json.decode(msgspec.json.encode(status)))
    validator("status").validate(msgspec.json.decode(board.offline()))
    assert told[-1].model == "tiny 2"


def window(end_s: float, saw: float) -> Window:
    end = round(end_s * RATE_HZ)
    return Window(end - 4 * RATE_HZ, end, (1 - saw, saw), -40.25)


def test_a_report_covers_the_time_since_the_last(tmp_path: Path) -> None:
    meter, clock = Meter(), StreamClock(RATE_HZ)
    outbox = Outbox(tmp_path, OutboxOptions(), lambda _: None)
    verdicts = {"taken": 2, "void": 0, "unknown": 1, "lost": 0}

    def report() -> dict[str, object]:
        made = meter.report("canopy-7", clock, (3, 1), outbox, verdicts, directory=tmp_path)
        validator("health").validate(msgspec.json.decode(msgspec.json.encode(made)))
        return msgspec.structs.asdict(made)

    silent = report()
    assert (silent["level_dbfs"], silent["real_time_factor"], silent["top_scores"]) == (
        None,
        None,
        {},
    )

    meter.use_labels(["background", "chainsaw"])
    meter.heard(window(4, 0.2), 0.1)
    meter.heard(window(5, 0.91), 0.4)
    meter.heard(window(6, 0.7), -0.1)
    heard = report()
    assert heard["top_scores"] == {"background": 0.3, "chainsaw": 0.7}
    assert heard["level_dbfs"] == -40.2
    assert heard["latency_s"] == 0.4
    assert heard["overruns"] == 3
    assert heard["feedback"] == verdicts
    assert isinstance(heard["real_time_factor"], float)

    assert report()["latency_s"] is None
    outbox.close()


def test_gaps_that_touch_are_one() -> None:
    meter = Meter()
    for gap in (Gap(0, 10), Gap(10, 5), Gap(15, 1), Gap(100, 1)):
        meter.gap(gap)
    assert meter.gaps == 2


def test_the_live_line_shows_level_scores_and_speed() -> None:
    meter = Meter()
    assert "waiting" in meter.live_line(RATE_HZ)
    meter.use_labels(["background", "chainsaw"])
    meter.heard(window(4, 0.91), 0.1)
    meter.heard(window(5, 0.91), 0.1)
    line = meter.live_line(RATE_HZ)
    assert line.startswith(" -40.2 dBFS  chainsaw 0.91  background 0.09")
    assert line.endswith("x real time")


def test_the_board_may_have_no_thermometer(tmp_path: Path) -> None:
    zone = tmp_path / "temp"
    assert temperature_c(zone) is None
    zone.write_text("48312\n")
    assert temperature_c(zone) == 48.312
    zone.write_text("no\n")
    assert temperature_c(zone) is None


def test_the_disk_is_measured_before_the_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = disk_free_bytes(tmp_path / "not/yet/there")
    assert free == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)

    def fail(_: Path) -> None:
        raise OSError

    monkeypatch.setattr(health.shutil, "disk_usage", fail)  # type: ignore[attr-defined]
    assert disk_free_bytes(tmp_path) is None
