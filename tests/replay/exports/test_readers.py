"""Exports opened by programs that are not ours, each by the rules of its own format."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crowsetta
import duckdb
import frictionless
import jsonschema
import pandas as pd
import pytest
import referencing
from referencing.jsonschema import DRAFT4

from rainwatchd.cli import main
from rainwatchd.replay.exports.reading import Archive, Record, Sound, read_archive
from tests.replay.exports.conftest import ODD_NAMES, export

RULES = Path(__file__).parent / "camtrap_dp"
TABLES = ("deployments", "media", "observations")
GEOJSON = Path(frictionless.__file__).parent / "assets/profiles/geojson.json"


@pytest.fixture(autouse=True)
def field_size_limit() -> Iterator[None]:
    """frictionless raises csv's limit for the whole process; other tests count on it."""
    before = csv.field_size_limit()
    yield
    csv.field_size_limit(before)


@pytest.fixture(params=["archive", "odd_archive"])
def heard(request: pytest.FixtureRequest) -> Path:
    """An archive in which there is something."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture(params=["silent_archive", "bare_archive"])
def empty(request: pytest.FixtureRequest) -> Path:
    """An archive in which there is nothing."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


@pytest.fixture(params=["archive", "odd_archive", "silent_archive", "bare_archive"])
def whichever(request: pytest.FixtureRequest) -> Path:
    """An archive, perhaps empty."""
    folder: Path = request.getfixturevalue(request.param)
    return folder


def sounds(archive: Archive) -> list[tuple[Record, Sound]]:
    return [(record, sound) for record in archive.records for sound in record.sounds]


def test_crowsetta_reads_the_raven_table(heard: Path) -> None:
    table = export(heard, "raven") / "detections.selections.txt"
    boxes = crowsetta.formats.bbox.Raven.from_file(table, annot_col="Class").to_bbox()
    archive = read_archive(heard)
    assert [box.label for box in boxes] == [sound.label for _, sound in sounds(archive)]
    for box, (_, sound) in zip(boxes, sounds(archive), strict=True):
        assert box.offset - box.onset == pytest.approx(sound.end_s - sound.start_s, abs=2e-3)
        assert (box.low_freq, box.high_freq) == (archive.mark.fmin_hz, archive.mark.fmax_hz)


def test_crowsetta_reads_every_label_track(heard: Path) -> None:
    tracks = list(export(heard, "audacity").rglob("*.labels.txt"))
    read = [crowsetta.formats.seq.AudSeq.from_file(track) for track in tracks]
    found = sorted(
        (start_s, end_s, label)
        for track in read
        for start_s, end_s, label in zip(
            track.start_times, track.end_times, track.labels, strict=True
        )
    )
    said = sorted(
        (sound.start_s, sound.end_s, sound.label) for _, sound in sounds(read_archive(heard))
    )
    assert found == said
    assert len(tracks) == len([record for record in read_archive(heard).records if record.sounds])


def test_frictionless_finds_camtrap_dp_valid(whichever: Path) -> None:
    to = export(whichever, "camtrap-dp")
    package = json.loads((to / "datapackage.json").read_text())
    check_profile(package)
    report = validated(package, to)
    assert report.valid, report.flatten(["title", "rowNumber", "fieldName", "message"])
    dated = [record for record in read_archive(whichever).records if record.start is not None]
    rows = {task.name: task.stats.get("rows", 0) for task in report.tasks}
    assert rows["media"] == len(dated)
    assert rows["observations"] == sum(len(record.sounds) for record in dated)


