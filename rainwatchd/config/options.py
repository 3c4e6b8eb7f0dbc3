"""The one YAML file, read into frozen options; every mistake is named by file, line and key."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml

from rainwatchd.alerts.broker.mqtt import FILES, MqttOptions, unusable
from rainwatchd.alerts.outbox import OutboxOptions
from rainwatchd.audio.formats import printable
from rainwatchd.audio.options import AudioOptions
from rainwatchd.clips.options import ClipOptions
from rainwatchd.config.inspection import Inspection, Mistake, fits, is_section, nearest
from rainwatchd.config.lines import Document, dotted, shortened
from rainwatchd.config.lines import Path as KeyPath
from rainwatchd.config.reading import read
from rainwatchd.decision.events import DeviceId
from rainwatchd.errors import ConfigError, ModelError
from rainwatchd.hearing.model_file import model_path, read_model
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec

DEFAULT_PATH = Path("/etc/rainwatchd/rainwatchd.yaml")
"""Read when no ``--config`` is given and it exists."""

THRESHOLD_RANGE = "a number above 0 and below 1"
SPAN_RANGE = "seconds from 0 to 3600"
"""What a model's rule may be changed to, by the ending of the key: ``_threshold`` or ``_s``."""


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
        rules = {label: self.rule(label, rule) for label, rule in spec.decision.items()}
        mistakes = [*_misnamed(self.decision, spec), *_crossed(self.decision, rules)]
        if mistakes:
            raise ConfigError(*(problem for _, problem in mistakes))
        return rules

    def rule(self, label: str, rule: DecisionRule) -> DecisionRule:
        """Apply what the file says about `label` to the model's own rule."""
        return _changed(rule, self.decision.get(label, {}))

    @property
    def model_path(self) -> Path:
        """The model file: `model`, which may be ``open``, else the one that ships."""
        return model_path(self.model)

    @property
    def identity(self) -> str:
        """The device's name in topics and messages.

        `device_id`, else the host's name and the last four characters of the machine's id: cards
        are cloned, and two devices of one name throw each other off the broker.
        """
        return self.device_id or _own_name()


def _own_name(machine_id: Path = Path("/etc/machine-id")) -> str:
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:59] or "rainwatch"
    try:
        mark = machine_id.read_text(encoding="ascii").strip()[-4:]
    except (OSError, UnicodeDecodeError):
        mark = ""
    return f"{host}-{mark}" if re.fullmatch("[0-9a-f]{4}", mark) else host


def load(
    path: Path | None,
    settings: Mapping[str, str] | None = None,
    *,
    with_files: bool = False,
    on_missing: Callable[[str], object] | None = None,
) -> Config:
    """Read and check the configuration.

    Args:
        path: The YAML file; None for `DEFAULT_PATH` where it exists, else the defaults.
        settings: Values from the command line by dotted key (``mqtt.port``), as YAML scalars.
        with_files: Whether files that the connection to the broker needs, and that can't be used,
            are mistakes too. To a device that listens they aren't: its alerts wait on disk.
        on_missing: Told of each such file, by its line, where it is no mistake.

    Raises:
        ConfigError: Names file, line, key, value and what is allowed.
    """
    document = read(path, DEFAULT_PATH, settings, _scalar)
    missing = list(_missing(document)) if with_files or on_missing else []
    config = _decode(document, missing if with_files else ())
    if on_missing is not None:
        for mistake in sorted(missing, key=document.line):
            on_missing(mistake)
    return config


def keys() -> dict[str, msgspec.structs.FieldInfo]:
    """Every key by its dotted name; sections are spread out."""
    return dict(_spread(Config, ()))


def defaults() -> dict[str, Any]:
    """Every key by its dotted name, with its default."""
    return {
        key: field.default
        if field.default_factory is msgspec.NODEFAULT
        else field.default_factory()
        for key, field in keys().items()
    }


def _spread(
    section: type[msgspec.Struct], above: tuple[str, ...]
) -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    for field in msgspec.structs.fields(section):
        path = (*above, field.encode_name)
        if is_section(field.type):
            yield from _spread(field.type, path)
        else:
            yield ".".join(path), field


def _scalar(key: str, text: str) -> Any:
    """Read a value as the file would, but take as text what can be nothing else."""
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        if key in keys() and fits(text, keys()[key].type):
            return text
        raise ConfigError(f"--{key}: {shortened(repr(text))} isn't a value; quote it") from error
    kind = keys()[key].type if key in keys() else object
    return text if not fits(value, kind) and fits(text, kind) else value


