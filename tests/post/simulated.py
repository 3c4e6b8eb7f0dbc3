"""A device without a microphone: the daemon as it is, hearing recordings in a circle instead.

Usage: python -m tests.post.simulated RECORDINGS CONFIG
    RECORDINGS  a text file with a path a line: the order in which they are heard
    CONFIG      the daemon's YAML file
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import soundfile
import soxr

from rainwatchd.audio.capture.supervision import SupervisedMicrophone
from rainwatchd.audio.options import AudioOptions
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.cli import main
from rainwatchd.errors import Report

RATE_HZ = 16_000
BLOCK = RATE_HZ // 5

PLAYLIST = "RAINWATCH_PLAYLIST"
"""Environment variable that names the file of recordings."""


class PlayedMicrophone(SupervisedMicrophone):
    """Hears recordings one after another, at the pace of time."""

    def __init__(self, options: AudioOptions, report: Report) -> None:
        super().__init__(options, report)
        self.rate_hz, self.channels = RATE_HZ, 1
        paths = [Path(line) for line in Path(os.environ[PLAYLIST]).read_text().splitlines()]
        self._blocks = _blocks(paths)
        self._due_s = 0.0

    @property
    def recovering(self) -> bool:
        """Never."""
        return False

    def open(self) -> None:
        """Start the clock."""
        self._due_s = time.monotonic()

    def fill(self, ring: RingBuffer, timeout_s: float) -> bool:
        """Write what was to be heard since the last call."""
        time.sleep(max(0.0, min(timeout_s, self._due_s - time.monotonic())))
        while self._due_s <= time.monotonic():
            ring.write(next(self._blocks))
            self._due_s += BLOCK / RATE_HZ
        return True

    def close(self) -> None:
        """Nothing is open."""


def _blocks(paths: list[Path]) -> Iterator[Floats]:
    for path in itertools.cycle(paths):
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        sound = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ).astype(np.float32)
        for start in range(0, len(sound) - BLOCK + 1, BLOCK):
            yield sound[start : start + BLOCK]


if __name__ == "__main__":
    playlist, config = sys.argv[1:]
    os.environ[PLAYLIST] = playlist
    with patch("rainwatchd.service.daemon.SupervisedMicrophone", PlayedMicrophone):
        sys.exit(main(["--config", config]))
