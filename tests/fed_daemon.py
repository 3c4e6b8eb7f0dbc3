"""The daemon with recordings in place of its microphone, as fast as it hears them.

It is the whole daemon, in a process of its own; only the sound comes from a folder. Each recording
is heard once, in the order of the names, and removed. The daemon's clock goes with the sound, so
that what is an hour apart in the recordings is an hour apart in what it writes.

    python -m tests.fed_daemon FOLDER --config FILE
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import patch

import soundfile

from rainwatchd.audio.ring import RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.cli import main as rainwatchd
from rainwatchd.decision.clock import StreamClock
from tests.live import LiveDaemon

RATE_HZ = 16_000
"""Of all recordings."""

_BLOCK_S = 4
_LOOK_S = 0.02
"""Between two looks for the next recording."""


class FedSound:
    """In place of the supervised microphone."""

    rate_hz = RATE_HZ
    channels = 1
    drops = 0
    recovering = stuck = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._began_s = time.time()
        self._heard = 0
        self._blocks: Iterator[Floats] = iter(())
        self._playing: Path | None = None

    def open(self) -> None:
        """Nothing is to be opened."""

    def close(self) -> None:
        """Nothing is to be closed."""

    def fill(self, ring: RingBuffer, _timeout_s: float) -> bool:
        """Write the next seconds; what was written before has been analysed by now."""
        block = next(self._blocks, None)
        if block is not None:
            ring.write(block)
            self._heard += len(block)
            return True
        if self._playing is not None:
            self._playing.unlink()
        self._playing = min(self._folder.glob("*.flac"), default=None)
        if self._playing is None:
            time.sleep(_LOOK_S)
        else:
            self._blocks = soundfile.blocks(self._playing, _BLOCK_S * RATE_HZ, dtype="float32")
        return True

    def heard_s(self) -> float:
        """Monotonic seconds."""
        return self._heard / RATE_HZ

    def now_s(self) -> float:
        """UTC."""
        return self._began_s + self.heard_s()


class FedDaemon(LiveDaemon):
    """One such daemon."""

    def __init__(self, folder: Path, **settings: object) -> None:
        super().__init__(folder, {}, **settings)
        self._feed = folder / "feed"
        self._feed.mkdir()
        self._fed = 0

    def start(
        self, *arguments: str, program: tuple[str, ...] = (sys.executable, "-m", "tests.fed_daemon")
    ) -> None:
        super().start(*arguments, program=(*program, str(self._feed)))

    def hear(self, recording: Path, patience_s: float = 300.0) -> None:
        """Let it hear a FLAC file at `RATE_HZ` on the same disk; wait until it has."""
        self._fed += 1
        heard = self._feed / f"{self._fed:06}.flac"
        os.link(recording, heard)
        self.until(lambda: not heard.exists(), f"{recording} to be heard", patience_s)


def main() -> int:
    """Run the daemon."""
    sound = FedSound(Path(sys.argv[1]))
    clock = partial(StreamClock, monotonic=sound.heard_s, wall=sound.now_s)
    with (
        patch("rainwatchd.service.daemon.SupervisedMicrophone", lambda *_: sound),
        patch("rainwatchd.service.listener.StreamClock", clock),
    ):
        return rainwatchd(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
