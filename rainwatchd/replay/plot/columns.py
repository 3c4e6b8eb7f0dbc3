"""What a picture keeps of a recording of any length: a long-term spectrogram and minutes' maxima.

Both hold a bounded number of cells of equal length; once all are taken, neighbours are merged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats

Doubles = NDArray[np.float64]


class Columns:
    """The mean power of frames, as many to a column as are needed for at most `most` columns."""

    def __init__(self, n_mels: int, most: int) -> None:
        """`most` is even, so that columns can be merged in pairs."""
        self._power: Doubles = np.zeros((n_mels, most))
        self._counts = np.zeros(most)
        self._frames = 0
        self.frames_each = 1
        """How many frames a column stands for."""

    @property
    def levels_db(self) -> Doubles:
        """Shape ``(n_mels, columns)``; NaN where no sound was."""
        columns = -(-self._frames // self.frames_each)
        with np.errstate(divide="ignore", invalid="ignore"):
            levels: Doubles = 10.0 * np.log10(self._power[:, :columns] / self._counts[:columns])
        return levels

    def push(self, frames: Floats) -> None:
        """Take dB, shape ``(n_mels, n)``."""
        power = 10.0 ** (frames.astype(np.float64) / 10.0)
        while power.shape[1]:
            column, room = self._column()
            self._power[:, column] += power[:, :room].sum(axis=1)
            taken = min(room, power.shape[1])
            self._counts[column] += taken
            self._frames += taken
            power = power[:, room:]

    def skip(self, frames: int) -> None:
        """Leave a gap that long."""
        while frames > 0:
            _, room = self._column()
            self._frames += min(room, frames)
            frames -= room

    def _column(self) -> tuple[int, int]:
        """Return the column of the next frame and how many frames it takes."""
        while self._frames >= self._counts.size * self.frames_each:
            half = self._counts.size // 2
            for cells in (self._power, self._counts):
                cells[..., :half] = cells[..., ::2] + cells[..., 1::2]
                cells[..., half:] = 0.0
            self.frames_each *= 2
        return self._frames // self.frames_each, self.frames_each - self._frames % self.frames_each


class Maxima:
    """The highest of several curves in each minute, or in 2, 4, 8 ... minutes."""

    def __init__(self, curves: int, most: int) -> None:
        """`most` is even, so that cells can be merged in pairs."""
        self._cells: Doubles = np.zeros((curves, most))
        self._taken = 0
        self.cell_s = 60.0
        """How long a cell is."""

    @property
    def cells(self) -> Doubles:
        """Shape ``(curves, cells)``; 0 where nothing was heard."""
        return self._cells[:, : self._taken]

    def push(self, curve: int, at_s: float, value: float) -> None:
        """Take one value of a curve."""
        while at_s >= self._cells.shape[1] * self.cell_s:
            half = self._cells.shape[1] // 2
            self._cells[:, :half] = np.maximum(self._cells[:, ::2], self._cells[:, 1::2])
            self._cells[:, half:] = 0.0
            self._taken = -(-self._taken // 2)
            self.cell_s *= 2
        cell = int(at_s // self.cell_s)
        self._taken = max(self._taken, cell + 1)
        self._cells[curve, cell] = np.fmax(self._cells[curve, cell], value)
