"""The one YAML file, read into frozen options; every mistake is named by file, line and key."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
import yaml

from rainwatchd.alerts.mqtt import MqttOptions
from rainwatchd.alerts.outbox import OutboxOptions
from rainwatchd.audio.options import AudioOptions
from rainwatchd.clips.clips import ClipOptions
from rainwatchd.config import lines as config_lines
from rainwatchd.decision.events import DeviceId
from rainwatchd.errors import ConfigError
from rainwatchd.hearing.model_file import PACKAGED
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec

DEFAULT_PATH = Path("/etc/rainwatchd/rainwatchd.yaml")
"""Read when no ``--config`` is given and it exists."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set. ``configs/rainwatchd.yaml`` documents each key."""

    device_id: DeviceId | None = None
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    model: str | None = None
    step_s: Annotated[float, msgspec.Meta(ge=0.05, le=60)] | None = None
    state_directory: str = "/var/lib/rainwatchd"
    update_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] | None = None
    decision: dict[str, dict[str, str | float]] = {}
    audio: AudioOptions = AudioOptions()
    mqtt: MqttOptions = MqttOptions()
    outbox: OutboxOptions = OutboxOptions()
    clips: ClipOptions = ClipOptions()

    def rules(self, spec: ModelSpec) -> dict[str, DecisionRule]:
        """Return the model's rules with what the file says about them; one a label that alerts."""
        unknown = [label for label in self.decision if label not in spec.decision]
        if unknown:
            raise ConfigError(
                f"decision.{unknown[0]}: the model {spec.name} has no such alert; allowed: "
                f"{', '.join(spec.decision)}"
            )
        rules = {label: self.rule(label, rule) for label, rule in spec.decision.items()}
        for label, rule in rules.items():
            if rule.off_threshold > rule.on_threshold:
                raise ConfigError(
                    f"decision.{label}.off_threshold is {rule.off_threshold:g}, above "
                    f"on_threshold, {rule.on_threshold:g}; set both, off_threshold the lower"
                )
        return rules

    def rule(self, label: str, rule: DecisionRule) -> DecisionRule:
        """Apply what the file says about `label` to the model's own rule."""
        return _changed(rule, self.decision.get(label, {}))

    @property
    def model_path(self) -> Path:
        """The model file: `model`, else the one that ships."""
        return Path(self.model) if self.model else PACKAGED

    @property
    def identity(self) -> str:
        """The device's name in topics and messages: `device_id`, else the host's name."""
        return self.device_id or socket.gethostname()


def load(path: Path | None, settings: Mapping[str, str] | None = None) -> Config:
    """Read and check the configuration.

    Args:
        path: The YAML file; None for `DEFAULT_PATH` where it exists, else the defaults.
        settings: Values from the command line by dotted key (``mqtt.port``), as YAML scalars.

    Raises:
        ConfigError: Names file, line, key, value and what is allowed.
    """
    document = config_lines.Document("the defaults")
    if path is not None or DEFAULT_PATH.exists():
        path = path or DEFAULT_PATH
        try:
            text = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; name the file by --config") from error
        document = config_lines.parse(text, str(path))
    for key, value in (settings or {}).items():
        document.put(key.split("."), _scalar(key, value), f"--{key}")
    return _decode(document)


def defaults() -> dict[str, Any]:
    """Every key by its dotted name, with its default; sections are spread out."""
    return dict(_spread(Config, ()))


def _spread(section: type[msgspec.Struct], above: tuple[str, ...]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for field in msgspec.structs.fields(section):
        path = (*above, field.encode_name)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            found += _spread(field.type, path)
        else:
            default = field.default
            if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            found.append((".".join(path), default))
    return found


def _scalar(key: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--{key}: {text!r} isn't a value; quote it") from error


def _decode(document: config_lines.Document) -> Config:
    hints = get_type_hints(Config)
    for key in [key for key, value in document.values.items() if value is None]:
        # A section whose keys are all commented out.
        if isinstance(hints.get(key), type) and issubclass(hints[key], msgspec.Struct):
            document.values[key] = {}
    decision = document.values.get("decision")
    if isinstance(decision, dict):
        _check_decision(decision, document)
    try:
        return msgspec.convert(document.values, Config)
    except msgspec.ValidationError as error:
        raise config_lines.explain(error, document, Config) from error


def _changed(rule: DecisionRule, changes: Mapping[str, Any]) -> DecisionRule:
    return msgspec.convert(msgspec.structs.asdict(rule) | dict(changes), DecisionRule)


def _check_decision(decision: dict[str, Any], document: config_lines.Document) -> None:
    """Check the classes' sections one by one: msgspec doesn't name a dictionary's keys."""
    for label, changes in decision.items():
        if changes is None:
            decision[label] = {}
        elif isinstance(changes, dict):
            _check_rule(label, changes, document)
        else:
            problem = f"decision.{label} is {changes!r}; allowed: a section of keys with values"
            raise document.error(("decision", label), problem)


def _check_rule(label: str, changes: Mapping[str, Any], document: config_lines.Document) -> None:
    try:
        _changed(DecisionRule(), changes)
    except msgspec.ValidationError as error:
        raise config_lines.explain(
            error, document, DecisionRule, ("decision", str(label))
        ) from error
    for key, value in changes.items():
        if isinstance(value, str):
            continue
        if key.endswith("_threshold") and not 0 < value < 1:
            allowed = "a number above 0 and below 1"
        elif key.endswith("_s") and not 0 <= value <= 3600:
            allowed = "seconds from 0 to 3600"
        else:
            continue
        raise document.error(
            ("decision", label, key), f"decision.{label}.{key} is {value}; allowed: {allowed}"
        )
