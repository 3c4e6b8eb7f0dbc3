"""What is wrong with values: every one of them, with its place, its wording and what is allowed.

msgspec stops at the first mistake and names no line; so each value is held against the type of its
own key.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any, TypeGuard, get_origin

import msgspec

from rainwatchd.config.lines import Document, Path, dotted, shortened
from rainwatchd.config.meant import TYPOGRAPHIC_QUOTES, meant
from rainwatchd.config.slips import NO_SECRETS, SECRETS

Section = type[msgspec.Struct]

QUOTES = tuple(TYPOGRAPHIC_QUOTES)

Mistake = tuple[Path, str]
"""A value's path and what is wrong with it."""

_SHELL = re.compile(r"(~\w*)(?:/|\Z)|(\$\w+|\$\{\w+\})/")
"""Paths that a shell would complete."""


def is_section(kind: object) -> TypeGuard[Section]:
    """Whether a key of this type holds keys itself."""
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def nearest(word: str, names: Iterable[str]) -> str | None:
    """Return what `word` was probably meant to be: ``lat`` for ``latitude``; None if nothing."""
    names, word = list(names), word.lower()
    for near in difflib.get_close_matches(word, names, n=1, cutoff=0.7):
        return near
    longer = [name for name in names if min(len(name), len(word)) >= 3]
    return next((name for name in longer if name.startswith(word) or word.startswith(name)), None)


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Holds a document against the type of the whole of it."""

    document: Document
    whole: Section
    named: Mapping[str, Section] = dataclasses.field(default_factory=dict)
    """Keys that hold sections of any name -> what each of those holds."""

    def mistakes(self, values: Mapping[str, Any], wanted: Section, below: Path) -> Iterator[str]:
        """Yield a line for each mistake in the section `values`, which stands at `below`."""
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(wanted)}
        clean = True
        for key, value in values.items():
            path = (*below, key)
            if key not in fields:
                found = iter([self._line(path, self._unknown(path, value, fields))])
            elif is_section(fields[key]) and isinstance(value, Mapping):
                found = self.mistakes(value, fields[key], path)
            elif get_origin(fields[key]) is dict and isinstance(value, Mapping):
                continue  # Its keys are named elsewhere.
            else:
                found = self._wrong(path, value, fields[key])
            for line in found:
                clean = False
                yield line
        if clean and hasattr(wanted, "__post_init__"):
            yield from self._contradiction(values, wanted, below)

    def wrong(self, path: Path, value: object, allowed: str) -> str:
        """Write the line for a value that isn't among the allowed ones."""
        return self._line(path, f"{dotted(path)} is {self._shown(path, value)}; allowed: {allowed}")

    def placed(self, mistakes: Iterable[Mistake]) -> list[str]:
        """Write the lines for mistakes that were found elsewhere."""
        return [self._line(path, problem) for path, problem in mistakes]

    def _line(self, path: Path, problem: str) -> str:
        return f"{self.document.place(path)}: {problem}"

    def _wrong(self, path: Path, value: object, kind: Any) -> Iterator[str]:
        if isinstance(value, float) and not math.isfinite(value):
            yield self.wrong(path, value, "a finite number")
        elif isinstance(value, str) and (found := _SHELL.match(value)):
            said, mark = f"{dotted(path)} is {shortened(value)}", "~" if found[1] else found[2]
            problem = f"{said}; only a shell knows {mark}, write it out: a path from / on"
            yield self._line(path, problem)
        elif isinstance(value, str) and value[:1] in QUOTES and value[-1:] in QUOTES:
            plain = f'{path[-1]}: "{shortened(value[1:-1])}"'
            problem = f"{dotted(path)} is in typographic quotes; use plain ones: {plain}"
            yield self._line(path, problem)
        elif not fits(value, kind):
            written = self.document.written.get(path, "")
            if isinstance(value, bool | int | float | date) and fits(written, kind):
                said, quoted = shortened(written), f'{path[-1]}: "{shortened(written)}"'
                problem = f"{dotted(path)} is {said}, {_read_as(value)}; quote it: {quoted}"
                yield self._line(path, problem)
            elif isinstance(value, list) and is_section(kind):
                problem = f"{dotted(path)} is a list; write its keys without the dashes"
                yield self._line(path, problem)
            else:
                text = value if isinstance(value, str) else written
                near = meant(text, lambda guess: fits(guess, kind))
                allowed = described(kind) + (f"; did you mean {near}?" if near else "")
                yield self.wrong(path, value, allowed)

    def _contradiction(
        self, values: Mapping[str, Any], wanted: Section, below: Path
    ) -> Iterator[str]:
        """Yield what a section says about its values together."""
        try:
            msgspec.convert(values, wanted)
        except msgspec.ValidationError as error:
            problem = str(error).rpartition(" - at ")[0] or str(error)
            key = re.split(r"[ ,;:]", problem, maxsplit=1)[0]
            path = (*below, key) if key in values else below
            section = f"{dotted(path[:1])}: " if below else ""
            yield self._line(path, f"{section}{problem}")

    def _unknown(self, path: Path, value: object, known: Iterable[str]) -> str:
        *above, key = path
        if str(key).lower() in SECRETS:
            return NO_SECRETS
        if not above and (place := self._written_flat(str(key), value)):
            return place
        near = nearest(str(key), known)
        homes = [home for home in _homes(str(key), self.whole) if home != tuple(above)]
        if near is None and () in homes:
            place = dotted(tuple(above))
            return f"{shortened(str(key))} doesn't belong under {place}: begin it at the margin"
        sections = " or ".join(dotted(home) for home in homes if home)
        guesses = [dotted((*above, near))] if near else []
        if sections and not near:
            return f"{shortened(str(key))} belongs under {sections}: move it there, indented"
        if sections:
            guesses.append(f"{shortened(str(key))} under {sections}")
        unknown = f"unknown key {dotted(path)}"
        if guesses:
            return f"{unknown}; did you mean {', or '.join(guesses)}?"
        return f"{unknown}; allowed: {', '.join(known)}"

    def _written_flat(self, key: str, value: object) -> str | None:
        """Say where ``mqtt.host`` at the margin belongs, and a section of free name."""
        for home, section in self.named.items():
            if isinstance(value, Mapping) and _all_known(value, section):
                return f"{shortened(key)} belongs under {home}: move it there, indented"
        home, _, last = key.rpartition(".")
        if home in {dotted(home) for home in _homes(last, self.whole) if home}:
            return f"{key} is for the command line; here {last} stands under {home}, indented"
        return None

    def _shown(self, path: Path, value: object) -> str:
        if isinstance(value, Mapping):
            return "a section"
        if isinstance(value, list):
            return "a list"
        if isinstance(value, str):
            return shortened(repr(value))
        return shortened(self.document.written.get(path, str(value))) or "empty"


