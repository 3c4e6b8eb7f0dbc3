"""PortAudio on a real sound server."""

from __future__ import annotations

import time

import numpy as np
import pytest

from rainwatchd.audio.capture.microphone import Microphone, restart_portaudio
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.errors import AudioError
from tests.microphone import RATE_HZ, SoundServer

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def server(sound_server: SoundServer) -> SoundServer:
    restart_portaudio()
    return sound_server


def test_what_is_played_is_in_the_ring_bit_by_bit(server: SoundServer) -> None:
    noise = np.random.default_rng(2).integers(-9000, 9000, 2 * RATE_HZ).astype(np.float32)
    microphone, ring = Microphone(None, None, RATE_HZ), RingBuffer(60 * RATE_HZ)
    microphone.open()
    try:
        assert microphone.rate_hz == RATE_HZ
        assert microphone.fill(ring, timeout_s=5.0)
        # The server swallows a few milliseconds at the start of what is played.
        lead = np.zeros(RATE_HZ // 2, np.float32)
        player = server.play(np.concatenate((lead, noise / 32767, lead)))
        until_s = time.monotonic() + 20
        while player.poll() is None and time.monotonic() < until_s:
            microphone.fill(ring, timeout_s=0.2)
        for _ in range(10):
            microphone.fill(ring, timeout_s=0.2)
        assert microphone.active
        assert microphone.callback_age_s < 2.0
    finally:
        microphone.close()
    heard = ring.copy(0, ring.written).samples
    start = int(np.argmax(heard != 0.0))
    np.testing.assert_array_equal(heard[start : start + noise.size] * 32768, noise)


def test_fill_keeps_to_its_timeout_and_a_closed_microphone_is_inactive() -> None:
    microphone = Microphone(None, 1)
    microphone.open()
    ring = RingBuffer(microphone.rate_hz)
    began_s = time.monotonic()
    assert microphone.fill(ring, timeout_s=0.1)
    assert time.monotonic() - began_s < 5.0
    microphone.close()
    microphone.close()
    assert not microphone.active


def test_a_channel_and_a_device_that_are_not_there_are_named() -> None:
    with pytest.raises(AudioError, match="no channel 999"):
        Microphone(None, 999).open()
    with pytest.raises(AudioError, match="microphone cannot be opened"):
        Microphone(12345, None).open()
