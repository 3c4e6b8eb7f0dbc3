"""A model file as it lies on disk: its bytes, their digest, and the metadata inside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rainwatchd.errors import ModelError
from rainwatchd.hearing.model_spec import METADATA_KEY, ModelSpec, decode

_METADATA_PROPS = 14
"""Number of ``ModelProto.metadata_props`` in onnx.proto; each has a key (1) and a value (2)."""

PACKAGED = Path(__file__).parents[1] / "models" / "rainwatch.onnx"
"""The model that ships with the program; for non-commercial use."""

OPEN = PACKAGED.with_name("rainwatch-open.onnx")
"""The one that ships for any use, trained on fewer recordings."""

SHIPPED = {"open": OPEN}
"""Names that a configuration may give instead of a file."""


@dataclass(frozen=True)
class ModelFile:
    """What was read in one go, so that digest and metadata belong to the same bytes."""

    path: Path
    size_bytes: int
    digest: str
    """SHA-256 of the content, hexadecimal."""
    spec: ModelSpec

    @property
    def name(self) -> str:
        """Name and version, as messages carry them."""
        return f"{self.spec.name} {self.spec.version}"

    @property
    def licence(self) -> str:
        """What it may be used under, as its metadata says."""
        return self.spec.licence or "licence not stated"


def model_path(named: str | Path | None) -> Path:
    """Return the file that is meant: by its path, by a name of `SHIPPED`, or, None, `PACKAGED`."""
    return SHIPPED.get(str(named), Path(named)) if named else PACKAGED


def read_model(path: Path) -> ModelFile:
    """Read an ONNX file without ONNX Runtime; raise `ModelError` naming file and field."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"model {path}: {error.strerror}") from error
    try:
        spec = decode(_metadata(content))
    except ModelError as error:
        raise ModelError(f"model {path}: {error}") from error
    return ModelFile(path, len(content), hashlib.sha256(content).hexdigest(), spec)


def _metadata(content: bytes) -> bytes:
    try:
        # Views, since the field with the weights is as large as the file.
        for number, entry in _fields(memoryview(content)):
            if number == _METADATA_PROPS:
                pair = {field: bytes(value) for field, value in _fields(entry)}
                if pair.get(1) == METADATA_KEY.encode():
                    return pair.get(2, b"")
    except IndexError as error:
        raise ModelError("damaged, cut short or not ONNX") from error
    raise ModelError(
        f"metadata_props has no {METADATA_KEY!r}: take one that `python -m training train` or "
        "`adapt` made"
    )


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Walk a protobuf message's fields of bytes; skip numbers. IndexError where it breaks off.

    Wire format: https://protobuf.dev/programming-guides/encoding/
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        wire_type = tag & 7
        if wire_type == 0:
            _, at = _varint(message, at)
        elif wire_type == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise IndexError
            yield tag >> 3, message[at : at + length]
            at += length
        elif wire_type in (1, 5):
            at += 8 if wire_type == 1 else 4
        else:
            raise IndexError


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
