"""AIFF, AU and CAF: where their sound is."""

from __future__ import annotations

import struct

from rainwatchd.audio.files.chunks import Chunk, Layout, promised, sound_bytes, tells_length, walk
from rainwatchd.audio.files.part import Part, read_at

_AIFF = Layout(4, 4, "big", 2)
_CAF = Layout(4, 8, "big", 1)

_AIFF_KNOWN = frozenset(
    name.encode()
    for name in (
        *("FORM", "ANNO", "NAME", "AUTH", "(c) ", "COMT", "MARK", "INST", "APPL", "MIDI", "COMM"),
        *("FVER", "ID3 ", "AESD", "SAXL", "CHAN", "PEAK", "basc", "trns", "FLLR"),
    )
)
_CAF_KNOWN = frozenset(
    name.encode()
    for name in (
        *("caff", "free", "info", "strg", "mark", "regn", "inst", "peak", "ovvw", "edct", "uuid"),
        *("umid", "chan", "pakt", "kuki", "midi"),
    )
)

_SAMPLE_BYTES = {b"ulaw": 1, b"ULAW": 1, b"alaw": 1, b"ALAW": 1}
"""Of AIFF's compressed kinds, those whose ``COMM`` tells the width of what was compressed."""

_COMPRESSED = frozenset([b"ima4", b"MAC3", b"MAC6", b"G722", b"GSM ", b"DWVW"])

_CAF_EDITS_BYTES = 4
"""A count of edits, before the sound in its chunk."""

_CAF_KINDS = frozenset([b"lpcm", b"ulaw", b"alaw", b"alac"])

_MOST_SAMPLES = 1 << 40

_AS_CAF = {
    **dict.fromkeys((b"", b"NONE", b"twos", b"in24", b"in32"), (b"lpcm", 0)),
    b"sowt": (b"lpcm", 2),
    **dict.fromkeys((b"fl32", b"FL32", b"fl64", b"FL64"), (b"lpcm", 1)),
    **dict.fromkeys((b"ulaw", b"ULAW"), (b"ulaw", 0)),
    **dict.fromkeys((b"alaw", b"ALAW"), (b"alaw", 0)),
}
"""AIFF's kinds of sound as CAF's, with CAF's flags: 1 for floating point, 2 for little endian."""

_LARGEST_SOUND = 0xFFFFFFFF - 2048
"""What fits into an AIFF beside its header."""

_LONGEST_HEADER = 1 << 20


