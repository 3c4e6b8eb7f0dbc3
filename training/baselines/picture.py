"""The picture: a mel spectrogram drawn by matplotlib, read back as an image of 224 x 224.

The way of the article that the project follows: librosa at 22,050 Hz, decibels below the
window's maximum, `specshow`, PNG, nearest-neighbour resize.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats

RATE_HZ = 22050
SIDE = 224
"""Pixels on each side."""

_FIGURE = (480, 640)
"""Rows and columns of matplotlib's figure at its default size."""

Picture = NDArray[np.uint8]


def drawn(samples: Floats, path: Path) -> Picture:
    """Return the picture of `samples` by way of a PNG at `path`, shape ``(224, 224, 3)``."""
    import librosa
    import matplotlib
    from PIL import Image

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure()
    figure.add_subplot(1, 1, 1)
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1)
    librosa.display.specshow(_decibels(samples), sr=RATE_HZ)
    figure.savefig(path)
    pyplot.close(figure)
    with Image.open(path) as image:
        resized = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.NEAREST)
        return np.asarray(resized)


def computed(samples: Floats) -> Picture:
    """Return the same picture without matplotlib or a file; identical but at the very edge.

    A pixel's colour is that of the spectrogram's cell under its centre: `specshow` draws
    sequential data in magma, of which entry ``min(int((S - min) / (max - min) * 256), 255)``
    is taken; rows count from the top.
    """
    decibels = _decibels(samples)
    bands, frames = decibels.shape
    low, high = decibels.min(), decibels.max()
    level = (decibels - low) / max(float(high - low), 1e-9) * 256
    entry = np.minimum(level.astype(np.int64), 255)
    rows = _FIGURE[0] - 1 - _sampled(_FIGURE[0])
    columns = _sampled(_FIGURE[1])
    band = ((rows + 0.5) * bands / _FIGURE[0]).astype(int)
    frame = ((columns + 0.5) * frames / _FIGURE[1]).astype(int)
    picture: Picture = _magma()[entry[np.ix_(band, frame)]]
    return picture


def _decibels(samples: Floats) -> Floats:
    import librosa

    power = librosa.feature.melspectrogram(y=samples, sr=RATE_HZ)
    decibels: Floats = librosa.power_to_db(power, ref=np.max)
    return decibels


def _sampled(pixels: int) -> NDArray[np.int64]:
    """Which of `pixels` a nearest-neighbour resize to 224 keeps."""
    from PIL import Image

    # Pillow's own sums decide where a pixel's centre falls between two.
    line = Image.fromarray(np.arange(pixels, dtype=np.int32)[np.newaxis])
    kept: NDArray[np.int64] = np.asarray(line.resize((SIDE, 1), Image.Resampling.NEAREST))[0]
    return kept


def _magma() -> NDArray[np.uint8]:
    import matplotlib

    table = matplotlib.colormaps["magma"](np.arange(256))[:, :3]
    return np.floor(table * 255 + 0.5).astype(np.uint8)
