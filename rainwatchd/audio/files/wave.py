"""WAV and its kin of 64 bits, RF64 and W64: where their sound is and what is noted beside it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from rainwatchd.audio.files.chunks import (
    MOST_CHUNKS,
    Chunk,
    Layout,
    promised,
    sound_bytes,
    walk,
)
from rainwatchd.audio.files.part import Part, read_at

_LITTLE = Layout(4, 4, "little", 2)
_BIG = Layout(4, 4, "big", 2)
_W64 = Layout(16, 8, "little", 8, size_includes_header=True)

_W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_HEADER_BYTES = 40

_KNOWN = frozenset(
    name.encode()
    for name in (
        *("RIFF", "RIFX", "RF64", "riff", "LIST", "list", "INFO", "fact", "bext", "iXML", "guan"),
        *("wamd", "id3 ", "ID3 ", "cue ", "plst", "smpl", "inst", "PEAK", "JUNK", "junk", "PAD "),
        *("data", "FLLR", "axml", "chna", "levl", "mark", "DISP", "afsp", "umid", "_PMX"),
    )
)
"""Chunks that stand behind sound; one of them is no sound even where its size is wrong."""

_FORMS = (b"RIFF", b"RIFX", b"RF64", b"riff")

_LONGEST_NOTE = 1 << 16

_LARGEST_RIFF = 0xFFFFFFFE


def wave_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of a WAV, RF64 or W64 that begins at `at`; None if it has none."""
    layout = _layout(descriptor, at)
    if layout is None:
        return None
    form, sounds = b"", list[Chunk]()
    for chunk in _chunks(descriptor, at, size, layout):
        if chunk.name.startswith(b"fmt ") and not form:
            form = read_at(descriptor, chunk.body, min(chunk.size, _LONGEST_NOTE))
        elif chunk.name.startswith(b"data"):
            sounds.append(chunk)
        elif chunk.name[:4] in _FORMS:
            break
    if not sounds or not form:
        return None
    data = sounds[0]
    held = sound_bytes(descriptor, data, size, layout, _KNOWN)
    following = data.end if data.size == held else size
    share, then = promised(data.size, held), None
    if following < size:
        then = _further(descriptor, sounds[1:], size, layout, form)
    # libsndfile refuses a second chunk of sound, or takes its head for sound; and a negative size.
    refused = then is not None or data.size >= 1 << 63
    if data.size < held or refused or (held > _LARGEST_RIFF and layout is _LITTLE):
        header = wave_header(form, held, layout.byte_order)
        return Part(data.body, data.body + held, header, share, following=following, then=then)
    # libsndfile stumbles over another file that follows.
    stop = following if read_at(descriptor, following, 4) in _FORMS else size
    return Part(at, stop, promised=share, following=following, then=then)


def _further(
    descriptor: int, sounds: Sequence[Chunk], size: int, layout: Layout, form: bytes
) -> Part | None:
    """Return what further chunks of sound hold; some recorders write one a stretch."""
    then = None
    for data in reversed(sounds):
        held = sound_bytes(descriptor, data, size, layout, _KNOWN)
        share = promised(data.size, held)
        header = wave_header(form, held, layout.byte_order)
        following = data.end if data.size == held else size
        then = Part(data.body, data.body + held, header, share, following=following, then=then)
    return then


def notes(descriptor: int, size: int) -> dict[bytes, bytes]:
    """Return the GUANO metadata (``guan``) and the comment (``ICMT``) of a WAV, if it has them."""
    layout = _layout(descriptor, 0)
    found: dict[bytes, bytes] = {}
    if layout not in (_LITTLE, _BIG):
        return found
    for chunk in _chunks(descriptor, 0, size, layout):
        length = min(chunk.size, _LONGEST_NOTE)
        if chunk.name == b"guan":
            found[chunk.name] = read_at(descriptor, chunk.body, length)
        elif chunk.name == b"LIST" and read_at(descriptor, chunk.body, 4) == b"INFO":
            for item in walk(descriptor, chunk.body + 4, min(chunk.end, size), layout):
                if item.name == b"ICMT":
                    found[item.name] = read_at(descriptor, item.body, min(item.size, length))
    return found


def wave_header(form: bytes, sound: int, byte_order: Literal["little", "big"] = "little") -> bytes:
    """Return a WAV header for so many bytes of sound; RF64 where they are too many for a WAV.

    `form` is the body of a ``fmt `` chunk.
    """
    order = "<" if byte_order == "little" else ">"
    padded = form + bytes(len(form) % 2)
    form_chunk = struct.pack(f"{order}4sI", b"fmt ", len(form)) + padded
    size = 4 + len(form_chunk) + 8 + sound
    if size <= _LARGEST_RIFF:
        name = b"RIFF" if byte_order == "little" else b"RIFX"
        head = struct.pack(f"{order}4sI4s", name, size, b"WAVE")
        return head + form_chunk + struct.pack(f"{order}4sI", b"data", sound)
    head = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE")
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, size + 36, sound, 0, 0)
    return head + sizes + form_chunk + struct.pack("<4sI", b"data", 0xFFFFFFFF)


def _layout(descriptor: int, at: int) -> Layout | None:
    head = read_at(descriptor, at, _W64_HEADER_BYTES)
    if head.startswith(_W64_RIFF):
        return _W64
    if head[8:12] != b"WAVE":
        return None
    return {b"RIFF": _LITTLE, b"RF64": _LITTLE, b"RIFX": _BIG}.get(head[:4])


def _chunks(descriptor: int, at: int, size: int, layout: Layout) -> Iterator[Chunk]:
    """Yield the chunks behind the file's head, the sound's with its length in 64 bits."""
    at += _W64_HEADER_BYTES if layout is _W64 else 12
    sound = None
    for _ in range(MOST_CHUNKS):
        chunk = next(walk(descriptor, at, size, layout), None)
        if chunk is None or at >= size:
            return
        if chunk.name == b"ds64":
            sound = int.from_bytes(read_at(descriptor, chunk.body + 8, 8), "little")
        if chunk.name == b"data" and sound is not None and chunk.size == 0xFFFFFFFF:
            end = chunk.body + sound + sound % 2
            chunk = replace(chunk, size=sound, end=end)
        yield chunk
        at = chunk.end
