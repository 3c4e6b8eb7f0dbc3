"""Real sounds over a site's own clips: what must be found although the nuisance goes on.

A clip alone teaches that it is nothing; the same clip with a saw over it keeps the model from
learning that nothing near it is anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from rainwatchd.audio.formats import SUFFIXES
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.model_spec import ModelSpec
from training.adaptation.features import FeatureReader
from training.adaptation.labels import Labelled
from training.adaptation.trial import PARTS, Example, divided
from training.dataset.manifest import read_manifest
from training.soundscape.looping import looped
from training.soundscape.snr import gain_for

REAL = Path(__file__).parents[2] / "tests" / "recordings"
"""What comes with the checkout."""

RATIOS_DB = {"chainsaw": (0.0, -5.0, -10.0)}
"""How far over the clip a class is laid, power in the band of `snr.BAND_HZ`."""

_RATIOS_DB = (0.0,)
"""The same of any other class."""

_WEATHER = "storm"
"""Nobody is sent out for it."""

_LENGTH_S = (12.0, 30.0)
"""A shorter clip is played again and again, of a longer one only the first part is taken."""


class Mixer:
    """Recordings of what must be found, by class, at a model's rate."""

    def __init__(self, folder: Path, spec: ModelSpec) -> None:
        """Read the class folders below `folder`; raise `RainwatchError` where there are none."""
        self._rate_hz = spec.sample_rate_hz
        known = _recordings(folder)
        self._real = {
            label: self._by_recording(_sounds(folder / label), known)
            for label in spec.decision
            if label != _WEATHER
        }
        if not any(self._real.values()):
            raise RainwatchError(
                f"{folder}: no recordings of what must be found; give folders by class"
            )

    def _by_recording(self, paths: Sequence[Path], known: Mapping[Path, str]) -> list[list[Floats]]:
        """Return the sounds of each recording; without a manifest each file is one."""
        together: dict[str, list[Floats]] = {}
        for path in paths:
            name = known.get(path.resolve(), str(path))
            together.setdefault(name, []).append(_read(path, self._rate_hz))
        return list(together.values())

    def over(self, clip: Labelled, turn: int, share: int) -> list[tuple[Labelled, Floats]]:
        """Return mixes over a clip, each with its label; `turn` chooses the recordings.

        Only every `PARTS`-th recording is taken, from `share` on, so that what is held out is
        tried with others than were learned from.
        """
        quiet = _read(clip.path, self._rate_hz)
        first_s, last_s = clip.sound_s or (0.0, quiet.size / self._rate_hz)
        sound = quiet[round(first_s * self._rate_hz) : round(last_s * self._rate_hz)]
        shortest, longest = (round(length_s * self._rate_hz) for length_s in _LENGTH_S)
        if not sound.size:
            return []
        bed = looped([quiet], min(longest, max(shortest, quiet.size)), 0.0, self._rate_hz)
        mixes = []
        for label, recordings in self._real.items():
            for step, ratio_db in enumerate(RATIOS_DB.get(label, _RATIOS_DB)):
                mine = [sound for sounds in recordings[share::PARTS] for sound in sounds]
                if mine:
                    real = looped([mine[(turn + step) % len(mine)]], bed.size, 0.0, self._rate_hz)
                    try:
                        gain = gain_for(real, sound, ratio_db, self._rate_hz)
                    except ValueError:
                        # Silence in the band, in one of them.
                        continue
                    laid = bed + np.float32(gain) * real
                    heard = laid / max(np.float32(1.0), np.abs(laid).max())
                    mixes.append((Labelled(clip.path, label, None), heard))
        return mixes


def mixed(
    examples: Sequence[Example], mixer: Mixer, reader: FeatureReader, watch: Callable[[int], None]
) -> list[Example]:
    """Return the examples, those that must raise no alert with mixes over them.

    `watch` is told how many are done.
    """
    done = []
    for share, part in enumerate(divided(examples)):
        for turn, example in enumerate(part):
            mixes = mixer.over(example.labelled, turn, share) if example.quiet else []
            over = [Example(labelled, reader.hear_sound(sound)) for labelled, sound in mixes]
            done.append(replace(example, over=tuple(over)))
            watch(len(done))
    return done


def _recordings(folder: Path) -> dict[Path, str]:
    """Return which recording each file is of, by the folder's manifest if it has one."""
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        return {}
    return {clip.path.resolve(): clip.recording for clip in read_manifest(manifest)}


def _sounds(folder: Path) -> list[Path]:
    found = folder.rglob("*") if folder.is_dir() else ()
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES)


def _read(path: Path, rate_hz: int) -> Floats:
    try:
        samples, own_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.SoundFileError) as error:
        raise RainwatchError(f"{path}: {error}") from error
    return np.asarray(soxr.resample(samples.mean(axis=1), own_hz, rate_hz), dtype=np.float32)
