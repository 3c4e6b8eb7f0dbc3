"""A microphone without a sound card: PulseAudio with a null sink, whose monitor PortAudio hears."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

RATE_HZ = 22_050
"""Of the sink: what is played at this rate is captured bit by bit."""


class SoundServer:
    """One PulseAudio in a folder of its own; it can be killed, frozen and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "native"
        self.environment = {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            # A folder of its own: PulseAudio shuts it to other users, who may use the socket.
            "PULSE_RUNTIME_PATH": str(folder / "runtime"),
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_COOKIE": str(folder / "cookie"),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._players: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        sink = f"module-null-sink sink_name=rain rate={RATE_HZ} channels=1 format=s16le"
        protocol = f"module-native-protocol-unix auth-anonymous=1 socket={self.socket}"
        with (self.folder / "pulse.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"),
                    *("--exit-idle-time=-1", "--disallow-exit", "--log-target=stderr"),
                    *("-L", sink, "-L", protocol),
                ],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        for _ in range(200):
            if self.socket.exists() and self._control("info") == 0:
                return
            time.sleep(0.05)
        raise RuntimeError(f"PulseAudio does not start: {(self.folder / 'pulse.log').read_text()}")

    def freeze(self) -> None:
        """Let the server hang: streams stay open and nothing comes any more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the server without a farewell."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """End the server and whatever plays."""
        for player in self._players:
            player.kill()
            player.wait()
        self.kill()

    def play(self, samples: np.ndarray) -> subprocess.Popen[bytes]:
        """Play float samples, shape ``(n,)``, at `RATE_HZ`, as 16 bits in real time."""
        raw = self.folder / f"play-{len(self._players)}.raw"
        raw.write_bytes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
        return self._play("--raw", f"--rate={RATE_HZ}", "--channels=1", "--format=s16le", str(raw))

    def play_file(self, path: Path) -> subprocess.Popen[bytes]:
        """Play a recording."""
        return self._play(str(path))

    def play_noise(self, duration_s: float = 600.0) -> subprocess.Popen[bytes]:
        """Play faint noise, as any real microphone hears without end."""
        noise = np.random.default_rng(1).normal(0, 0.003, int(duration_s * RATE_HZ))
        return self.play(noise)

    def _play(self, *arguments: str) -> subprocess.Popen[bytes]:
        player = subprocess.Popen(
            ["paplay", "-d", "rain", *arguments],
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._players.append(player)
        return player

    def _control(self, command: str) -> int:
        return subprocess.run(
            ["pactl", command],
            env=os.environ | self.environment,
            capture_output=True,
            check=False,
        ).returncode

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@pytest.fixture
def sound_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    """A running server, which PortAudio finds in this process once it is initialised again."""
    folder = tmp_path / "pulse"
    folder.mkdir()
    server = SoundServer(folder)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    try:
        yield server
    finally:
        server.stop()
