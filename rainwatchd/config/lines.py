"""The place of every key in a YAML file, so that an error can name file, line and key."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import yaml

from rainwatchd.errors import ConfigError

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the document to a value."""


@dataclass
class Document:
    """The values of a YAML file and where each of them stands."""

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, str] = field(default_factory=dict)

    def place(self, path: Path) -> str:
        """Name the place of `path`, or of the nearest key around or in it, as ``file:line``."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        # A section that only the command line has made.
        inside = (place for key, place in self.places.items() if path and key[: len(path)] == path)
        return next(inside, self.source)

    def error(self, path: Path, problem: str) -> ConfigError:
        """Make the one-line error for the value at `path`."""
        return ConfigError(f"{self.place(path)}: {problem}")

    def put(self, path: Sequence[str], value: object, place: str) -> None:
        """Set one value from elsewhere, such as the command line; `place` names it in errors."""
        section = self.values
        for depth, key in enumerate(path[:-1], start=1):
            inner = section.get(key)
            if inner is None:
                inner = section[key] = {}
            if not isinstance(inner, dict):
                raise ConfigError(f"{place}: {'.'.join(path[:depth])} holds no keys")
            section = inner
        section[path[-1]] = value
        self.places[tuple(path)] = place


def parse(text: str | bytes, source: str) -> Document:
    """Read one YAML mapping; raise `ConfigError` naming the line that can't be read.

    A key that stands twice, an alias and a number that isn't finite are errors: each of them
    would otherwise silently mean something else than it seems to.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        values = loader.construct_document(node) if node is not None else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{source}{line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(f"{source}: not a YAML file: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{source}: sections are nested too deeply") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{source}:1: expected keys with values, such as 'device_id: canopy-7'")
    document = Document(source, values)
    if node is not None:
        document.places.update((path, f"{source}:{line}") for path, line in _lines(node, ()))
    for path, value in _leaves(values, ()):
        if isinstance(value, float) and not math.isfinite(value):
            raise document.error(path, f"{dotted(path)} is {value}; allowed: a finite number")
    return document


def explain(
    error: msgspec.ValidationError, document: Document, wanted: type, below: Path = ()
) -> ConfigError:
    """Turn msgspec's error into one line with file, line, key, value and what is allowed.

    `wanted` is the type that the value at `below` was converted to.
    """
    problem, inner = _split(str(error))
    path = (*below, *inner)
    value: Any = document.values
    for key in path:
        known = isinstance(value, Mapping) and key in value
        listed = isinstance(value, list) and isinstance(key, int) and key < len(value)
        value = value[key] if known or listed else None
    allowed = _type_at(wanted, inner)
    unknown = re.search(r"unknown field `(.*)`", problem)
    if unknown:
        key = unknown[1]
        names = _keys(allowed)
        near = difflib.get_close_matches(key, names, n=1)
        guess = f"; did you mean {dotted((*path, near[0]))}?" if near else ""
        return document.error(
            (*path, key), f"unknown key {dotted((*path, key))}{guess} Allowed: {', '.join(names)}"
        )
    if not problem.startswith(("Expected", "Invalid")):
        key = problem.split(" ", maxsplit=1)[0].rstrip(":,;")
        if isinstance(value, Mapping) and key in value:
            path = (*path, key)
        section = f"{dotted(path)}: " if path else ""
        return document.error(path, f"{section}{problem}")
    return document.error(
        path, f"{dotted(path) or 'the file'} is {_shown(value)}; allowed: {_described(allowed)}"
    )


def dotted(path: Path) -> str:
    """Write a path as people type it: ``mqtt.port``."""
    return ".".join(str(key) for key in path)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            problem = "aliases (*name) aren't allowed"
            raise yaml.composer.ComposerError(None, None, problem, self.get_mark())
        return super().compose_node(parent, index)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        value = super().construct_scalar(node)
        if any("\ud800" <= character <= "\udfff" for character in value):
            problem = "half a character (a lone surrogate) isn't text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        if "\0" in value:
            problem = "a NUL character isn't text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return value

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            # What looks like a date or a number and is none; PyYAML doesn't say where.
            problem = f"{error}; put text in quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                problem = f"the key {key.value} stands here for the second time"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _lines(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield (*path, position), value.start_mark.line + 1
            yield from _lines(value, (*path, position))


def _leaves(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _leaves(inner, (*path, position))
    else:
        yield path, value


def _split(message: str) -> tuple[str, Path]:
    """Part msgspec's ``problem - at `$.a.b[0]``` into the problem and the path."""
    problem, _, where = message.rpartition(" - at ")
    if not problem:
        return message, ()
    steps = re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", where.partition("$")[2])
    return problem, tuple(name or int(position) for name, position in steps)


def _type_at(wanted: type, path: Path) -> Any:
    """Follow `path` into `wanted`; None where the types don't say."""
    from msgspec import inspect  # noqa: PLC0415  (errors only: not worth its time at each start)

    here: Any = inspect.type_info(wanted)
    for key in path:
        options = here.types if isinstance(here, inspect.UnionType) else (here,)
        here = None
        for option in options:
            if isinstance(option, inspect.StructType):
                here = next((f.type for f in option.fields if f.encode_name == key), None)
            elif isinstance(option, inspect.ListType):
                here = option.item_type
            elif isinstance(option, inspect.DictType):
                here = option.value_type
        if here is None:
            return None
    return here


def _keys(allowed: Any) -> list[str]:
    options = getattr(allowed, "types", (allowed,))
    return [f.encode_name for option in options for f in getattr(option, "fields", ())]


def _described(allowed: Any) -> str:
    """Say in words what a msgspec type admits."""
    kind = type(allowed).__name__
    if kind == "Metadata":
        said = (allowed.extra_json_schema or {}).get("description")
        return str(said) if said else _described(allowed.type)
    if kind == "UnionType":
        return " or ".join(_described(option) for option in allowed.types)
    if kind in {"IntType", "FloatType"}:
        noun = "a whole number" if kind == "IntType" else "a number"
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("at least", allowed.ge),
                ("above", allowed.gt),
                ("at most", allowed.le),
                ("below", allowed.lt),
            )
            if bound is not None
        ]
        return " ".join((noun, " and ".join(bounds))).strip()
    if kind == "LiteralType":
        return " or ".join(str(value) for value in allowed.values)
    if kind == "StructType":
        return f"a section with the keys {', '.join(_keys(allowed))}"
    return {
        "BoolType": "true or false",
        "StrType": "text (in quotes where YAML would read a number, a date, yes or no)",
        "NoneType": "null",
        "ListType": "a list",
        "DictType": "a section of keys with values",
    }.get(kind, "see configs/rainwatchd.yaml")


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
