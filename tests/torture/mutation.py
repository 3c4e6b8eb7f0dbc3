"""Damage, drawn from a seeded generator."""

from __future__ import annotations

import random
import struct

_BOUNDARY_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
_BOUNDARY_NUMBERS = (0, 1, 2, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def damaged(content: bytes, rng: random.Random, near_start: int | None = None) -> bytes:
    """Return `content` with one to eight faults; most of them in the first `near_start` bytes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        reach = len(data) if near_start is None or rng.random() < 0.2 else near_start
        at = rng.randrange(max(1, min(reach, len(data))))
        match rng.randrange(7):
            case 0:
                data[at : at + 1] = rng.randbytes(1)
            case 1:
                data[at : at + 1] = bytes([rng.choice(_BOUNDARY_BYTES)])
            case 2:
                order = rng.choice("<>")
                data[at : at + 4] = struct.pack(f"{order}I", rng.choice(_BOUNDARY_NUMBERS))
            case 3:
                order = rng.choice("<>")
                data[at : at + 2] = struct.pack(f"{order}H", rng.choice(_BOUNDARY_NUMBERS) & 0xFFFF)
            case 4:
                del data[at : at + rng.randint(1, 64)]
            case 5:
                data[at:at] = rng.randbytes(rng.randint(1, 64))
            case 6:
                if rng.random() < 0.3:
                    del data[at:]
                else:
                    data[at:at] = data[at : at + rng.randint(1, 256)]
    return bytes(data)
