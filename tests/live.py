"""The daemon as systemd would run it: a process of its own, watched through its notify socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from tests.broker import until

UNIT = Path(__file__).parents[1] / "systemd/rainwatchd.service"
PROGRAM = "import sys; from rainwatchd.cli import main; sys.exit(main())"


def heap_settings() -> dict[str, str]:
    """Return what the unit tells glibc's malloc by environment."""
    lines = UNIT.read_text().splitlines()
    words = " ".join(line for line in lines if line.startswith("Environment=")).split()
    pairs = (word.removeprefix("Environment=").split("=") for word in words)
    return {name: value for name, value in pairs if name.startswith("MALLOC_")}


class LiveDaemon:
    """One daemon with its configuration, state and notify socket in `folder`."""

    def __init__(self, folder: Path, environment: Mapping[str, str], **settings: object) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.config = folder / "rainwatchd.yaml"
        self.messages: list[str] = []
        self.heartbeats: list[float] = []
        """Times at which the watchdog was fed."""
        self._environment = environment
        self.settings = {"device_id": "canopy-7", "state_directory": str(self.state), **settings}
        self.configure()
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._link.bind(str(folder / "notify"))
        self._link.setblocking(False)
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, **settings: object) -> None:
        """Write the configuration, with changes."""
        self.settings |= settings
        self.config.write_text(yaml.safe_dump(self.settings))

    def start(
        self, *arguments: str, program: tuple[str, ...] = (sys.executable, "-c", PROGRAM)
    ) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*program, "--config", str(self.config), *arguments],
                env=os.environ
                | self._environment
                | heap_settings()
                | {"NOTIFY_SOCKET": str(self.folder / "notify"), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def until(self, done: Callable[[], object], what: str, patience_s: float = 90.0) -> None:
        """Wait while taking notifications."""

        def look() -> bool:
            self._receive()
            return bool(done())

        try:
            until(look, what, patience_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; log: {self.log[-2000:]}") from error

    def until_ready(self) -> None:
        self.until(lambda: "READY=1" in self.messages, "READY=1")

    def until_heartbeat(self) -> None:
        fed = len(self.heartbeats)
        self.until(lambda: len(self.heartbeats) > fed, "WATCHDOG=1")

    def reload(self) -> None:
        """Send SIGHUP and wait until the daemon has dealt with it."""
        ready = self.messages.count("READY=1")
        self.signal(signal.SIGHUP)
        self.until(lambda: self.messages.count("READY=1") > ready, "READY=1 after SIGHUP")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to end; return the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def wait(self, patience_s: float = 90.0) -> int:
        assert self.process is not None
        status = self.process.wait(patience_s)
        self._receive()
        return status

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._link.close()

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    @property
    def longest_pause_s(self) -> float:
        """Between two feedings of the watchdog."""
        pauses = [b - a for a, b in zip(self.heartbeats, self.heartbeats[1:], strict=False)]
        return max(pauses, default=0.0)

    def _receive(self) -> None:
        while True:
            try:
                message = self._link.recv(4096).decode()
            except BlockingIOError:
                return
            self.messages.append(message)
            if message == "WATCHDOG=1":
                self.heartbeats.append(time.monotonic())
