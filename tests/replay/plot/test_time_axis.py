from __future__ import annotations

from datetime import UTC, datetime

from matplotlib.figure import Figure

from rainwatchd.replay.plot.time_axis import draw_time


def labels(duration_s: float, start: datetime | None) -> tuple[list[str], list[str]]:
    """Draw a time axis; return what stands below and what stands above."""
    top, bottom = Figure().subplots(2, 1, sharex=True)
    draw_time(top, bottom, duration_s, start)
    above = [tick.get_text() for axis in top.child_axes for tick in axis.get_xticklabels()]
    return [tick.get_text() for tick in bottom.get_xticklabels()], above


def test_places_are_as_short_as_the_length_allows() -> None:
    assert labels(15.0, None) == (
        ["0:00", "0:02", "0:04", "0:06", "0:08", "0:10", "0:12", "0:14"],
        [],
    )
    assert labels(4000.0, None)[0][-2:] == ["50:00", "1 h 00"]
    assert labels(43200.0, None)[0][:3] == ["0:00", "2 h", "4 h"]


def test_the_time_of_day_stands_at_whole_hours_and_the_place_above() -> None:
    start = datetime(2024, 5, 12, 17, 30, 11, tzinfo=UTC)
    below, above = labels(43200.0, start)
    assert below == ["18:00", "20:00", "22:00", "00:00\n2024-05-13", "02:00", "04:00"]
    assert above[:3] == ["0:00", "2 h", "4 h"]


def test_nothing_at_all_has_an_axis() -> None:
    assert labels(0.0, None) == (["0:00"], [])
