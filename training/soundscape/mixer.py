"""The seeded mixer: one window of forest, and what there may be to hear in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rainwatchd.audio.samples import Floats
from training.dataset import Clip, DataError
from training.soundscape.engine_synth import draw_machine, synthesise
from training.soundscape.library import Library
from training.soundscape.mains import mains_noise
from training.soundscape.propagation import Path, coloured_noise, rain_on_housing
from training.soundscape.snr import gain_for

LABELS = ("background", "chainsaw", "engine", "storm")

MACHINES: Mapping[str, re.Pattern[str]] = {
    "flight": re.compile("aircraft|helicopter|airplane|propeller|jet$|drone"),
    "rail": re.compile("train|subway|tram|roller_coaster"),
    "tool": re.compile(
        "drill|saw|grinder|mower|tractor|jackhammer|trimmer|blower|tool|factory|garage|sharpener"
        "|conditioner|vacuum|washing|blender|dryer|shaver|opener|compressed|hydraulics|turbine"
    ),
}
"""Machines that are ``other``, by their sub-label: what is taken for an engine most often."""

LAYERS = 2
"""Recordings that an ambience or an event is laid of at most."""

_NEXT = 1_000_003
"""Further on, where an index drew silence."""

_LAYER_LEVEL = 0.03

_SILENT = 1e-6
"""Root mean square under which a drawn stretch holds nothing to mix."""


@dataclass(frozen=True)
class Recipe:
    """Shares and ranges of what is mixed."""

    rate_hz: int = 16000
    length: int = 65536
    """Samples: a power of two, whose Fourier transform is fast, and just over 4 s."""
    shares: tuple[float, ...] = (0.40, 0.23, 0.30, 0.07)
    """Of `LABELS`."""
    ready: float = 0.2
    """Share of examples that are mixed as sound, clipping and all; see
    `training.soundscape.remix`."""
    snr_db: tuple[float, float] = (-18.0, 20.0)
    engine_snr_db: tuple[float, float] = (-14.0, 20.0)
    distractor_snr_db: tuple[float, float] = (-12.0, 20.0)
    storm_snr_db: tuple[float, float] = (0.0, 20.0)
    level_dbfs: tuple[float, float] = (-60.0, -12.0)
    synthetic_engine: float = 0.2
    """Share of engines that are procedural."""
    synthetic_chainsaw: float = 0.05
    distractor: float = 0.75
    """Share of background windows with a distractor in the foreground."""
    other: float = 0.7
    """Share of distractors that are ``other``; what is left is ambience in the foreground."""
    mains: float = 0.12
    """Share of ambiences with hum, buzz, whine or clicks of the mains under or over them."""
    mains_db: tuple[float, float] = (-35.0, 6.0)
    """Its level against the ambience."""
    partial: float = 0.35
    """Share of events that begin or end within the window."""

    def snr_db_of(self, label: str) -> tuple[float, float]:
        """Range of ratios at which a class of `LABELS` is mixed."""
        return {
            "background": self.distractor_snr_db,
            "chainsaw": self.snr_db,
            "engine": self.engine_snr_db,
            "storm": self.storm_snr_db,
        }[label]


@dataclass(frozen=True)
class Layers:
    """One example before it is mixed; each with a root mean square of 0.03."""

    bed: Floats
    """Ambience, shape ``(length,)``."""
    event: Floats | None
    """What is heard over it, at a distance; None: ambience alone."""
    label: str
    """One of `LABELS`; a distractor is background."""
    machine: int
    """Place of the distractor's kind in `MACHINES`, from 1; 0 where it is none of them."""
    bed_of: tuple[str, ...]
    event_of: tuple[str, ...]
    """Recordings that they were cut from, `LAYERS` at most."""


@dataclass(frozen=True)
class Mixture:
    """One example."""

    samples: Floats
    """Shape ``(length,)``, within -1 to 1."""
    target: Floats
    """Shape ``(4,)``, sums to 1; a hardly audible event is only half believed."""
    snr_db: float
    """NaN where there is no event."""
    machine: int
    bed_of: tuple[str, ...]
    event_of: tuple[str, ...]
    """As in `Layers`."""


