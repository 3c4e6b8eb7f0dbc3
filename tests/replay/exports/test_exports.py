"""What an archive is exported to, read back by pandas, pyarrow and the formats' own rules."""

from __future__ import annotations

import csv
import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow.dataset as ds
import pytest

from rainwatchd.cli import main
from rainwatchd.replay.exports.clock_picture import Listened, clock_picture
from tests.replay.archive.conftest import make_night
from tests.replay.exports.conftest import export, heard


def test_csv_has_every_detection_and_every_recording(archive: Path) -> None:
    folder = export(archive, "csv")
    with (folder / "detections.csv").open(newline="") as file:
        detections = list(csv.DictReader(file))
    with (folder / "files.csv").open(newline="") as file:
        files = list(csv.DictReader(file))
    assert [row["class"] for row in detections] == ["chainsaw", "engine", "engine", "chainsaw"]
    assert [row["start"] == "" for row in detections] == [False, False, False, True]
    assert len(files) == 5
    assert [row["failure"] for row in files if row["failure"]] == [
        f"{archive.parent}/night/empty.wav: the file is empty"
    ]
    assert [row["notes"] for row in files if row["notes"]] == [
        "its header tells of 0.001 s; all that the file holds was heard",
        "nothing but zeros from 10.000 s to 12.000 s; was the recorder muted, or without power?",
    ]


def test_raven_gets_its_columns_and_times_through_all_sounds(archive: Path) -> None:
    folder = export(archive, "raven")
    table = pd.read_csv(folder / "detections.selections.txt", sep="\t")
    sounds = (folder / "sounds.txt").read_text().splitlines()
    assert len(sounds) == 4
    assert list(table["Selection"]) == [1, 2, 3, 4]
    assert set(table["Begin Path"]) == set(sounds)
    assert (table["End Time (s)"] > table["Begin Time (s)"]).all()
    # 21 s of the first recording lie before the second.
    assert table["Begin Time (s)"][1] == pytest.approx(21.0 + table["File Offset (s)"][1])


def test_audacity_gets_a_track_a_recording(archive: Path) -> None:
    tracks = sorted(export(archive, "audacity").rglob("*.labels.txt"))
    assert len(tracks) == 4
    for track in tracks:
        assert re.fullmatch(r"(\d+\.\d{6}\t\d+\.\d{6}\t\w+\n)+", track.read_text())


