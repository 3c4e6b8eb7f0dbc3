"""New windows from the layers of old ones: other company, another ratio, another microphone.

All of it in the log-mel domain, where a window costs a twentieth of what mixing sound does, so
that no two epochs hear the same window. Powers add: 10 log10(10^(a/10) + 10^(b/10)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.log_mel import FLOOR_DB, MelSpec, band_edges_hz
from training.soundscape.examples import Allowed, Examples, Halves
from training.soundscape.mixer import LABELS, MACHINES, Recipe, target
from training.soundscape.snr import BAND_HZ

_NEPERS = np.float32(np.log(10.0) / 10.0)

_BED_SHARE = 0.5
_BED_DB = (-20.0, 0.0)
"""Share of windows that get a second ambience, and its level against the first."""

_MORE_DB = (-25.0, -6.0)
"""The same for what came mixed, and would drown."""

_SILENT_SHARE = 0.04
_SILENT_DB = (-99.0, -70.0)
"""Share of ambiences that are next to nothing, and their level: files padded with silence."""

_OVER_SILENCE_DB = (10.0, 70.0)

_SECOND_DISTRACTOR = 0.3
_DISTRACTOR_DB = (-12.0, 6.0)
_ALONE = 0.2
"""Share of background windows whose distractor is left out."""

_RESPONSE_DB = 3.0
_KNOTS = 6
"""Spread and number of the points of a microphone's response."""

_LOW_CUT_SHARE = 0.3
_LOW_CUT_HZ = (20.0, 150.0)
_NOISE_SHARE = 0.5
_NOISE_DB = (-40.0, -3.0)
"""Self-noise against the window's median."""

_MASK_SHARE = 0.5


