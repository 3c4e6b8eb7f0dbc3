"""The shipped JSON Schemas, to hold messages against."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, FormatChecker


def schema(name: str) -> dict[str, Any]:
    text = files("rainwatchd").joinpath("schemas", f"{name}.schema.json").read_bytes()
    decoded: dict[str, Any] = msgspec.json.decode(text)
    return decoded


def validator(name: str) -> Draft202012Validator:
    Draft202012Validator.check_schema(schema(name))
    return Draft202012Validator(schema(name), format_checker=FormatChecker())
