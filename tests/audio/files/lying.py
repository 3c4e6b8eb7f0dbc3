"""Files whose headers lie about their length, one maker a format."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE_HZ = 16000


def sound(duration_s: float, seed: int = 3) -> NDArray[np.float64]:
    """Noise that is nowhere zero."""
    return np.random.default_rng(seed).normal(0.0, 0.1, round(duration_s * RATE_HZ)).clip(-1, 1)


def encoded(samples: NDArray[Any], container: str, subtype: str, rate_hz: int = RATE_HZ) -> bytes:
    """Return the bytes of a file."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=container, subtype=subtype)
    return out.getvalue()


def wav(content: bytes, claimed: int) -> bytes:
    """Change the length in a WAV's ``data`` chunk, and in its head."""
    at = content.index(b"data") + 4
    return (
        content[:4]
        + struct.pack("<I", (claimed + at - 4) & 0xFFFFFFFF)
        + content[8:at]
        + struct.pack("<I", claimed)
        + content[at + 4 :]
    )


def rf64(content: bytes, claimed: int) -> bytes:
    """Change the length in the ``ds64`` chunk of an RF64."""
    at = content.index(b"ds64") + 16
    return content[:at] + struct.pack("<Q", claimed) + content[at + 8 :]


def w64(content: bytes, claimed: int) -> bytes:
    """Change the length in a W64's chunk of sound."""
    at = content.index(b"data\xf3\xac") + 16
    return content[:at] + struct.pack("<Q", claimed + 24) + content[at + 8 :]


def aiff(content: bytes, claimed: int) -> bytes:
    """Change both lengths in an AIFF, of bytes and of frames."""
    at = content.index(b"SSND") + 4
    content = content[:at] + struct.pack(">I", claimed + 8) + content[at + 4 :]
    frames = content.index(b"COMM") + 10
    return content[:frames] + struct.pack(">I", claimed // 2) + content[frames + 4 :]


def au(content: bytes, claimed: int) -> bytes:
    """Change the length in an AU's head."""
    return content[:8] + struct.pack(">I", claimed) + content[12:]


def caf(content: bytes, claimed: int) -> bytes:
    """Change the length in a CAF's chunk of sound."""
    at = content.index(b"data") + 4
    return content[:at] + struct.pack(">q", claimed + 4) + content[at + 8 :]


def flac(content: bytes, claimed: int) -> bytes:
    """Change the number of samples in a FLAC of 16 bits."""
    head = int.from_bytes(content[18:26], "big") >> 36 << 36 | claimed // 2
    return content[:18] + head.to_bytes(8, "big") + content[26:]


def ogg(content: bytes, claimed_granule: int) -> bytes:
    """Change the position of sound that an Ogg's last page tells."""
    at = content.rindex(b"OggS")
    page = content[at : at + 6] + struct.pack("<q", claimed_granule) + content[at + 14 :]
    crc = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        crc ^= byte << 24
        for _ in range(8):
            crc = crc << 1 & 0xFFFFFFFF ^ (0x04C11DB7 if crc >> 31 else 0)
    return content[:at] + page[:22] + struct.pack("<I", crc) + page[26:]


def voc(content: bytes, claimed: int) -> bytes:
    """Change the length in a VOC's block of sound of 16 bits."""
    return content[:27] + struct.pack("<I", claimed + 12)[:3] + content[30:]


def nist(content: bytes, claimed: int) -> bytes:
    """Change the number of samples in a NIST SPHERE of 16 bits."""
    at = content.index(b"sample_count")
    end = content.index(b"\n", at)
    line = b"sample_count -i %d" % (claimed // 2)
    return (content[:at] + line + content[end:1024])[:1024].ljust(1024, b"\n") + content[1024:]


def svx(content: bytes, claimed: int) -> bytes:
    """Change the length in a 16SV's chunk of sound."""
    at = content.index(b"BODY") + 4
    return content[:at] + struct.pack(">I", claimed) + content[at + 4 :]


def avr(content: bytes, claimed: int) -> bytes:
    """Change the number of samples in an AVR of 16 bits."""
    return content[:26] + struct.pack(">I", claimed // 2) + content[30:]


Liar = Callable[[bytes, int], bytes]

LIARS: dict[str, tuple[str, str, Liar]] = {
    "wav": ("WAV", "PCM_16", wav),
    "wavex": ("WAVEX", "PCM_16", wav),
    "rf64": ("RF64", "PCM_16", rf64),
    "w64": ("W64", "PCM_16", w64),
    "aiff": ("AIFF", "PCM_16", aiff),
    "au": ("AU", "PCM_16", au),
    "caf": ("CAF", "PCM_16", caf),
    "voc": ("VOC", "PCM_16", voc),
    "nist": ("NIST", "PCM_16", nist),
    "svx": ("SVX", "PCM_16", svx),
    "avr": ("AVR", "PCM_16", avr),
    "flac": ("FLAC", "PCM_16", flac),
}
"""By name: container, encoding and what makes it lie about its bytes of sound, at 16 bits."""


def mpeg_frame_bytes(head: bytes) -> int:
    """Return the length of a frame of MPEG 1 layer III at 44.1 or 48 kHz."""
    kbits = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)[head[2] >> 4]
    return 144000 * kbits // (44100, 48000, 32000)[head[2] >> 2 & 3] + (head[2] >> 1 & 1)


def with_vbri(content: bytes, frames: int, size: int) -> bytes:
    """Put the header of VBRI in the place of Xing's: so many frames, so many bytes."""
    length = mpeg_frame_bytes(content)
    told = struct.pack(">4sHHHIIHHHH", b"VBRI", 1, 1105, 75, size, frames, 0, 1, 2, 100)
    return content[:4] + (bytes(32) + told).ljust(length - 4, b"\0") + content[length:]


def without_xing(content: bytes) -> bytes:
    """Take away an MP3's first frame, the one that tells its length."""
    assert b"Xing" in content[:64] or b"Info" in content[:64]
    return content[mpeg_frame_bytes(content) :]