@dataclass(frozen=True)
class _Sound:
    """A layer, the recordings in it, and the machine that it is."""

    samples: Floats
    of: tuple[str, ...]
    machine: int = 0


class Mixer:
    """Draws mixtures; the same seed and index give the same mixture on any machine.

    Raises `DataError` when the library lacks one of `LABELS`.
    """

    def __init__(self, library: Library, recipe: Recipe, seed: int) -> None:
        missing = sorted(set(LABELS) - set(library.labels))
        if missing:
            raise DataError(
                f"no usable {missing[0]} recordings to train on: add clips of 0.4 s or more"
            )
        self._library = library
        self._recipe = recipe
        self._seed = seed
        self._path = Path(recipe.rate_hz)

    def layers(self, index: int) -> Layers:
        """Return what example `index` is made of."""
        rng = np.random.default_rng([self._seed, index])
        label = LABELS[rng.choice(len(LABELS), p=self._recipe.shares)]
        bed = self._bed(rng)
        event, _ = self._foreground(label, rng)
        if event and float(np.sqrt(np.mean(event.samples**2))) < _SILENT:
            return self.layers(index + _NEXT)
        level = np.float32(_LAYER_LEVEL)
        return Layers(
            _unit(bed.samples) * level,
            _unit(event.samples) * level if event else None,
            label,
            event.machine if event else 0,
            bed.of,
            event.of if event else (),
        )

    def mixture(self, index: int) -> Mixture:
        """Return example `index` as a microphone hears it."""
        rng = np.random.default_rng([self._seed, index])
        recipe = self._recipe
        label = LABELS[rng.choice(len(LABELS), p=recipe.shares)]
        bed = self._bed(rng)
        event, snr_db = self._foreground(label, rng)
        if event is None:
            mixed = bed.samples
        else:
            sound, span = self._placed(event.samples, rng)
            try:
                gain = gain_for(sound[span], bed.samples[span], snr_db, recipe.rate_hz)
            except ValueError:
                return self.mixture(index + _NEXT)
            mixed = bed.samples + np.float32(gain) * sound
        level_dbfs = rng.uniform(*recipe.level_dbfs)
        return Mixture(
            self._path.microphone(mixed, level_dbfs, rng),
            target(label, snr_db),
            snr_db if label != "background" else float("nan"),
            event.machine if event else 0,
            bed.of,
            event.of if event else (),
        )

    def _bed(self, rng: np.random.Generator) -> _Sound:
        """One or two layers of ambience, sometimes rain, wind, noise or the mains among them."""
        recipe = self._recipe
        bed = np.zeros(recipe.length, np.float32)
        recordings: tuple[str, ...] = ()
        for layer in range(1 + (rng.random() < 0.4)):
            draw = rng.random()
            if draw < 0.72:
                drawn = self._draw("background", rng, (0.8, 1.25))
                sound = drawn.samples
                recordings += drawn.of
            elif draw < 0.9:
                sound = coloured_noise(recipe.length, recipe.rate_hz, rng)
            else:
                drawn = self._draw("background", rng, (0.8, 1.25))
                recordings += drawn.of
                drops = rain_on_housing(recipe.length, recipe.rate_hz, rng)
                sound = _unit(drawn.samples) + drops * np.float32(10.0 ** rng.uniform(-1.0, 1.0))
            bed += _unit(sound) * np.float32(10.0 ** (-rng.uniform(0.0, 15.0) * layer / 20.0))
        if rng.random() < recipe.mains:
            hum = mains_noise(recipe.length, recipe.rate_hz, rng)
            bed = _unit(bed) + _unit(hum) * np.float32(10.0 ** (rng.uniform(*recipe.mains_db) / 20))
        # A floor under the ambience, or a silent clip would leave a ratio to nothing.
        hiss = coloured_noise(recipe.length, recipe.rate_hz, rng)
        bed = bed + _unit(hiss) * np.float32(10.0 ** (rng.uniform(-60.0, -20.0) / 20.0))
        return _Sound(bed, recordings)

    def _foreground(self, label: str, rng: np.random.Generator) -> tuple[_Sound | None, float]:
        """Draw the event (None: ambience alone) and its ratio in dB."""
        recipe = self._recipe
        snr_db = rng.uniform(*recipe.snr_db_of(label))
        if label == "background":
            if rng.random() > recipe.distractor:
                return None, 0.0
            kind = label
            if rng.random() < recipe.other and "other" in self._library.labels:
                kind = "other"
            drawn = self._draw(kind, rng, (0.7, 1.4))
            return replace(drawn, samples=self._path.distance(drawn.samples, rng)), snr_db
        if label == "storm":
            return self._draw("storm", rng, (0.8, 1.25)), snr_db
        synthetic = recipe.synthetic_engine if label == "engine" else recipe.synthetic_chainsaw
        if rng.random() < synthetic:
            machine = draw_machine(label, rng)
            event = _Sound(synthesise(machine, recipe.length, recipe.rate_hz, rng), ())
        else:
            event = self._draw(label, rng, (0.7, 1.4))
        sound = self._path.distance(event.samples, rng)
        if rng.random() < 0.12:
            rain = self._draw("storm", rng, (0.8, 1.25))
            ratio = 10.0 ** (rng.uniform(-20.0, 0.0) / 20.0)
            sound = _unit(sound) + _unit(rain.samples) * np.float32(ratio)
            return _Sound(sound, event.of + rain.of), snr_db
        return replace(event, samples=sound), snr_db

    def _draw(self, label: str, rng: np.random.Generator, speeds: tuple[float, float]) -> _Sound:
        speed = float(np.exp(rng.uniform(*np.log(speeds)))) if rng.random() < 0.8 else 1.0
        for _ in range(20):
            drawn = self._library.draw(label, self._recipe.length, rng, speed)
            if float(np.sqrt(np.mean(drawn.samples**2))) > _SILENT:
                break
        return _Sound(drawn.samples, (drawn.clip.recording,), _machine(drawn.clip))

    def _placed(self, event: Floats, rng: np.random.Generator) -> tuple[Floats, slice]:
        """Let the event begin or end within the window now and then; half of it stays in."""
        length = event.size
        span = slice(0, length)
        if rng.random() < self._recipe.partial:
            cut = int(rng.uniform(0.05, 0.5) * length)
            span = slice(cut, length) if rng.random() < 0.5 else slice(0, length - cut)
            fade = min(int(rng.uniform(0.01, 0.6) * self._recipe.rate_hz), length // 4)
            envelope = np.zeros(length, np.float32)
            envelope[span] = 1.0
            ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
            if span.start:
                envelope[span.start : span.start + fade] = ramp
            else:
                envelope[span.stop - fade : span.stop] = ramp[::-1]
            event = event * envelope
        return event, span


def target(label: str, snr_db: float) -> Floats:
    """Return what to learn of an event at `snr_db`, shape ``(4,)``, summing to 1.

    Below -10 dB even a listener doubts; a saw or an engine at -18 dB is believed for 60 %.
    """
    doubtful = label in ("chainsaw", "engine")
    belief = min(1.0, max(0.6, 1.0 + (snr_db + 10.0) / 20.0)) if doubtful else 1.0
    wanted = np.zeros(len(LABELS), np.float32)
    wanted[LABELS.index(label)] = belief
    wanted[0] += 1.0 - belief
    return wanted


def _machine(clip: Clip) -> int:
    if clip.label != "other":
        return 0
    found = [
        place for place, kind in enumerate(MACHINES.values(), 1) if kind.search(clip.sub_label)
    ]
    return found[0] if found else 0


def _unit(sound: Floats) -> Floats:
    scaled: Floats = sound / np.float32(np.sqrt(np.mean(sound.astype(np.float64) ** 2)) + 1e-9)
    return scaled
