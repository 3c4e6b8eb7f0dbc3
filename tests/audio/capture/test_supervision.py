"""A real sound server is absent, frozen and mute under a listening microphone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from rainwatchd.audio.capture import supervision
from rainwatchd.audio.capture.microphone import restart_portaudio
from rainwatchd.audio.capture.supervision import SupervisedMicrophone
from rainwatchd.audio.options import AudioOptions
from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.errors import AudioError
from tests.broker import until
from tests.microphone import SoundServer

pytestmark = pytest.mark.slow


@pytest.fixture
def server(sound_server: SoundServer) -> SoundServer:
    restart_portaudio()
    return sound_server


class Listener:
    """Drives the microphone as the daemon does, and remembers what it was told and given."""

    def __init__(self, options: AudioOptions | None = None) -> None:
        self.troubles: list[str | None] = []
        self.items: list[Chunk | Gap] = []
        self.microphone = SupervisedMicrophone(options or AudioOptions(), self.troubles.append)
        self.microphone.open()
        self.ring = RingBuffer(20 * self.microphone.rate_hz)

    def until(self, done: Callable[[], bool], within_s: float) -> float:
        """Listen until `done`; return the seconds that it took."""
        began_s = time.monotonic()
        while not done():
            assert time.monotonic() - began_s < within_s, self.troubles
            self.microphone.fill(self.ring, 0.2)
            self.items += self.ring
        return time.monotonic() - began_s

    @property
    def trouble(self) -> str | None:
        return self.troubles[-1] if self.troubles else None

    @property
    def hears(self) -> bool:
        last = self.items[-1] if self.items else None
        return isinstance(last, Chunk) and bool(last.samples.any())

    def begin(self) -> None:
        self.until(lambda: self.hears and self.trouble is None, within_s=10)

    def lost(self) -> int:
        return sum(item.length for item in self.items if isinstance(item, Gap))


@pytest.fixture
def listener(server: SoundServer) -> Iterator[Listener]:
    server.play_noise()
    listener = Listener()
    listener.begin()
    yield listener
    listener.microphone.close()


def test_a_frozen_server_is_noticed_and_heard_again_when_it_thaws(
    server: SoundServer, listener: Listener
) -> None:
    before, frozen_s = listener.ring.written, time.monotonic()
    server.freeze()
    listener.until(lambda: listener.trouble is not None, within_s=5)
    assert "claims to run" in str(listener.trouble)
    # The call that closes the dead stream hangs in the server; the daemon goes on all the same.
    listener.until(lambda: listener.lost() > 4 * listener.microphone.rate_hz, within_s=5)
    assert listener.microphone.stuck
    server.thaw()
    listener.until(lambda: listener.hears and listener.trouble is None, within_s=15)
    assert not listener.microphone.stuck
    assert listener.microphone.restarts == 1
    # The time that passed is in the stream, as gaps, with no hole and no overlap.
    passed_s = (listener.ring.written - before) / listener.microphone.rate_hz
    assert passed_s == pytest.approx(time.monotonic() - frozen_s, abs=1.0)
    ends = [item.end for item in listener.items]
    assert [item.start for item in listener.items[1:]] == ends[:-1]


def test_a_server_that_stays_frozen_ends_the_search_early(
    server: SoundServer, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "HANG_S", 1.0)
    server.freeze()
    with pytest.raises(AudioError, match="the sound server doesn't answer"):
        listener.until(lambda: False, within_s=10)
    server.thaw()
    until(lambda: not listener.microphone.stuck, "the call to return")


def test_zeros_after_sound_are_a_fault_until_sound_is_heard(
    server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "ZEROS_S", 1.5)
    player = server.play_noise()
    listener = Listener()
    listener.begin()
    player.kill()
    listener.until(lambda: listener.trouble is not None, within_s=6)
    assert "nothing but zeros" in str(listener.trouble)
    listener.until(lambda: listener.microphone.restarts >= 1, within_s=10)
    assert listener.trouble is not None
    server.play_noise()
    listener.until(lambda: listener.hears and listener.trouble is None, within_s=15)
    listener.microphone.close()


def test_zeros_from_the_start_are_told_and_not_fought(
    server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "ZEROS_S", 1.0)
    listener = Listener()
    listener.until(lambda: listener.trouble is not None, within_s=10)
    assert "since the start" in str(listener.trouble)
    rate_hz = listener.microphone.rate_hz
    listener.until(lambda: listener.ring.written > 4 * rate_hz, within_s=15)
    assert listener.microphone.restarts == 0
    server.play_noise()
    listener.until(lambda: listener.trouble is None, within_s=10)
    listener.microphone.close()


def test_a_noise_gate_may_be_allowed(server: SoundServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "ZEROS_S", 1.0)
    listener = Listener(AudioOptions(zeros_are_faults=False))
    server.play(np.full(22_050, 0.1))
    listener.begin()
    end = listener.ring.written + 3 * listener.microphone.rate_hz
    listener.until(lambda: listener.ring.written > end, within_s=10)
    assert listener.troubles == []
    listener.microphone.close()


def test_a_microphone_absent_at_boot_is_awaited(server: SoundServer) -> None:
    server.kill()
    restart_portaudio()
    listener = Listener()
    assert listener.trouble is not None
    assert listener.microphone.recovering
    listener.until(lambda: listener.lost() > listener.microphone.rate_hz, within_s=5)
    server.start()
    server.play_noise()
    listener.until(lambda: listener.hears and listener.trouble is None, within_s=20)
    listener.microphone.close()


def test_stopping_while_it_is_sought_leaves_nothing_behind(
    server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "MAX_BACKOFF_S", 0.5)
    listener = Listener(AudioOptions(device="no such card"))
    for _ in range(5):
        listener.until(lambda: listener.microphone.stuck, within_s=20)
        listener.microphone.close()
        assert not listener.microphone.stuck


def test_the_search_ends_with_an_error_that_says_what_was_missing(
    server: SoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "MAX_BACKOFF_S", 1.0)
    listener = Listener(AudioOptions(device="no such card", recovery_timeout_s=10))
    with pytest.raises(AudioError, match=r"no microphone 'no such card'.*given up after 1\d s"):
        listener.until(lambda: False, within_s=15)
    listener.microphone.close()