def aiff_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of an AIFF or AIFF-C that begins at `at`; None if it has none."""
    head = read_at(descriptor, at, 12)
    if head[:4] != b"FORM" or head[8:12] not in (b"AIFF", b"AIFC"):
        return None
    common, sound = b"", None
    for chunk in walk(descriptor, at + 12, size, _AIFF):
        if chunk.name == b"COMM":
            common = read_at(descriptor, chunk.body, min(chunk.size, 1024))
        elif chunk.name == b"SSND":
            sound = chunk
        if sound is not None and common:
            break
    if sound is None or len(common) < 18 or sound.size < 8 > size - sound.body:
        return None
    held = sound_bytes(descriptor, sound, size, _AIFF, _AIFF_KNOWN) - 8
    claimed = sound.size - 8
    channels, frames, bits = struct.unpack(">hIh", common[:8])
    kind = common[18:22]
    frame_bytes = channels * _SAMPLE_BYTES.get(kind, (bits + 7) // 8)
    counted = frames * frame_bytes if kind not in _COMPRESSED else claimed
    following = sound.end if claimed == held else size
    whole_frames = held // frame_bytes if frame_bytes > 0 else 0
    wrong = claimed < held or (kind not in _COMPRESSED and frames < whole_frames)
    told = min(claimed, counted) if wrong else max(claimed, counted)
    share = promised(told, held) if tells_length(sound.size) else 1.0
    if wrong and held > _LARGEST_SOUND and kind in _AS_CAF and frame_bytes > 0:
        header = _caf_header(common, held)
        start = sound.body + 8
        return Part(start, start + held, header, share, following=following)
    if not wrong or held <= 0 or frame_bytes <= 0 or held > _LARGEST_SOUND:
        lost = held - claimed if claimed < held else 0
        # libsndfile stumbles over another file that follows.
        stop = following if read_at(descriptor, following, 4) == b"FORM" else size
        return Part(at, stop, b"", max(1.0, share), following=following, unreadable=lost)
    if kind == b"GSM ":
        whole_frames = held // 33 * 160
    if kind not in _COMPRESSED or kind == b"GSM ":
        common = common[:2] + struct.pack(">I", whole_frames) + common[6:]
    body = head[8:12] + _chunk(b"COMM", common) + struct.pack(">4sIII", b"SSND", held + 8, 0, 0)
    header = struct.pack(">4sI", b"FORM", len(body) + held) + body
    start = sound.body + 8
    return Part(start, start + held, header, share, following=following)


def au_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of an AU that begins at `at`; None if it has none."""
    head = read_at(descriptor, at, 24)
    order = {b".snd": ">", b"dns.": "<"}.get(head[:4])
    if order is None or len(head) < 24:
        return None
    offset, claimed = struct.unpack(f"{order}II", head[4:12])
    if not 24 <= offset <= _LONGEST_HEADER:
        return None
    chunk = Chunk(b"", at + offset, claimed, at + offset + claimed)
    held = sound_bytes(descriptor, chunk, size, _AIFF, frozenset([head[:4]]))
    share = promised(claimed, held)
    if claimed < held:
        header = read_at(descriptor, at, offset)
        header = header[:8] + b"\xff\xff\xff\xff" + header[12:]
        return Part(chunk.body, size, header, share, following=size)
    return Part(at, size, promised=share, following=chunk.end)


def caf_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of a CAF that begins at `at`; None if it has none that libsndfile reads."""
    if read_at(descriptor, at, 6) != b"caff\0\1":
        return None
    kind, told_samples, data = b"", None, None
    for chunk in walk(descriptor, at + 8, size, _CAF):
        if chunk.name == b"desc":
            kind = read_at(descriptor, chunk.body + 8, 4)
        elif chunk.name == b"pakt":
            told_samples = int.from_bytes(read_at(descriptor, chunk.body + 8, 8), "big")
        elif chunk.name == b"data":
            data = chunk
            break
    if data is None or kind not in _CAF_KINDS or data.body - at > _LONGEST_HEADER:
        return None
    held = sound_bytes(descriptor, data, size, _CAF, _CAF_KNOWN)
    share = promised(data.size - _CAF_EDITS_BYTES, held - _CAF_EDITS_BYTES)
    if kind == b"alac":
        # Its length is told by the table of its packets, and so is what is missing of it.
        share = 1.0
        told_samples = told_samples if told_samples and told_samples < _MOST_SAMPLES else None
    else:
        told_samples = None
    following = data.end if data.size == held else size
    header, start, stop = b"", at, size
    if data.size != held:
        header = read_at(descriptor, at, data.body - at)[:-8] + held.to_bytes(8, "big")
        start, stop = data.body, data.body + held
    return Part(start, stop, header, share, following=following, told_samples=told_samples)


def _caf_header(common: bytes, sound: int) -> bytes:
    """Return the header of a CAF, whose length has 64 bits, for an AIFF's sound."""
    channels, _, bits = struct.unpack(">hIh", common[:8])
    # An extended float: a sign and an exponent of 15 bits, a mantissa of 64.
    exponent, mantissa = struct.unpack(">HQ", common[8:18])
    rate_hz = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16383 - 63)
    kind = common[18:22]
    form, flags = _AS_CAF[kind]
    sample_bytes = _SAMPLE_BYTES.get(kind, (bits + 7) // 8)
    told = struct.pack(
        ">d4sIIIII", rate_hz, form, flags, channels * sample_bytes, 1, channels, 8 * sample_bytes
    )
    start = struct.pack(">4sHH4sQ", b"caff", 1, 0, b"desc", len(told)) + told
    return start + struct.pack(">4sQI", b"data", sound + 4, 0)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">4sI", name, len(body)) + body + bytes(len(body) % 2)
