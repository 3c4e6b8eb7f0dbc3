from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rainwatchd.audio.recording import Recording
from rainwatchd.audio.ring import Chunk, RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError

NOISE = np.random.default_rng(5).normal(0.0, 0.1, (30_000, 2)).clip(-1, 1)


def heard(recording: Recording, ring_samples: int = 5000) -> Floats:
    """Read to the end through a small ring."""
    recording.open()
    ring, chunks, more = RingBuffer(ring_samples), [], True
    while more:
        more = recording.fill(ring, timeout_s=1.0)
        for item in ring:
            assert isinstance(item, Chunk)
            chunks.append(item.samples)
    recording.close()
    return np.concatenate(chunks)


def complaint(recording: Recording) -> tuple[Floats, str]:
    """Read until it complains; return what was heard before."""
    ring, chunks = RingBuffer(100_000), []
    with pytest.raises(AudioError) as caught:
        recording.open()
        while recording.fill(ring, timeout_s=1.0):
            pass
    chunks = [item.samples for item in ring if isinstance(item, Chunk)]
    recording.close()
    message = str(caught.value)
    assert str(recording.path) in message
    assert len(message.splitlines()) == 1
    return np.concatenate([np.zeros(0, np.float32), *chunks]), message


@pytest.mark.parametrize(
    ("subtype", "error"),
    [("PCM_U8", 0.01), ("PCM_16", 1e-4), ("PCM_24", 1e-6), ("PCM_32", 1e-6), ("FLOAT", 1e-7)],
)
@pytest.mark.parametrize("rate_hz", [8000, 44100, 192000])
def test_every_width_and_rate_gives_the_samples(
    tmp_path: Path, subtype: str, error: float, rate_hz: int
) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE, rate_hz, subtype=subtype)
    recording = Recording(path, channel=2)
    samples = heard(recording)
    assert (recording.rate_hz, recording.channels) == (rate_hz, 2)
    assert recording.duration_s == recording.position_s == 30_000 / rate_hz
    np.testing.assert_allclose(samples, NOISE[:, 1], rtol=0, atol=error)


@pytest.mark.parametrize("name", ["x.flac", "x.ogg", "x.mp3", "x.aiff", "x.w64", "x.caf"])
def test_every_format_is_read_to_its_end(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    soundfile.write(path, NOISE, 44100)
    assert heard(Recording(path)).size == 30_000


def test_five_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    five = np.tile(NOISE[:, :1], 5) * [1.0, 0.5, 0.0, -0.5, -0.25]
    soundfile.write(path, five, 16000, subtype="FLOAT")
    np.testing.assert_allclose(heard(Recording(path)), NOISE[:, 0] * 0.15, rtol=0, atol=1e-6)


def test_what_does_not_fit_into_the_ring_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE, 16000, subtype="FLOAT")
    recording, ring = Recording(path, channel=1), RingBuffer(1000)
    recording.open()
    for _ in range(5):
        assert recording.fill(ring, timeout_s=1.0)
    assert ring.written == 1000
    chunk = ring.read(9999)
    assert isinstance(chunk, Chunk)
    recording.fill(ring, timeout_s=1.0)
    again = ring.read(9999)
    assert isinstance(again, Chunk)
    both = np.concatenate((chunk.samples, again.samples))
    np.testing.assert_array_equal(both, NOISE[:2000, 0].astype(np.float32))
    assert ring.lost_samples == 0


def test_realtime_is_no_faster_than_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE[:8000], 16000)
    started_s = time.monotonic()
    assert heard(Recording(path, realtime=True)).size == 8000
    assert time.monotonic() - started_s >= 0.5


def test_realtime_keeps_to_the_timeout(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE, 1000)
    recording, ring = Recording(path, realtime=True), RingBuffer(100_000)
    recording.open()
    assert recording.fill(ring, timeout_s=0.0)
    assert ring.written == 0


def test_a_wav_cut_short_is_heard_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE, 10_000)
    content = path.read_bytes()
    path.write_bytes(content[: 44 + 4 * 12_000])
    samples, message = complaint(Recording(path))
    assert samples.size == 12_000
    assert "cut short: 1.200 s of the 3.000 s" in message


@pytest.mark.parametrize("name", ["x.flac", "x.mp3", "x.aiff", "x.au", "x.w64", "x.rf64"])
def test_other_formats_cut_short_are_heard_and_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    soundfile.write(path, np.tile(NOISE, (5, 1)), 44100)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    samples, message = complaint(Recording(path))
    assert 20_000 < samples.size < 100_000
    assert "cut short" in message or "damaged at" in message


def test_a_length_that_a_pipe_could_not_know_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE, 16000)
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert heard(Recording(path)).size == 30_000


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e30])
def test_a_sample_that_is_no_number_is_named_with_its_place(tmp_path: Path, value: float) -> None:
    path = tmp_path / "x.wav"
    samples = NOISE.copy()
    samples[25_000, 0] = value
    soundfile.write(path, samples, 10_000, subtype="DOUBLE")
    before, message = complaint(Recording(path))
    assert before.size == 25_000
    assert "the sample at 2.500 s is no sound" in message


def header_only() -> bytes:
    return b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\0\0\0\0"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not a sound\n" * 50, "no recording: "),
        (header_only()[:20], "no recording: "),
        (header_only(), "no samples"),
        (header_only() + bytes(999), "no samples"),
        (header_only().replace(b"\x80\x3e\0\0", b"\x03\0\0\0") + b"", "sample rate 3 Hz"),
    ],
)
def test_what_is_no_recording_is_told_apart(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    assert reason in complaint(Recording(path))[1]


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "No such file" in complaint(Recording(tmp_path / "gone.wav"))[1]
    assert "directory" in complaint(Recording(tmp_path))[1]


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.wav")
    assert "x.wav: a pipe; save" in complaint(Recording(tmp_path / "x.wav"))[1]


def test_a_channel_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, NOISE, 16000)
    assert "has 2 channels, no channel 3" in complaint(Recording(path, channel=3))[1]


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "gone.wav")
    recording.close()
    recording.close()