def _decode(document: Document, others: Iterable[str] = ()) -> Config:
    """Check every value, then convert them; raise `ConfigError` with all mistakes and `others`."""
    for field in msgspec.structs.fields(Config):
        # A section whose keys are all commented out.
        section = is_section(field.type) or field.name == "decision"
        if section and document.values.get(field.encode_name, 0) is None:
            document.values[field.encode_name] = {}
    inspection = Inspection(document, Config, {"decision": DecisionRule})
    mistakes = [*document.mistakes, *inspection.mistakes(document.values, Config, ()), *others]
    decision, spec = document.values.get("decision"), None
    if decision and isinstance(decision, dict):
        spec = _spec(document.values.get("model"))
        mistakes += _mistaken_rules(decision, inspection)
        classes = {label: rule for label, rule in decision.items() if isinstance(rule, dict)}
        mistakes += inspection.placed(_misnamed(classes, spec) if spec else ())
    if not mistakes:
        config = msgspec.convert(document.values, Config)
        if spec is None:
            return config
        rules = {label: config.rule(label, rule) for label, rule in spec.decision.items()}
        mistakes += inspection.placed(_crossed(config.decision, rules))
    if mistakes:
        raise ConfigError(*sorted(dict.fromkeys(mistakes), key=document.line))
    return config


def _missing(document: Document) -> Iterator[str]:
    """Name the files that the connection to the broker needs and that can't be used."""
    mqtt = document.values.get("mqtt")
    for key, holds in FILES.items():
        name = mqtt.get(key) if isinstance(mqtt, dict) else None
        path = ("mqtt", key)
        if isinstance(name, str) and (problem := unusable(name, holds)):
            yield f"{document.place(path)}: mqtt.{key} {printable(Path(name))}: {problem}"


def _spec(model: object) -> ModelSpec | None:
    """Read what the model says about itself, only where the file changes its rules."""
    try:
        return read_model(model_path(model if isinstance(model, str) else None)).spec
    except (ModelError, ValueError):
        # Told by whoever needs the model; the daemon has another to go on with.
        return None


def _misnamed(decision: Mapping[str, Any], spec: ModelSpec) -> Iterator[Mistake]:
    for label in decision:
        if label not in spec.decision:
            near = nearest(label, spec.decision)
            guess = f"did you mean {near}? Allowed" if near else "allowed"
            names = ", ".join(spec.decision)
            path = ("decision", label)
            yield path, f"{dotted(path)}: {spec.name} has no such alert; {guess}: {names}"


def _crossed(
    decision: Mapping[str, Mapping[str, Any]], rules: Mapping[str, DecisionRule]
) -> Iterator[Mistake]:
    for label, rule in rules.items():
        if rule.off_threshold > rule.on_threshold:
            given = "off" if "off_threshold" in decision.get(label, {}) else "on"
            yield (
                ("decision", label, f"{given}_threshold"),
                f"decision.{label}.off_threshold is {rule.off_threshold:g}, above on_threshold, "
                f"{rule.on_threshold:g}; set both, off_threshold the lower",
            )


def _changed(rule: DecisionRule, changes: Mapping[str, Any]) -> DecisionRule:
    return msgspec.convert(msgspec.structs.asdict(rule) | dict(changes), DecisionRule)


def _mistaken_rules(decision: dict[str, Any], inspection: Inspection) -> Iterator[str]:
    """Check the classes' sections one by one: their names are the model's, not this module's."""
    for label, changes in decision.items():
        path = ("decision", label)
        if changes is None:
            decision[label] = {}
        elif label in DecisionRule.__struct_fields__:
            rule = f"{label} is a class's: decision: chainsaw: {label}, each below the one before"
            yield from inspection.placed([(path, rule)])
        elif not isinstance(changes, dict):
            yield inspection.wrong(path, changes, "a section of keys with values")
        else:
            yield from inspection.mistakes(changes, DecisionRule, path)
            yield from _out_of_range(changes, path, inspection)


def _out_of_range(
    changes: Mapping[str, Any], path: KeyPath, inspection: Inspection
) -> Iterator[str]:
    for key, value in changes.items():
        if isinstance(value, str | bool) or not fits(value, float) or not math.isfinite(value):
            continue
        if key.endswith("_threshold") and not 0 < value < 1:
            yield inspection.wrong((*path, key), value, THRESHOLD_RANGE)
        elif key.endswith("_s") and not 0 <= value <= 3600:
            yield inspection.wrong((*path, key), value, SPAN_RANGE)
