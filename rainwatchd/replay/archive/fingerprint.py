"""What results depend on beside the sound: a folder holds those of one fingerprint alone."""

from __future__ import annotations

import contextlib
import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from rainwatchd import __version__
from rainwatchd.config.options import Config
from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.model_file import ModelFile
from rainwatchd.replay.replay import replay_id

FILE = "archive.json"


class Fingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """Lies in the folder as ``archive.json``; exports take from it what they need."""

    format: Literal[1] = 1
    version: str
    """Of the program."""
    model: str
    model_digest: str
    labels: list[str]
    sample_rate_hz: int
    fmin_hz: float
    fmax_hz: float
    window_s: float
    step_s: float | None
    channel: str | int | None
    decision: dict[str, dict[str, Any]]
    utc_offset_s: float | None = None
    """Of recordings that tell a time without one; the first archives don't tell it."""
    scores: bool
    """Whether the parts hold every window's scores."""
    device_id: str
    """Event ids depend on it."""
    lat: float | None
    lon: float | None

    @property
    def digest(self) -> str:
        """Name all of it in 16 hexadecimal digits, but where: no result depends on that."""
        anywhere = msgspec.structs.replace(self, lat=None, lon=None)
        return hashlib.blake2b(msgspec.json.encode(anywhere), digest_size=8).hexdigest()


def fingerprint(
    config: Config, model: ModelFile, *, scores: bool, utc_offset: timedelta | None
) -> Fingerprint:
    """Say what the results of this model and configuration depend on."""
    spec = model.spec
    rules = config.rules(spec)
    return Fingerprint(
        version=__version__,
        model=model.name,
        model_digest=model.digest,
        labels=list(spec.labels),
        sample_rate_hz=spec.sample_rate_hz,
        fmin_hz=spec.fmin_hz,
        fmax_hz=spec.fmax_hz,
        window_s=spec.window_s,
        step_s=config.step_s,
        channel=config.audio.channel,
        decision={label: msgspec.to_builtins(rule) for label, rule in rules.items()},
        utc_offset_s=None if utc_offset is None else utc_offset.total_seconds(),
        scores=scores,
        device_id=replay_id(config),
        lat=config.lat,
        lon=config.lon,
    )


def claim(folder: Path, ours: Fingerprint) -> None:
    """Make the folder ours, or find that it is; raise `RainwatchError` if it is another's.

    Of two runs that begin at once, one finds the other's mark. Where the recorders stand may be
    told later: then nothing is heard again.
    """
    draft = folder / f".{FILE}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(msgspec.json.format(msgspec.json.encode(ours), indent=2) + b"\n")
            with contextlib.suppress(FileExistsError):
                os.link(draft, folder / FILE)
            _compare(folder, ours, read(folder))
            draft.replace(folder / FILE)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise RainwatchError(f"--out {folder}: {error.strerror}") from error


def _compare(folder: Path, ours: Fingerprint, theirs: Fingerprint) -> None:
    for name in ours.__struct_fields__:
        now, then = getattr(ours, name), getattr(theirs, name)
        if now != then and name not in {"lat", "lon"}:
            raise RainwatchError(
                f"--out {folder}: holds results of another {name}: {_short(then)}, now "
                f"{_short(now)}; results of two kinds don't mix: name another folder"
            )


def read(folder: Path) -> Fingerprint:
    """Read a folder's mark; raise `RainwatchError` if it is no archive."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Fingerprint)
    except FileNotFoundError as error:
        raise RainwatchError(
            f"{folder}: no archive; `rainwatchd --file PATH --out {folder}` makes one"
        ) from error
    except OSError as error:
        raise RainwatchError(f"{folder}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise RainwatchError(f"{folder / FILE}: damaged: {error}") from error


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