def test_frictionless_would_refuse_what_camtrap_dp_forbids(archive: Path, tmp_path: Path) -> None:
    """Without this the test above could hold of anything."""
    to = export(archive, "camtrap-dp")
    package = json.loads((to / "datapackage.json").read_text())
    for name in TABLES:
        (tmp_path / f"{name}.csv").write_bytes((to / f"{name}.csv").read_bytes())
    media = pd.read_csv(tmp_path / "media.csv", dtype=str)
    media.loc[0, "filePath"] = "/cards/a.wav"
    media.loc[1, "deploymentID"] = "elsewhere"
    media.to_csv(tmp_path / "media.csv", index=False)
    errors = {error for (error,) in validated(package, tmp_path).flatten(["type"])}
    assert errors == {"constraint-error", "foreign-key"}
    with pytest.raises(jsonschema.ValidationError):
        check_profile(package | {"project": {"title": "x"}})


def check_profile(package: dict[str, Any]) -> None:
    """Hold the descriptor against the standard's profile; frictionless knows the rules below."""
    geojson = DRAFT4.create_resource(json.loads(GEOJSON.read_text()))
    registry = referencing.Registry().with_resource(
        "http://json.schemastore.org/geojson.json", geojson
    )
    rules = json.loads((RULES / "profile.json").read_text())
    checker = jsonschema.Draft4Validator.FORMAT_CHECKER
    jsonschema.Draft4Validator(rules, registry=registry, format_checker=checker).validate(package)


def validated(package: dict[str, Any], folder: Path) -> frictionless.Report:
    """Validate by the rules in this folder instead of those that the package names by address."""
    resources = [
        resource | {"schema": json.loads((RULES / f"{resource['name']}.json").read_text())}
        for resource in package["resources"]
    ]
    at_home = {key: value for key, value in package.items() if key != "profile"}
    package_at_home = frictionless.Package(at_home | {"resources": resources}, basepath=str(folder))
    report: frictionless.Report = package_at_home.validate()
    return report


def test_duckdb_reads_the_data_set(whichever: Path) -> None:
    to = export(whichever, "parquet")
    found = duckdb.execute(
        f'select path, device, day, class, start_s, "end" from '
        f"read_parquet('{to}/detections/**/*.parquet', hive_partitioning=true) "
        "order by path, start_s"
    ).fetchall()
    said = sounds(read_archive(whichever))
    assert [row[0] for row in found] == [record.path for record, _ in said]
    assert [row[1] for row in found] == [record.device for record, _ in said]
    assert [row[3:5] for row in found] == [(sound.label, sound.start_s) for _, sound in said]
    (files,) = duckdb.execute(f"select count(*) from read_parquet('{to}/files.parquet')").fetchall()
    assert files == (len(read_archive(whichever).records),)


@pytest.mark.parametrize(
    ("form", "table", "columns"),
    [
        ("csv", "detections.csv", ["path"]),
        ("kaleidoscope", "cluster.csv", ["INDIR", "FOLDER", "IN FILE"]),
        ("raven", "detections.selections.txt", ["Begin Path"]),
    ],
)
def test_pandas_reads_every_path(
    form: str, table: str, columns: list[str], whichever: Path
) -> None:
    delimiter = "\t" if table.endswith(".txt") else ","
    rows = pd.read_csv(
        export(whichever, form) / table, sep=delimiter, dtype=str, keep_default_na=False
    )
    paths = ["/".join(row) for row in rows[columns].itertuples(index=False)]
    assert paths == [record.path for record, _ in sounds(read_archive(whichever))]


def test_raven_gets_no_table_that_is_empty_in_its_head(empty: Path) -> None:
    table = export(empty, "raven") / "detections.selections.txt"
    assert list(pd.read_csv(table, sep="\t").columns)[:2] == ["Selection", "View"]


def test_names_that_no_text_can_show_stay_apart(odd_archive: Path) -> None:
    assert len(read_archive(odd_archive).records) == len(ODD_NAMES)
    media = pd.read_csv(export(odd_archive, "camtrap-dp") / "media.csv")
    assert media["mediaID"].is_unique
    assert (media["filePath"].str[0] != "/").all()
    assert not media["filePath"].str.contains("..", regex=False).any()


def test_a_page_of_an_empty_archive_says_so(empty: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["export", str(empty), "--report", str(page)]) == 0
    assert "Nothing" in page.read_text()
