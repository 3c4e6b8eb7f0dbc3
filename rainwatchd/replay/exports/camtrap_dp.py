"""A Camtrap DP data package: deployments, media, observations (version 1.0.2 of the standard).

A recorder is a deployment, a recording its medium, a detection an observation of that medium: one
recording may have many, each with its own start and end. Camtrap DP knows no class for the sounds
of people: a saw is ``human``, an engine ``vehicle``, anything else ``unknown``; the class itself is
the observation's tag. Recordings whose time is not known can't be told in it and are left out;
``README.txt`` says how many.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rainwatchd.errors import RainwatchError
from rainwatchd.replay.exports.reading import Archive, Record, read_archive
from rainwatchd.replay.exports.tables import utc, write_rows

_PROFILE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"
_TABLE_SCHEMA = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/{}-table-schema.json"

_TYPES = {"chainsaw": "human", "engine": "vehicle"}

_MEDIA_TYPES = {
    "wav": "audio/wav",
    "wave": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "oga": "audio/ogg",
    "opus": "audio/ogg",
    "mp3": "audio/mpeg",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
}

# A reader wants all columns of the standard, in its order.
DEPLOYMENTS = (
    "deploymentID locationID locationName latitude longitude coordinateUncertainty "
    "deploymentStart deploymentEnd setupBy cameraID cameraModel cameraDelay cameraHeight "
    "cameraDepth cameraTilt cameraHeading detectionDistance timestampIssues baitUse featureType "
    "habitat deploymentGroups deploymentTags deploymentComments"
)

MEDIA = (
    "mediaID deploymentID captureMethod timestamp filePath filePublic fileName fileMediatype "
    "exifData favorite mediaComments"
)

OBSERVATIONS = (
    "observationID deploymentID mediaID eventID eventStart eventEnd observationLevel "
    "observationType cameraSetupType scientificName count lifeStage sex behavior individualID "
    "individualPositionRadius individualPositionAngle individualSpeed bboxX bboxY bboxWidth "
    "bboxHeight classificationMethod classifiedBy classificationTimestamp "
    "classificationProbability observationTags observationComments"
)

_Row = Mapping[str, object]


def write(folder: Path, to: Path) -> None:
    """Write ``datapackage.json`` and its three tables."""
    archive = read_archive(folder)
    if archive.mark.lat is None or archive.mark.lon is None:
        raise RainwatchError(
            "camtrap-dp needs to know where the recorders stand: run the command that heard the "
            "archive once more with --lat and --lon; it hears nothing twice"
        )
    dated = [record for record in archive.records if record.start is not None]
    media = list(zip(_marks(dated), dated, strict=True))
    above = _common_folder(dated)
    _write_table(to / "deployments.csv", DEPLOYMENTS, _deployments(dated, archive))
    _write_table(to / "media.csv", MEDIA, _media(media, above))
    _write_table(to / "observations.csv", OBSERVATIONS, _observations(media, archive))
    (to / "datapackage.json").write_text(json.dumps(_package(archive, dated), indent=2) + "\n")
    (to / "README.txt").write_text(
        f"{len(dated)} of {len(archive.records)} recordings; the time of the others is not known.\n"
        f"Paths in media.csv begin in {above or 'the folder where they were heard'}\n",
        "utf-8",
    )


def _write_table(path: Path, columns: str, rows: Iterable[_Row]) -> None:
    names = columns.split()
    write_rows(path, names, ([row.get(name, "") for name in names] for row in rows))


def _deployments(records: Sequence[Record], archive: Archive) -> Iterator[_Row]:
    by_device: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_device[record.device].append(record)
    for device, made in sorted(by_device.items()):
        yield {
            "deploymentID": device,
            "locationID": device,
            "latitude": archive.mark.lat,
            "longitude": archive.mark.lon,
            "deploymentStart": _seconds(min(map(_start, made))),
            "deploymentEnd": _seconds(max(map(_end, made))),
            "cameraID": device,
            "deploymentComments": "an acoustic recorder",
        }


def _media(media: Iterable[tuple[str, Record]], above: str) -> Iterator[_Row]:
    for mark, record in media:
        suffix = record.name.rpartition(".")[2].lower()
        yield {
            "mediaID": f"{record.path}{mark}",
            "deploymentID": record.device,
            "captureMethod": "timeLapse",
            "timestamp": _seconds(_start(record)),
            "filePath": _file_path(record.path, above),
            "filePublic": "false",
            "fileName": record.name,
            "fileMediatype": _MEDIA_TYPES.get(suffix, f"audio/{suffix}"),
        }


def _observations(media: Iterable[tuple[str, Record]], archive: Archive) -> Iterator[_Row]:
    for mark, record in media:
        for sound in record.sounds:
            yield {
                "observationID": f"{sound.event_id}{mark}",
                "deploymentID": record.device,
                "mediaID": f"{record.path}{mark}",
                "eventID": f"{sound.event_id}{mark}",
                "eventStart": _seconds(_start(record) + timedelta(seconds=sound.start_s)),
                "eventEnd": _seconds(_start(record) + timedelta(seconds=sound.end_s)),
                "observationLevel": "media",
                "observationType": _TYPES.get(sound.label, "unknown"),
                "classificationMethod": "machine",
                "classifiedBy": f"{archive.mark.model}, rainwatchd {archive.mark.version}",
                "classificationProbability": f"{sound.peak_score:.4f}",
                "observationTags": f"sound:{sound.label}",
                "observationComments": (
                    f"{sound.start_s:.3f} s to {sound.end_s:.3f} s of the recording"
                ),
            }


def _marks(records: Sequence[Record]) -> Iterator[str]:
    """Tell apart by ``#2`` what has the same path but for letters that no text can show."""
    seen: Counter[str] = Counter()
    for record in records:
        seen[record.path] += 1
        yield "" if seen[record.path] == 1 else f"#{seen[record.path]}"


