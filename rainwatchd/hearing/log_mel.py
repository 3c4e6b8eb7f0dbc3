"""Log-mel spectrogram frames, streamed: each frame is computed once, whatever the block size.

The figures are those of ``librosa.power_to_db(librosa.feature.melspectrogram(..., center=False),
top_db=None)``: Hann window, power spectrum, Slaney mel filters with area normalisation, and
decibels re 1.0 with a floor of 1e-10 (-100 dB).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats

FLOOR_DB = -100.0
"""What silence measures: ``10 * log10(1e-10)``, librosa's ``amin``."""

_BLOCK_FRAMES = 32
"""Frames transformed at once: about 0.5 MB of work, which stays in a small processor's cache."""


@dataclass(frozen=True)
class MelSpec:
    """Parameters of the log-mel front-end, all of them taken from the model file."""

    sample_rate_hz: int
    n_fft: int
    hop_length: int
    n_mels: int
    fmin_hz: float
    fmax_hz: float

    def frames_in(self, duration_s: float) -> int:
        """Frames that a span of `duration_s` holds, to the nearest hop."""
        return round(duration_s * self.sample_rate_hz / self.hop_length)

    def samples_in(self, frames: int) -> int:
        """Samples that `frames` consecutive frames are computed from."""
        return (frames - 1) * self.hop_length + self.n_fft if frames > 0 else 0


def mel_filters(spec: MelSpec) -> Floats:
    """Return the mel filter bank, shape ``(n_mels, 1 + n_fft // 2)``.

    Slaney's mel scale (Auditory Toolbox, 1998) with triangles of unit area, as
    ``librosa.filters.mel(..., htk=False, norm="slaney")``.
    """
    bin_hz = np.fft.rfftfreq(spec.n_fft, 1.0 / spec.sample_rate_hz)
    edge_hz = band_edges_hz(spec)
    width_hz = np.diff(edge_hz)
    ramp_hz = edge_hz[:, np.newaxis] - bin_hz
    rising = -ramp_hz[:-2] / width_hz[:-1, np.newaxis]
    falling = ramp_hz[2:] / width_hz[1:, np.newaxis]
    area = 2.0 / (edge_hz[2:] - edge_hz[:-2])
    return (np.maximum(0.0, np.minimum(rising, falling)) * area[:, np.newaxis]).astype(np.float32)


def band_edges_hz(spec: MelSpec) -> NDArray[np.float64]:
    """Return shape ``(n_mels + 2,)``: band i starts at edge i, peaks at i + 1, ends at i + 2."""
    low_mel, high_mel = _hz_to_mel(np.array([spec.fmin_hz, spec.fmax_hz]))
    return _mel_to_hz(np.linspace(low_mel, high_mel, spec.n_mels + 2))


class LogMel:
    """Turns a stream of samples into log-mel frames.

    Equal to librosa with ``center=False`` for every split of the input into blocks: what is
    left over of one block is kept for the next. Call `reset` where the stream has a gap.
    """

    def __init__(self, spec: MelSpec) -> None:
        self.spec = spec
        self._filters = mel_filters(spec)
        # Periodic Hann, as scipy.signal.get_window("hann", n_fft, fftbins=True). It stays in
        # double precision, as in librosa: a pure tone's far bands lie below single precision.
        phase = np.arange(spec.n_fft) * (2.0 * np.pi / spec.n_fft)
        self._window = 0.5 - 0.5 * np.cos(phase)
        self._pending: Floats = np.zeros(0, np.float32)

    def reset(self) -> None:
        """Forget the samples that have not filled a frame yet."""
        self._pending = np.zeros(0, np.float32)

    def push(self, samples: Floats) -> Floats:
        """Take float32 samples, shape ``(n,)``; return dB, shape ``(n_mels, new frames)``."""
        spec = self.spec
        joined = np.concatenate((self._pending, samples)) if self._pending.size else samples
        count = max(0, 1 + (joined.size - spec.n_fft) // spec.hop_length)
        out = np.empty((spec.n_mels, count), np.float32)
        if count:
            frames = np.lib.stride_tricks.sliding_window_view(joined, spec.n_fft)
            frames = frames[:: spec.hop_length]
            for first in range(0, count, _BLOCK_FRAMES):
                block = slice(first, min(first + _BLOCK_FRAMES, count))
                spectrum = np.fft.rfft(frames[block] * self._window).astype(np.complex64)
                power = spectrum.real**2 + spectrum.imag**2
                np.matmul(self._filters, power.T, out=out[:, block])
            np.maximum(out, np.float32(1e-10), out=out)
            np.log10(out, out=out)
            out *= np.float32(10.0)
        self._pending = joined[count * spec.hop_length :].copy()
        return out

    def pass_over(self, samples: Floats) -> None:
        """Take samples as `push` does, for the frames that come behind them alone."""
        spec = self.spec
        joined = np.concatenate((self._pending, samples))
        count = max(0, 1 + (joined.size - spec.n_fft) // spec.hop_length)
        self._pending = joined[count * spec.hop_length :].copy()


def _hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = hz * (3.0 / 200.0)
    return np.where(hz < 1000.0, linear, 15.0 + np.log(np.maximum(hz, 1e-9) / 1000.0) * _PER_LOG)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * (200.0 / 3.0), 1000.0 * np.exp((mel - 15.0) / _PER_LOG))


_PER_LOG = 27.0 / np.log(6.4)
"""Mels per unit of natural logarithm above 1 kHz."""
