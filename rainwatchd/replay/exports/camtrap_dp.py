"""A Camtrap DP data package: deployments, media, observations (version 1.0.2 of the standard).

A recorder is a deployment, a recording its medium, a detection an observation of its own event.
Camtrap DP knows no class for the sounds of people: a saw is ``human``, an engine ``vehicle``,
anything else ``unknown``; the class itself is the observation's tag. Recordings whose time is not
known can't be told in it and are left out; ``README.txt`` says how many.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
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

DEPLOYMENTS = (
    "deploymentID",
    "locationID",
    "latitude",
    "longitude",
    "deploymentStart",
    "deploymentEnd",
    "cameraID",
    "deploymentComments",
)

MEDIA = (
    "mediaID",
    "deploymentID",
    "captureMethod",
    "timestamp",
    "filePath",
    "filePublic",
    "fileName",
    "fileMediatype",
)

OBSERVATIONS = (
    "observationID",
    "deploymentID",
    "mediaID",
    "eventID",
    "eventStart",
    "eventEnd",
    "observationLevel",
    "observationType",
    "classificationMethod",
    "classifiedBy",
    "classificationTimestamp",
    "classificationProbability",
    "observationTags",
    "observationComments",
)


def write(folder: Path, to: Path) -> None:
    """Write ``datapackage.json`` and its three tables."""
    archive = read_archive(folder)
    if archive.mark.lat is None or archive.mark.lon is None:
        raise RainwatchError(
            "camtrap-dp needs to know where the recorders stand: run the command that heard the "
            "archive once more with --lat and --lon; it hears nothing twice"
        )
    dated = [record for record in archive.records if record.start is not None]
    by_device: dict[str, list[Record]] = defaultdict(list)
    for record in dated:
        by_device[record.device].append(record)
    write_rows(to / "deployments.csv", DEPLOYMENTS, _deployments(by_device, archive))
    write_rows(to / "media.csv", MEDIA, _media(dated))
    write_rows(to / "observations.csv", OBSERVATIONS, _observations(dated, archive))
    (to / "datapackage.json").write_text(json.dumps(_package(archive, dated), indent=2) + "\n")
    (to / "README.txt").write_text(
        f"{len(dated)} of {len(archive.records)} recordings; the time of the others is not known.\n"
    )


def _deployments(
    by_device: dict[str, list[Record]], archive: Archive
) -> Iterator[Sequence[object]]:
    for device, records in sorted(by_device.items()):
        mark = archive.mark
        yield (
            device,
            device,
            mark.lat,
            mark.lon,
            _seconds(min(map(_start, records))),
            _seconds(max(map(_end, records))),
            device,
            "an acoustic recorder",
        )


def _media(records: Sequence[Record]) -> Iterator[Sequence[object]]:
    for record in records:
        suffix = record.name.rpartition(".")[2].lower()
        yield (
            record.path,
            record.device,
            "timeLapse",
            _seconds(_start(record)),
            record.path,
            "false",
            record.name,
            _MEDIA_TYPES.get(suffix, f"audio/{suffix}"),
        )


def _observations(records: Sequence[Record], archive: Archive) -> Iterator[Sequence[object]]:
    for record in records:
        for sound in record.sounds:
            start = _start(record) + timedelta(seconds=sound.start_s)
            yield (
                sound.event_id,
                record.device,
                record.path,
                sound.event_id,
                _seconds(start),
                _seconds(_start(record) + timedelta(seconds=sound.end_s)),
                "event",
                _TYPES.get(sound.label, "unknown"),
                "machine",
                f"{archive.mark.model}, rainwatchd {archive.mark.version}",
                "",
                f"{sound.peak_score:.4f}",
                f"sound:{sound.label}",
                f"{sound.start_s:.3f} s to {sound.end_s:.3f} s of the recording",
            )


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
            "observationLevel": ["event"],
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