def _common_folder(records: Sequence[Record]) -> str:
    folders = [record.folder or "/" for record in records if record.path.startswith("/")]
    return os.path.commonpath(folders) if folders else ""


def _file_path(path: str, above: str) -> str:
    """Write a path as the standard allows: no leading dot, slash or tilde, no two dots in a row."""
    if path.startswith("/"):
        path = path.removeprefix(above).lstrip("/")
    path = path.replace("..", "%2E%2E")
    return f"%{ord(path[0]):X}{path[1:]}" if path[0] in ".~" else path


def _package(archive: Archive, records: Sequence[Record]) -> dict[str, object]:
    now = datetime.now(UTC)
    mark = archive.mark
    where = [mark.lon, mark.lat]
    return {
        "name": "rainwatch-archive",
        "profile": _PROFILE,
        "created": _seconds(now),
        "title": f"Sounds heard by {mark.model}",
        "contributors": [{"title": mark.device_id, "role": "contributor"}],
        "licenses": [{"name": "other-closed", "scope": scope} for scope in ("data", "media")],
        "project": {
            "title": "Acoustic monitoring",
            "samplingDesign": "targeted",
            "captureMethod": ["timeLapse"],
            "individualAnimals": False,
            "observationLevel": ["media"],
        },
        "spatial": {"type": "Point", "coordinates": where},
        "temporal": {
            "start": utc(min(map(_start, records), default=now))[:10],
            "end": utc(max(map(_end, records), default=now))[:10],
        },
        "taxonomic": [],
        "resources": [
            {
                "name": name,
                "path": f"{name}.csv",
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": _TABLE_SCHEMA.format(name),
            }
            for name in ("deployments", "media", "observations")
        ],
    }


def _start(record: Record) -> datetime:
    assert record.start is not None, "the undated are left out"
    return record.start


def _end(record: Record) -> datetime:
    return _start(record) + timedelta(seconds=record.heard_s)


def _seconds(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