class Remix:
    """Draws training windows; the same generator state gives the same windows."""

    def __init__(
        self,
        examples: Examples,
        mel: MelSpec,
        recipe: Recipe,
        frames: int,
        allowed: Allowed | None = None,
        *,
        machines: bool = False,
    ) -> None:
        """`frames` is a window's length; examples are longer, and cut at random.

        Only `allowed` layers are used. With `machines` each of `MACHINES` is a class of its own.
        """
        edge_hz = band_edges_hz(mel)
        self._centre_hz = edge_hz[1:-1]
        # A Slaney band is a triangle of unit area: its power is its value times half its width.
        inside = (self._centre_hz >= BAND_HZ[0]) & (self._centre_hz <= BAND_HZ[1])
        self._width = ((edge_hz[2:] - edge_hz[:-2]) / 2.0 * inside).astype(np.float32)
        self._examples = examples
        self._recipe = recipe
        self._frames = frames
        self._machines = machines
        whole = np.ones(len(examples.apart), bool)
        bed, event = (allowed.bed, allowed.event) if allowed else (whole, whole)
        loud = np.array([window.max() > FLOOR_DB for window in examples.event])
        self._label = examples.target.argmax(axis=1)
        self._chosen = np.flatnonzero(event & (examples.apart | bed))
        self._beds = np.flatnonzero(examples.apart & bed)
        self._distractors = np.flatnonzero(examples.apart & loud & event & (self._label == 0))

    def __len__(self) -> int:
        """Return the number of examples to choose from."""
        return len(self._chosen)

    def batch(self, chosen: NDArray[np.intp], rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return ``log_mel (n, n_mels, frames)`` and ``target (n, classes)`` for examples."""
        pairs = [self._window(index, rng) for index in self._chosen[chosen]]
        log_mel = np.stack([window for window, _ in pairs])
        return log_mel, np.stack([wanted for _, wanted in pairs])

    def _window(self, index: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        machine = int(self._examples.machine[index])
        if self._examples.apart[index]:
            window, wanted, machine = self._mixed(index, machine, rng)
        else:
            window = self._cut(self._examples.log_mel[index], rng)
            wanted = self._examples.target[index]
            if rng.random() < _BED_SHARE:
                window = _add(window, self._bed(rng), rng.uniform(*_MORE_DB))
        if self._machines:
            wanted = with_machine(wanted, machine)
        return self._masked(self._microphone(window, rng), rng), wanted

    def _mixed(
        self, index: int, machine: int, rng: np.random.Generator
    ) -> tuple[Floats, Floats, int]:
        """Lay the example's event over any ambience at a ratio drawn anew.

        Returns the window, its target, and `machine` where it is still there to hear.
        """
        bed = self._bed(rng)
        if rng.random() < _BED_SHARE:
            bed = _add(bed, self._bed(rng), rng.uniform(*_BED_DB))
        label = LABELS[self._label[index]]
        event = self._cut(self._examples.event[index], rng)
        if event.max() <= FLOOR_DB or (label == "background" and rng.random() < _ALONE):
            return bed, target("background", 0.0), 0
        if label == "background" and rng.random() < _SECOND_DISTRACTOR:
            other = self._cut(self._examples.event[rng.choice(self._distractors)], rng)
            event = _sum(event, other + np.float32(rng.uniform(*_DISTRACTOR_DB)))
        elif rng.random() < 0.5:
            event = np.roll(event, rng.integers(event.shape[1]), axis=1)
        silent = bed.max() <= _SILENT_DB[1]
        snr_db = rng.uniform(*(_OVER_SILENCE_DB if silent else self._recipe.snr_db_of(label)))
        envelope_db, span = _envelope(event.shape[1], self._recipe.partial, rng)
        ratio = self._power(event[:, span]) / max(self._power(bed[:, span]), 1e-12)
        gain_db = snr_db - 10.0 * np.log10(max(ratio, 1e-12))
        window = _sum(bed, event + np.float32(gain_db) + envelope_db)
        return window, target(label, snr_db), machine

    def _bed(self, rng: np.random.Generator) -> Floats:
        if rng.random() < _SILENT_SHARE:
            level_db = np.float32(rng.uniform(*_SILENT_DB))
            return np.full((self._centre_hz.size, self._frames), level_db, np.float32)
        return self._cut(self._examples.log_mel[rng.choice(self._beds)], rng)

    def _cut(self, example: Halves, rng: np.random.Generator) -> Floats:
        first = int(rng.integers(example.shape[1] - self._frames + 1))
        return example[:, first : first + self._frames].astype(np.float32)

    def _power(self, log_mel: Floats) -> float:
        """Mean power in the band where ratios are taken."""
        return float((self._width @ np.exp(log_mel * _NEPERS)).mean())

    def _microphone(self, window: Floats, rng: np.random.Generator) -> Floats:
        """Frequency response, low cut and self-noise."""
        knots = rng.normal(0.0, _RESPONSE_DB, _KNOTS)
        at = np.linspace(0.0, _KNOTS - 1.0, window.shape[0])
        response = np.interp(at, np.arange(_KNOTS), knots)
        if rng.random() < _LOW_CUT_SHARE:
            # One pole: a foam windshield, the coupling capacitor.
            response -= 10.0 * np.log10(1.0 + (rng.uniform(*_LOW_CUT_HZ) / self._centre_hz) ** 2)
        window += response[:, np.newaxis].astype(np.float32)
        if rng.random() < _NOISE_SHARE:
            level_db = np.median(window) + rng.uniform(*_NOISE_DB)
            noise = rng.normal(level_db, 1.5, window.shape).astype(np.float32)
            window = _sum(window, noise)
        return window

    def _masked(self, window: Floats, rng: np.random.Generator) -> Floats:
        """Hide a stripe of bands and one of frames (SpecAugment, Park et al. 2019)."""
        n_mels, frames = window.shape
        middle = np.median(window)
        if rng.random() < _MASK_SHARE:
            width = int(rng.integers(1, max(2, n_mels // 8)))
            first = int(rng.integers(n_mels - width))
            window[first : first + width] = middle
        if rng.random() < _MASK_SHARE:
            width = int(rng.integers(1, max(2, frames // 6)))
            first = int(rng.integers(frames - width))
            window[:, first : first + width] = middle
        return window


def with_machine(target: Floats, machine: int) -> Floats:
    """Return `target` ``(classes,)`` with a class more for each of `MACHINES`.

    What a distractor's ``background`` is worth goes to the machine that it is, from 1.
    """
    wider: Floats = np.pad(target, (0, len(MACHINES)))
    if machine:
        wider[target.size - 1 + machine] = wider[0]
        wider[0] = 0.0
    return wider


def _sum(first: Floats, second: Floats) -> Floats:
    added: Floats = np.logaddexp(first * _NEPERS, second * _NEPERS) / _NEPERS
    return added


def _add(window: Floats, bed: Floats, ratio_db: float) -> Floats:
    """Lay `bed` under `window`, their medians `ratio_db` apart."""
    return _sum(window, bed + np.float32(np.median(window) + ratio_db - np.median(bed)))


def _envelope(
    frames: int, partial: float, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.bool_]]:
    """Let an event begin or end within the window now and then; 35 % or more of it stays in.

    It begins there more often than it ends: an alert that comes early is worth more than one
    that goes early.

    Returns the event's level in dB, shape ``(frames,)``, and where it is heard.
    """
    if rng.random() >= partial:
        return np.zeros(frames, np.float32), np.ones(frames, bool)
    gain = np.ones(frames)
    cut = int(rng.uniform(0.05, 0.65) * frames)
    if rng.random() < 0.7:
        gain[:cut] = 0.0
    else:
        gain[frames - cut :] = 0.0
    width = 2 * int(rng.integers(0, 5)) + 1
    gain = np.convolve(np.pad(gain, width // 2, mode="edge"), np.ones(width) / width, "valid")
    return (20.0 * np.log10(gain + 1e-6)).astype(np.float32), gain > 0.3
