"""Sound that comes in through a pipe is all heard, whatever its header says of its length."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from rainwatchd.audio.files.pipe import PipeReader
from rainwatchd.audio.samples import Floats
from tests.audio.files.lying import RATE_HZ, encoded, rf64, sound, wav

SOUND = sound(3.0)
HONEST = encoded(SOUND, "WAV", "PCM_16")
NOTE = b"LIST" + struct.pack("<I", 14) + b"INFOICMT" + struct.pack("<I", 2) + b"hi"


@contextmanager
def piped(content: bytes) -> Iterator[int]:
    """Let `content` in, in small pieces, as another program does."""
    ours, theirs = os.pipe()

    def write() -> None:
        with os.fdopen(theirs, "wb", buffering=0) as pipe:
            for at in range(0, len(content), 4099):
                pipe.write(content[at : at + 4099])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield ours
        assert os.read(ours, 1) == b"", "who writes is not cut off"
    finally:
        os.close(ours)
        writer.join()


def heard(content: bytes) -> tuple[Floats, PipeReader]:
    with piped(content) as descriptor:
        reader = PipeReader(descriptor)
        blocks = [np.zeros((0, reader.channels), np.float32)]
        while len(block := reader.read(4000)):
            blocks.append(block)
        reader.shortfall()
    return np.concatenate(blocks)[:, 0], reader


def whole(content: bytes) -> Floats:
    """Hear what is honest."""
    samples, reader = heard(content)
    assert (reader.shortfall(), reader.exceeded_s) == (None, None)
    return samples


@pytest.mark.parametrize("claimed", [44, 1, 2 * RATE_HZ + 1, 5 * RATE_HZ])
def test_sound_beyond_the_declared_end_is_heard_and_told(claimed: int) -> None:
    samples, reader = heard(wav(HONEST, claimed))
    np.testing.assert_array_equal(samples, whole(HONEST))
    assert reader.shortfall() is None
    assert reader.exceeded_s == pytest.approx(claimed / 2 / RATE_HZ)


@pytest.mark.parametrize("claimed", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_length_that_nobody_could_know_is_no_promise(claimed: int) -> None:
    np.testing.assert_array_equal(whole(wav(HONEST, claimed)), whole(HONEST))


def test_sound_that_is_missing_is_told() -> None:
    for content in (
        wav(HONEST, 4 * SOUND.size),
        rf64(encoded(SOUND, "RF64", "PCM_16"), 4 * SOUND.size),
        wav(HONEST, 0x90000000),
    ):
        samples, reader = heard(content)
        assert samples.size == SOUND.size
        assert "cut short: 3.000 s of the" in (reader.shortfall() or "")
    assert "no sound behind it" in (heard(wav(HONEST[:44], 0))[1].shortfall() or "")


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"])
def test_every_encoding_goes_on_behind_its_declared_end(subtype: str) -> None:
    honest = encoded(SOUND, "WAV", subtype)
    samples, reader = heard(wav(honest, 4096))
    np.testing.assert_array_equal(samples[: SOUND.size], whole(honest)[: SOUND.size])
    assert reader.exceeded_s is not None


def test_notes_behind_the_sound_are_no_sound() -> None:
    for behind in (NOTE, NOTE * 40, b"\0"):
        np.testing.assert_array_equal(whole(HONEST + behind), whole(HONEST))
    samples, reader = heard(HONEST + NOTE + b"\1" * 5000)
    assert samples.size == SOUND.size
    assert "5000 bytes behind the notes" in (reader.shortfall() or "")


@pytest.mark.parametrize("between", [b"", NOTE])
def test_wavs_that_follow_each_other_are_one(between: bytes) -> None:
    second = encoded(sound(2.0, seed=8), "WAV", "PCM_16")
    samples = whole(HONEST + between + second + NOTE)
    np.testing.assert_array_equal(samples, np.concatenate((whole(HONEST), whole(second))))
    cut, reader = heard(HONEST + second[:-RATE_HZ])
    assert cut.size == 4.5 * RATE_HZ
    assert "cut short: 4.500 s of the 5.000 s" in (reader.shortfall() or "")
    other = encoded(sound(2.0), "WAV", "PCM_16", rate_hz=22050)
    samples, reader = heard(HONEST + other)
    assert samples.size == SOUND.size
    assert "heard to 3.000 s; another WAV" in (reader.shortfall() or "")
