"""When a recording began, by what the common recorders write into it and into its name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rainwatchd.audio.files.times import recorded_at

SIX = datetime(2024, 5, 12, 6, 0, 0, tzinfo=UTC)
COMMENT = "Recorded at {} by AudioMoth 24E144085F256E9C at medium gain while battery was 4.2V."


def by_name(name: str, utc_offset: timedelta | None = None) -> datetime | None:
    start = recorded_at(Path("2023-01-01_000000") / name, {}, utc_offset)
    return None if start is None else start.utc


@pytest.mark.parametrize(
    "name",
    [
        "20240512_060000.WAV",
        "20240512_060000T.WAV",
        "20240512_060000_SYNC.WAV",
        "24E144036037D2A8_20240512_060000.flac",
        "24E144036037D2A8_20240512_060000T.WAV",
        "66405AE0.WAV",
        "SMU01234_20240512_060000.wav",
        "S4A-ridge_0+1_20240512_060000_000.wav",
        "RIDGE_20240512$060000.wac",
        "20240512T060000Z_REC.flac",
        "20240512T160000+1000_REC.flac",
        "20240512T160000+1000_REC [-27.3883 152.8783].flac",
        "20240512T020000-0400_-3.10-60.02.wav",
        "20240512_020000-0400.wav",
        "S20240512T160000.000+1000_E20240512T170000.000+1000_-27.38830+152.87830.wav",
        "2024-05-12T06:00:00+00:00.wav",
        "2024-05-12T11:30:00+05:30.wav",
        "2024-05-12T06-00-00Z.wav",
        "2024-05-12 06.00.00.wav",
        "canopy-7_2024-05-12_06-00-00.mp3",
    ],
)
def test_the_names_of_common_recorders_tell_the_time(name: str) -> None:
    assert by_name(name) == SIX


@pytest.mark.parametrize(
    "name",
    [
        "saw.wav",
        "20240512.wav",
        "12345678.wav",
        "20241340_060000.WAV",
        "20240512_250000.WAV",
        "99991231_235959.WAV",
        "00010101_000000.wav",
        "120240512_0600001.wav",
        "esc10_008_1-64398-A.ogg",
        "DEADBEEF.WAV",
    ],
)
def test_other_names_tell_none(name: str) -> None:
    assert by_name(name) is None
    assert by_name(name, timedelta(hours=10)) is None


def test_an_offset_is_for_names_without_one() -> None:
    offset = timedelta(hours=-4)
    for name in ("20240512_020000.WAV", "RIDGE_20240512_020000.wav", "2024-05-12T02:00:00.wav"):
        assert by_name(name, offset) == SIX
    for name in ("20240512T160000+1000_REC.flac", "2024-05-12T06:00:00Z.wav", "66405AE0.WAV"):
        assert by_name(name, offset) == SIX


def test_what_was_taken_for_utc_is_known() -> None:
    def assumed(name: str, utc_offset: timedelta | None = None) -> bool:
        start = recorded_at(Path(name), {}, utc_offset)
        assert start is not None
        return start.assumed

    assert assumed("RIDGE_20240512_060000.wav")
    assert not assumed("RIDGE_20240512_060000.wav", timedelta(0))
    assert not assumed("20240512_060000.WAV"), "AudioMoths keep UTC"
    assert not assumed("20240512T060000+1000.wav")


@pytest.mark.parametrize(
    ("told", "start"),
    [
        ("06:00:00 12/05/2024", SIX),
        ("06:00:00 12/05/2024 (UTC)", SIX),
        ("16:00:00 12/05/2024 (UTC+10)", SIX),
        ("16:00:00.250 12/05/2024 (UTC+10)", SIX + timedelta(seconds=0.25)),
        ("11:30:00 12/05/2024 (UTC+5:30)", SIX),
        ("02:30:00 12/05/2024 (UTC-03:30)", SIX),
        ("22:00:00 11/05/2024 (UTC-8)", SIX),
    ],
)
def test_an_audiomoth_says_it_in_its_comment(told: str, start: datetime) -> None:
    notes = {b"ICMT": COMMENT.format(told).encode().ljust(384, b"\0")}
    # Neither its name nor what is said of names counts then.
    found = recorded_at(Path("20200101_000000.WAV"), notes, timedelta(hours=3))
    assert found is not None
    assert (found.utc, found.assumed) == (start, False)


@pytest.mark.parametrize(
    ("told", "offset", "start"),
    [
        ("2024-05-12T02:00:00-04:00", None, SIX),
        ("2024-05-12T06:00:00Z", 9, SIX),
        ("2024-05-12 16:00:00", 10, SIX),
        ("2024-05-12T06:00:00.500", None, SIX + timedelta(seconds=0.5)),
    ],
)
def test_guano_comes_first(told: str, offset: int | None, start: datetime) -> None:
    guano = f"GUANO|Version: 1.0\nMake: Somebody\nTimestamp: {told}\nLoc Position: -3.1 -60.0\n"
    notes = {b"guan": guano.encode(), b"ICMT": COMMENT.format("01:00:00 01/01/2020 (UTC)").encode()}
    utc_offset = None if offset is None else timedelta(hours=offset)
    found = recorded_at(Path("20200101_000000.WAV"), notes, utc_offset)
    assert found is not None
    assert found.utc == start


def test_notes_that_tell_no_time_leave_it_to_the_name() -> None:
    notes = {b"guan": b"GUANO|Version: 1.0\nTimestamp: yesterday\n", b"ICMT": b"a fine morning"}
    found = recorded_at(Path("20240512_060000.WAV"), notes)
    assert found is not None
    assert found.utc == SIX