def test_a_track_stays_in_its_folder_whatever_the_path(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_night(tmp_path / "cards")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    out = heard(Path("../cards/b"), Path("out"), tiny_model)
    tracks = export(out, "audacity").rglob("*.labels.txt")
    assert sorted(str(track.relative_to(out / "export/audacity")) for track in tracks) == [
        "cards/b/20240512_210000.flac.labels.txt",
        "cards/b/unknown.wav.labels.txt",
    ]


def test_kaleidoscope_gets_folder_file_offset_and_duration(archive: Path) -> None:
    table = pd.read_csv(export(archive, "kaleidoscope") / "cluster.csv")
    assert list(table["FOLDER"]) == ["a", "a", "b", "b"]
    assert (table["DURATION"] > 0).all()
    assert list(table["TOP1MATCH*"]) == ["chainsaw", "engine", "engine", "chainsaw"]
    assert list(table["TIME"][:3]) == ["20:00:00", "06:00:00", "21:00:00"], "the recording's"


def test_camtrap_dp_tells_deployments_media_and_observations(archive: Path) -> None:
    folder = export(archive, "camtrap-dp")
    package = json.loads((folder / "datapackage.json").read_text())
    tables = {
        resource["name"]: pd.read_csv(folder / resource["path"])
        for resource in package["resources"]
    }
    deployments, media, observations = (
        tables[name] for name in ("deployments", "media", "observations")
    )
    assert package["spatial"]["coordinates"] == [110.25, 1.5]
    assert set(media["deploymentID"]) == set(deployments["deploymentID"]) == {"ridge", "b"}
    assert set(observations["mediaID"]) <= set(media["mediaID"])
    assert list(observations["observationType"]) == ["human", "vehicle", "vehicle"]
    assert pd.to_datetime(observations["eventStart"]).notna().all()
    assert "3 of 5 recordings" in (folder / "README.txt").read_text()


def test_parquet_is_partitioned_by_device_and_day(archive: Path) -> None:
    folder = export(archive, "parquet")
    found = ds.dataset(folder / "detections", partitioning="hive").to_table().to_pylist()
    assert sorted((row["device"], row["day"], row["class"]) for row in found) == [
        ("b", "2024-05-12", "engine"),
        ("b", "unknown", "chainsaw"),
        ("ridge", "2024-05-12", "chainsaw"),
        ("ridge", "2024-05-13", "engine"),
    ]
    assert ds.dataset(folder / "files.parquet").count_rows() == 5
    stale = folder / "detections" / "device=gone" / "day=2024-05-11" / "part-0.parquet"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of a recording that has changed")
    export(archive, "parquet")
    again = ds.dataset(folder / "detections", partitioning="hive")
    assert again.count_rows() == 4, "exported twice, nothing is there twice"


def test_the_page_needs_nothing_but_itself(archive: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["export", str(archive), "--report", str(page)]) == 0
    text = page.read_text()
    assert text.count("<audio controls src='data:audio/ogg;base64,") == 4
    assert text.count("src='data:image/png;base64,") == 4
    assert text.count("<svg") == 2, "a picture a class"
    assert "no sound:" not in text
    assert "empty.wav: the file is empty" in text
    assert "unknown.wav: nothing but zeros from 10.000 s" in text
    assert not re.search(r"(src|href)='(?!data:)", text)


def test_a_season_is_a_column_a_day() -> None:
    found = [("chainsaw", datetime(2024, 5, 1 + day, 6, day, tzinfo=UTC)) for day in range(30)]
    drawn = clock_picture([*found, ("chainsaw", None)], Listened({}), ["chainsaw", "engine"], "UTC")
    assert drawn.count("<title>") == 30
    assert "1 detections without a time are not shown" in drawn


def test_an_hour_that_nobody_listened_to_is_white() -> None:
    start = datetime(2024, 5, 1, 22, 30, tzinfo=UTC)
    listened = Listened.to(
        [
            (start, start + timedelta(hours=3)),
            (start + timedelta(hours=20), start + timedelta(hours=21)),
        ]
    )
    assert list(listened.runs(date(2024, 5, 1))) == [(22, 2)]
    assert list(listened.runs(date(2024, 5, 2))) == [(0, 2), (18, 2)]
    drawn = clock_picture([("chainsaw", start)], listened, ["chainsaw"], "UTC")
    assert drawn.count("fill='#eef0f2'") == 3


def test_the_page_tells_the_time_of_the_recorders_clocks(tiny_model: Path, tmp_path: Path) -> None:
    make_night(tmp_path / "night")
    out = heard(tmp_path / "night", tmp_path / "out", tiny_model, utc_offset=timedelta(hours=8))
    assert main(["export", str(out), "--report", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "from 12 May 2024 to 13 May 2024" in text
    assert "<title>2024-05-12 20:00 UTC+08:00: 1</title>" in text
    assert "2024-05-12 20:00:00 UTC+08:00" in text


def test_a_recording_that_is_gone_is_shown_without_sound(tiny_model: Path, tmp_path: Path) -> None:
    make_night(tmp_path / "night")
    out = heard(tmp_path / "night" / "a", tmp_path / "out", tiny_model)
    (tmp_path / "night" / "a" / "ridge_20240512_200000.wav").unlink()
    assert main(["export", str(out), "--report", str(tmp_path / "page.html")]) == 0
    text = (tmp_path / "page.html").read_text()
    assert "no sound: the recording is not where it was" in text
    assert text.count("<audio") == 1


def test_it_says_where_it_wrote(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_night(tmp_path / "night")
    out, page = heard(tmp_path / "night" / "a", tmp_path / "out", tiny_model), tmp_path / "x.html"
    capsys.readouterr()
    assert main(["export", str(out), "--to", "csv", "--report", str(page)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [f"csv: written into {out / 'export' / 'csv'}", f"report: {page}"]


def test_what_is_no_archive_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--to", "csv"]) == 1
    assert "no archive; `rainwatchd --file PATH --out" in capsys.readouterr().err
