"""Greyscale pictures, so that a spectrogram needs no plotting library on the device."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats

RANGE_DB = 80.0
"""What lies further below the loudest band is black."""


def spectrogram_png(log_mel: Floats) -> bytes:
    """Draw dB, shape ``(n_mels, frames)``: time to the right, low bands below, loud is white."""
    peak_db = float(log_mel.max(initial=-RANGE_DB))
    brightness = (log_mel[::-1] - (peak_db - RANGE_DB)) * (255.0 / RANGE_DB)
    return grey_png(brightness.clip(0, 255).astype(np.uint8))


def grey_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 brightness, shape ``(height, width)`` (PNG specification, W3C, 2003)."""
    height, width = pixels.shape
    # Each row begins with its filter: none.
    rows = np.pad(pixels, ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