def described(kind: Any) -> str:
    """Say in words what a type admits."""
    from msgspec import inspect  # noqa: PLC0415  (errors only: not worth its time at each start)

    return _described(inspect.type_info(kind))


def _described(allowed: Any) -> str:
    kind = type(allowed).__name__
    if kind == "Metadata":
        said = (allowed.extra_json_schema or {}).get("description")
        return str(said) if said else _described(allowed.type)
    if kind == "UnionType":
        return " or ".join(_described(option) for option in allowed.types)
    if kind in {"IntType", "FloatType"}:
        return _number("a whole number" if kind == "IntType" else "a number", allowed)
    if kind == "LiteralType":
        return " or ".join(str(value) for value in allowed.values)
    if kind == "StructType":
        return f"a section with the keys {', '.join(f.encode_name for f in allowed.fields)}"
    return {
        "BoolType": "true or false",
        "StrType": "text",
        "NoneType": "null",
        "ListType": "a list",
        "DictType": "a section of keys with values",
    }.get(kind, "see configs/rainwatchd.yaml")


def _number(noun: str, allowed: Any) -> str:
    if allowed.ge is not None and allowed.le is not None:
        return f"{noun} from {allowed.ge:g} to {allowed.le:g}"
    bounds = (
        ("at least", allowed.ge),
        ("above", allowed.gt),
        ("at most", allowed.le),
        ("below", allowed.lt),
    )
    said = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
    return f"{noun} {said}".rstrip()


def _homes(key: str, wanted: Section, at: Path = ()) -> Iterator[Path]:
    """Yield each section that has a key of this name."""
    for field in msgspec.structs.fields(wanted):
        if field.encode_name == key:
            yield at
        if is_section(field.type):
            yield from _homes(key, field.type, (*at, field.encode_name))


def _all_known(values: Mapping[str, object], section: Section) -> bool:
    return bool(values) and set(values) <= {f.encode_name for f in msgspec.structs.fields(section)}


def fits(value: object, kind: Any) -> bool:
    """Whether a key of type `kind` takes `value`."""
    try:
        msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError, OverflowError):
        return False
    return True


def _read_as(value: object) -> str:
    if isinstance(value, bool):
        return f"which YAML reads as {str(value).lower()}"
    return "a number" if isinstance(value, int | float) else "a date"
