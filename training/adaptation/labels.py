"""What a site has labelled: clips with verdicts as the device and `calibrate` leave them, or plain
class folders."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from rainwatchd.audio.formats import SUFFIXES
from rainwatchd.clips.labels import Label, decode
from rainwatchd.errors import RainwatchError
from training.adaptation.occasions import Moment, moment_of, moment_of_file, numbered

BACKGROUND = "background"
OTHER = "other"
"""A folder for what must not raise an alert, whatever it is."""


@dataclass(frozen=True)
class Labelled:
    """One recording and what it is."""

    path: Path
    label: str
    """One of the model's labels; background: it must raise no alert."""
    sound_s: tuple[float, float] | None
    """Where in it, in seconds; None: all of it."""
    moment: Moment | None = None
    """When it was heard; None where nothing tells it."""
    occasion: str = ""
    """What is of one occasion is never learned from while a part of it is held out."""


@dataclass
class SiteLabels:
    """All labels below a folder, and what is wrong with others, one line each."""

    recordings: list[Labelled] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    unjudged: int = 0
    unsure: int = 0


def read_labels(folder: Path, labels: Sequence[str]) -> SiteLabels:
    """Read the labels below `folder` for a model with these `labels`.

    Raises `RainwatchError` where there are none at all.
    """
    if not folder.is_dir():
        raise RainwatchError(f"{folder}: no such folder; give the one with the judged clips")
    found = SiteLabels()
    described = set()
    for path in sorted(folder.rglob("*.json")):
        sound = _sound_of(path)
        if sound is None and not _is_label(path):
            continue
        described.add(path.with_suffix(""))
        _judge(path, sound, labels, found)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.with_suffix("") not in described:
            _sort(path, folder, labels, found)
    if not found.recordings:
        why = found.complaints[0] if found.complaints else f"{found.unjudged} clips, none judged"
        raise RainwatchError(f"{folder}: no labels to learn from: {why}")
    found.recordings = _by_occasion(found.recordings, folder)
    return found


def _by_occasion(recordings: Sequence[Labelled], folder: Path) -> list[Labelled]:
    """Name each recording's occasion: by its time, or by a folder within its class folder.

    Without either it is one of its own. A copy is of the occasion of what it was copied from.
    """
    timed = [recording for recording in recordings if recording.moment is not None]
    moments = [recording.moment for recording in timed if recording.moment is not None]
    numbers = dict(zip((one.path for one in timed), numbered(moments), strict=True))
    first: dict[bytes, str] = {}
    named = []
    for recording in recordings:
        path = recording.path
        own = path.parent if len(path.relative_to(folder).parts) > 2 else path
        occasion = str(numbers.get(path, own))
        with suppress(OSError):
            content = hashlib.sha256(path.read_bytes()).digest()
            occasion = first.setdefault(content, occasion)
        named.append(replace(recording, occasion=occasion))
    return named


def _sound_of(path: Path) -> Path | None:
    return next(
        (sound for suffix in sorted(SUFFIXES) if (sound := path.with_suffix(suffix)).exists()), None
    )


def _is_label(path: Path) -> bool:
    try:
        decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return True


def _judge(path: Path, sound: Path | None, labels: Sequence[str], found: SiteLabels) -> None:
    try:
        label = decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        found.complaints.append(f"{path}: no label: {error}")
        return
    verdict = label.last
    if sound is None:
        found.complaints.append(f"{path}: its clip is gone")
    elif verdict is None:
        found.unjudged += 1
    elif verdict.verdict == "unsure":
        found.unsure += 1
    elif _undecided(label):
        found.complaints.append(f"{path}: two verdicts of the same moment contradict each other")
    else:
        if label.contradicted:
            found.complaints.append(f"{path}: people disagree; the last, {verdict.by}'s, counts")
        named = verdict.label or (label.label if verdict.verdict == "true" else BACKGROUND)
        if verdict.verdict == "false" and named == label.label:
            found.complaints.append(f"{path}: judged not to be {named}, but {named}; left out")
        elif named in labels:
            found.recordings.append(Labelled(sound, named, label.sound_s, moment_of(label)))
        elif verdict.verdict == "false":
            # Whatever it is called, it is not what the alert said.
            found.recordings.append(Labelled(sound, BACKGROUND, label.sound_s, moment_of(label)))
        else:
            found.complaints.append(f"{path}: the model has no class {named!r}; left out")


def _undecided(label: Label) -> bool:
    last = label.last
    return last is not None and any(
        other.at == last.at and {other.verdict, last.verdict} == {"true", "false"}
        for other in label.verdicts
    )


def _sort(path: Path, folder: Path, labels: Sequence[str], found: SiteLabels) -> None:
    """Label a recording by its class folder."""
    parts = path.relative_to(folder).parts
    name = parts[0] if len(parts) > 1 else ""
    if name in labels or name == OTHER:
        label = BACKGROUND if name == OTHER else name
        found.recordings.append(Labelled(path, label, None, moment_of_file(path, name)))
    elif name:
        line = (
            f"{folder / name}: the model has no class {name!r}; put what must raise no alert into "
            f"{OTHER}/"
        )
        if line not in found.complaints:
            found.complaints.append(line)
    else:
        found.unjudged += 1
