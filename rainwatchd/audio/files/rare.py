"""VOC, NIST SPHERE, SVX, AVR and WVE: what their headers tell of the length, and what there is."""

from __future__ import annotations

import re
import struct

from rainwatchd.audio.files.chunks import Chunk, Layout, promised, walk
from rainwatchd.audio.files.part import Part, read_at
from rainwatchd.audio.files.wave import wave_header

UNCHECKED = frozenset(["HTK", "IRCAM", "MAT4", "MAT5", "MPC2K", "PAF", "PVF", "SDS", "XI"])
"""What libsndfile reads beside those that are checked: length can't be checked. All that there is
behind the header is read; whether that is all that was recorded, nothing tells."""

_VOC = b"Creative Voice File\x1a"
_VOC_TAGS = {0: (1, 8), 4: (1, 16), 6: (6, 8), 7: (7, 8)}
"""Its codes of what libsndfile reads, as WAV's codes and bits a sample."""

_VOC_BLOCKS = range(1, 10)

_MOST_BYTE_RATE = 0xFFFFFFFF

_SVX = Layout(4, 4, "big", 2)


def voc_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of a Creative Voice file; None if there is none that can be checked."""
    head = read_at(descriptor, at, 26)
    if not head.startswith(_VOC) or len(head) < 26:
        return None
    block = _voc_block(descriptor, at + int.from_bytes(head[20:22], "little"))
    if block is None or block.name not in (b"\1", b"\t"):
        return None
    told = read_at(descriptor, block.body, 12).ljust(12, b"\0")
    if block.name == b"\t":
        rate_hz, _, channels, code = struct.unpack("<IBBH", told[:8])
        start = block.body + 12
    else:
        rate_hz, channels, code = 1_000_000 // (256 - told[0]), 1, told[1]
        start = block.body + 2
    held = size - start - (read_at(descriptor, size - 1, 1) == b"\0")
    claimed = block.end - start
    if code not in _VOC_TAGS or held <= 0 or not channels or _is_voc_rest(descriptor, block, size):
        return Part(at, size)
    tag, bits = _VOC_TAGS[code]
    frame_bytes = channels * bits // 8
    # A rate that is no rate is refused once it is read.
    byte_rate = min(rate_hz * frame_bytes, _MOST_BYTE_RATE)
    form = struct.pack("<HHIIHH", tag, channels, rate_hz, byte_rate, frame_bytes, bits)
    return Part(start, start + held, wave_header(form, held), promised(claimed, held))


def _voc_block(descriptor: int, at: int) -> Chunk | None:
    head = read_at(descriptor, at, 4)
    if len(head) < 4:
        return None
    length = int.from_bytes(head[1:], "little")
    return Chunk(head[:1], at + 4, length, at + 4 + length)


def _is_voc_rest(descriptor: int, block: Chunk, size: int) -> bool:
    """Whether nothing but blocks, or nothing, is behind the sound."""
    at = block.end
    while at < size and read_at(descriptor, at, 1) != b"\0":
        following = _voc_block(descriptor, at)
        if following is None or following.name[0] not in _VOC_BLOCKS:
            return False
        at = following.end
    return size - 1 <= at <= size


def nist_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of a NIST SPHERE file; libsndfile reads it to the end of the file."""
    head = read_at(descriptor, at, 1024)
    if not head.startswith(b"NIST_1A\n"):
        return None
    told = {name: int(value) for name, value in re.findall(rb"(\w+) -i (\d{1,15})\s", head)}
    length = re.match(rb"NIST_1A\n\s*(\d{1,6})\n", head)
    frames, frame_bytes = told.get(b"sample_count"), told.get(b"sample_n_bytes", 0)
    frame_bytes *= told.get(b"channel_count", 1)
    if length is None or not frames or not frame_bytes:
        return Part(at, size)
    return _to_the_end(at, size, at + int(length[1]), frames * frame_bytes)


def avr_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of an Audio Visual Research file, read to the end of the file."""
    head = read_at(descriptor, at, 128)
    if head[:4] != b"2BIT" or len(head) < 128:
        return None
    stereo, bits, frames = struct.unpack(">hh10xI", head[12:30])
    return _to_the_end(at, size, at + 128, frames * (2 if stereo else 1) * bits // 8)


def svx_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of an Amiga's 8SVX or 16SV, read to the end of the file."""
    head = read_at(descriptor, at, 12)
    if head[:4] != b"FORM" or head[8:12] not in (b"8SVX", b"16SV"):
        return None
    for chunk in walk(descriptor, at + 12, size, _SVX):
        if chunk.name == b"BODY":
            end = chunk.body + chunk.size + chunk.size % 2
            if svx_part(descriptor, end, size) is not None:
                return Part(at, end, following=end)
            return _to_the_end(at, size, chunk.body, chunk.size)
    return Part(at, size)


def wve_part(descriptor: int, at: int, size: int) -> Part | None:
    """Return the sound of a Psion's WVE, read to the end of the file."""
    head = read_at(descriptor, at, 32)
    if not head.startswith(b"ALawSoundFile**\0") or len(head) < 32:
        return None
    return _to_the_end(at, size, at + 32, int.from_bytes(head[18:22], "big"))


def _to_the_end(at: int, size: int, start: int, claimed: int) -> Part:
    return Part(at, size, promised=promised(claimed, size - start))
