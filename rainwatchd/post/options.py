"""The post's YAML file, read like the daemon's: every mistake is named by file, line and key."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from rainwatchd.alerts.broker.credentials import is_loopback
from rainwatchd.alerts.broker.mqtt import BrokerOptions
from rainwatchd.config.inspection import Inspection, fits, is_section
from rainwatchd.config.lines import Document
from rainwatchd.config.reading import read
from rainwatchd.decision.events import DeviceId
from rainwatchd.errors import ConfigError

DEFAULT_PATH = Path("/etc/rainwatchd/rainwatch-post.yaml")
"""Read when no ``--config`` is given and it exists."""

Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]


class ListenOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the page is served."""

    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    guests: bool = False
    """Let everybody look without a password; verdicts still want one."""
    allow_plaintext_password: bool = False

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        if self.tls_key_file and not self.tls_cert_file:
            raise ValueError("tls_key_file needs tls_cert_file")

    @property
    def tls(self) -> bool:
        """Whether the page is served encrypted."""
        return self.tls_cert_file is not None

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine can come."""
        return is_loopback(self.host)


class MqttOptions(BrokerOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The connection to the broker: the keys of a device's, with a mains supply's impatience."""

    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=3600)] = 30
    backoff_max_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 30.0


class StorageOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What may be kept."""

    max_events: Annotated[int, msgspec.Meta(ge=100, le=100_000_000)] = 2_000_000
    clips_max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 4 << 30
    clips_min_free_bytes: Annotated[int, msgspec.Meta(ge=0)] = 500 << 20


class PictureBounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a map's picture lies, in degrees."""

    south: Latitude
    west: Longitude
    north: Latitude
    east: Longitude

    def __post_init__(self) -> None:
        """Refuse a picture without an area."""
        if self.south >= self.north or self.west >= self.east:
            raise ValueError("south must lie below north, and west below east")


class MapOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the map shows beside devices and alerts."""

    audible_m: Annotated[float, msgspec.Meta(gt=0, le=20_000)] = 500.0
    geojson_file: str | None = None
    picture_file: str | None = None
    picture_bounds: PictureBounds | None = None

    def __post_init__(self) -> None:
        """Refuse half a picture."""
        if (self.picture_file is None) != (self.picture_bounds is None):
            raise ValueError("picture_file and picture_bounds go together")


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a device hangs that doesn't say so itself."""

    lat: Latitude
    lon: Longitude


class PostConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set. ``configs/rainwatch-post.yaml`` documents each key."""

    name: DeviceId | None = None
    state_directory: str = "/var/lib/rainwatch-post"
    silent_after_s: Annotated[float, msgspec.Meta(ge=10, le=864_000)] = 300.0
    listen: ListenOptions = ListenOptions()
    mqtt: MqttOptions = MqttOptions()
    storage: StorageOptions = StorageOptions()
    map: MapOptions = MapOptions()
    positions: dict[str, Position] = {}

    @property
    def identity(self) -> str:
        """The post's name: `name`, else the host's."""
        return self.name or socket.gethostname()


def load(path: Path | None, settings: Mapping[str, str] | None = None) -> PostConfig:
    """Read and check the configuration.

    Args:
        path: The YAML file; None for `DEFAULT_PATH` where it exists, else the defaults.
        settings: Values from the command line by dotted key (``listen.port``), as YAML scalars.

    Raises:
        ConfigError: Names file, line, key, value and what is allowed.
    """
    return _decode(read(path, DEFAULT_PATH, settings, _scalar))


def _decode(document: Document) -> PostConfig:
    """Check every value, then convert them; raise `ConfigError` with all mistakes."""
    values = document.values
    for field in msgspec.structs.fields(PostConfig):
        # A section whose keys are all commented out.
        holds_keys = is_section(field.type) or field.encode_name == "positions"
        if holds_keys and values.get(field.encode_name, 0) is None:
            values[field.encode_name] = {}
    inspection = Inspection(document, PostConfig)
    mistakes = [*document.mistakes, *inspection.mistakes(values, PostConfig, ())]
    positions = values.get("positions")
    for name, position in positions.items() if isinstance(positions, dict) else ():
        path = ("positions", name)
        found = (
            list(inspection.mistakes(position, Position, path))
            if isinstance(position, dict)
            else []
        )
        if not found and not fits(position, Position):
            found = [inspection.wrong(path, position, "a section with the keys lat, lon")]
        mistakes += found
    if mistakes:
        raise ConfigError(*sorted(dict.fromkeys(mistakes), key=document.line))
    return msgspec.convert(values, PostConfig)


def _scalar(key: str, text: str) -> Any:
    """Read a value as the file would, but leave as text what isn't YAML."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        return text
