"""AudioMoth's triggered files: what was left out is a gap, and what is behind it in its place."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from tests.audio.files.lying import RATE_HZ, encoded, sound
from tests.audio.files.test_length import Heard

BLOCK = 256


def left_out(blocks: int) -> bytes:
    """Write so many blocks of silence as an AudioMoth does."""
    bits = [1 if blocks >> place & 1 else -1 for place in range(32)]
    return struct.pack("<256h", *bits, *[0] * 224)


def write(path: Path, *parts: bytes, comment: str = "") -> None:
    content = encoded(np.zeros(0), "WAV", "PCM_16")
    data = b"".join(parts)
    note = comment.encode().ljust(384, b"\0")
    notes = b"LIST" + struct.pack("<I", 12 + len(note)) + b"INFOICMT"
    head = content[:36] + notes + struct.pack("<I", len(note)) + note
    head = head[:4] + struct.pack("<I", len(head) + len(data)) + head[8:]
    path.write_bytes(head + b"data" + struct.pack("<I", len(data)) + data)


def pcm(duration_s: float, seed: int) -> bytes:
    return (sound(duration_s, seed) * 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("head", [0, 12, 100])
def test_what_was_left_out_is_a_gap(tmp_path: Path, head: int) -> None:
    saw = pcm(5.12, 1)
    path = tmp_path / "20240512_060000T.WAV"
    write(path, saw[: 2 * head], left_out(37500), saw, left_out(1280), saw, left_out(64))
    found = Heard(path)
    assert (found.failure, found.warnings) == (None, [])
    first, second, third = found.gaps
    assert (first.start, first.length) == (head, 37500 * BLOCK)
    assert (second.start, second.length) == (first.end + len(saw) // 2, 1280 * BLOCK)
    assert third.length == 64 * BLOCK
    assert found.position_s == third.end / RATE_HZ
    assert found.samples.size == head + len(saw)


def test_a_renamed_file_is_known_by_its_comment(tmp_path: Path) -> None:
    saw = pcm(2.048, 1)
    path = tmp_path / "renamed.wav"
    comment = (
        "Recorded at 06:00:00 12/05/2024 (UTC) by AudioMoth 24E1. Amplitude threshold was 512."
    )
    write(path, left_out(500), saw, comment=comment)
    assert [gap.length for gap in Heard(path).gaps] == [500 * BLOCK]
    write(path, left_out(500), saw)
    assert Heard(path).gaps == [], "nothing says that it is triggered"


def test_sound_that_only_resembles_a_gap_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "20240512_060000T.WAV"
    nearly = bytearray(left_out(500))
    nearly[60:62] = b"\0\0"
    faint = struct.pack("<600h", *[1, -1] * 100, *[0] * 400)
    endless = left_out(0xFFFFFFFF)
    parts = (pcm(1.0, 1), bytes(nearly), pcm(1.0, 2), faint[: 2 * 200], pcm(1.0, 3), endless)
    write(path, *parts)
    found = Heard(path)
    assert found.gaps == []
    assert found.samples.size == sum(map(len, parts)) // 2
