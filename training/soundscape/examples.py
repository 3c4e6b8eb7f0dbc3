"""Windows to train on as log-mel arrays on disk: made once, in shards, picked up after a stop."""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.log_mel import FLOOR_DB, LogMel, MelSpec
from training.dataset import Clip
from training.dataset import digest as data_digest
from training.soundscape.library import Library
from training.soundscape.mixer import LAYERS, Layers, Mixer, Mixture, Recipe, target

Halves = NDArray[np.float16]

SHARD = 250
"""Examples in one file; what an interruption can cost."""


@dataclass(frozen=True)
class Examples:
    """Arrays of one set of examples: mixed ones, and ones in two layers to be mixed later."""

    log_mel: Halves
    """dB of the whole mixture or, where `apart`, of its ambience; ``(n, n_mels, frames)``."""
    event: Halves
    """dB of what is heard over the ambience, `FLOOR_DB` where there is nothing; same shape."""
    apart: NDArray[np.bool_]
    """Whether the example is in two layers; shape ``(n,)``."""
    target: Floats
    """Of the event where it is clear, shape ``(n, classes)``."""
    snr_db: Floats
    """Of what is mixed, shape ``(n,)``; NaN where there is no event or no ratio yet."""
    machine: NDArray[np.int8]
    """Place of a distractor's kind in `MACHINES`, from 1; 0 for all else; shape ``(n,)``."""
    bed_of: NDArray[np.str_]
    event_of: NDArray[np.str_]
    """Recordings that the layers were cut from, empty where there are fewer; ``(n, LAYERS)``."""

    def without(self, recordings: Collection[str]) -> Allowed:
        """Return what holds none of `recordings`: one mixing serves all parts of a division."""
        names = list(recordings)
        bed, event = (np.isin(of, names).sum(axis=1) == 0 for of in (self.bed_of, self.event_of))
        return Allowed(bed, event)


@dataclass(frozen=True)
class Allowed:
    """Which layers may be used; each of shape ``(n,)``."""

    bed: NDArray[np.bool_]
    event: NDArray[np.bool_]


def make_examples(
    folder: Path,
    clips: Sequence[Clip],
    mel: MelSpec,
    frames: int,
    recipe: Recipe,
    *,
    count: int,
    seed: int,
    workers: int = 2,
) -> Examples:
    """Mix `count` examples of `clips` into `folder`, or load what is already there.

    A folder made from other clips, another recipe or another front-end is not mixed with this
    one: the settings are part of the folder's name.
    """
    settings = json.dumps(
        {"data": data_digest(clips), "mel": asdict(mel), "frames": frames, "seed": seed}
        | {"recipe": asdict(recipe)},
        sort_keys=True,
    )
    home = folder / hashlib.sha256(settings.encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    (home / "settings.json").write_text(settings)
    shards = [home / f"{first // SHARD:05d}.npz" for first in range(0, count, SHARD)]
    if any(not shard.exists() for shard in shards):
        with (home / "lock").open("w") as lock:
            # Runs that share a folder take turns: the second finds what the first has mixed.
            fcntl.flock(lock, fcntl.LOCK_EX)
            missing = [shard for shard in shards if not shard.exists()]
            if missing:
                mixer = Mixer(Library(clips, mel.sample_rate_hz, workers), recipe, seed)
                _write_all(missing, mixer, recipe, mel, frames=frames, workers=workers)
    parts = [np.load(shard) for shard in shards]
    arrays = [np.concatenate([part[name] for part in parts])[:count] for name in _ARRAYS]
    return Examples(*arrays)


def real_windows(
    folder: Path,
    clips: Sequence[Clip],
    mel: MelSpec,
    recipe: Recipe,
    window_s: float,
    *,
    count: int,
    seed: int,
) -> Examples:
    """Return held-out windows: real recordings only, mixed as sound."""
    frames = mel.frames_in(window_s)
    real = replace(
        recipe,
        length=mel.samples_in(frames),
        synthetic_engine=0.0,
        synthetic_chainsaw=0.0,
        ready=1.0,
    )
    return make_examples(folder, clips, mel, frames, real, count=count, seed=seed)


def _write_all(
    missing: Sequence[Path],
    mixer: Mixer,
    recipe: Recipe,
    mel: MelSpec,
    *,
    frames: int,
    workers: int,
) -> None:
    with ProcessPoolExecutor(
        workers, initializer=_prepare, initargs=(mixer, recipe, mel, frames)
    ) as pool:
        for done, _ in enumerate(pool.map(_write_shard, missing), start=1):
            print(f"\rmixing: {done} of {len(missing)} shards", end="", file=sys.stderr)
    print(file=sys.stderr)


_ARRAYS = tuple(field.name for field in fields(Examples))


class _Worker:
    """What each process of the pool keeps between shards."""

    mixer: Mixer
    recipe: Recipe
    log_mel: LogMel
    frames: int


def _prepare(mixer: Mixer, recipe: Recipe, mel: MelSpec, frames: int) -> None:
    _Worker.mixer = mixer
    _Worker.recipe = recipe
    _Worker.log_mel = LogMel(mel)
    _Worker.frames = frames


def _write_shard(path: Path) -> None:
    first = int(path.stem) * SHARD
    rows = [_example(index) for index in range(first, first + SHARD)]
    partial = path.with_suffix(".part.npz")
    columns = zip(_ARRAYS, zip(*rows, strict=True), strict=True)
    arrays = {name: np.stack(values) for name, values in columns}
    np.savez(partial, allow_pickle=False, **arrays)
    partial.rename(path)


def _example(index: int) -> tuple[Any, ...]:
    """Return example `index`, its values in the order of `Examples`."""
    # Spread evenly by the golden ratio, so that every shard holds both kinds.
    if (index * 0.618034) % 1.0 < _Worker.recipe.ready:
        mixed = _Worker.mixer.mixture(index)
        sound = (_log_mel(mixed.samples), _log_mel(None), False, mixed.target, mixed.snr_db)
        return (*sound, *_origin(mixed))
    layers = _Worker.mixer.layers(index)
    clear = target(layers.label, np.inf)
    sound = (_log_mel(layers.bed), _log_mel(layers.event), True, clear, float("nan"))
    return (*sound, *_origin(layers))


def _origin(made: Mixture | Layers) -> tuple[Any, ...]:
    def padded(names: tuple[str, ...]) -> NDArray[np.str_]:
        return np.array((*names, "", "")[:LAYERS])

    return np.int8(made.machine), padded(made.bed_of), padded(made.event_of)


def _log_mel(samples: Floats | None) -> Halves:
    if samples is None:
        return np.full((_Worker.log_mel.spec.n_mels, _Worker.frames), FLOOR_DB, np.float16)
    _Worker.log_mel.reset()
    return _Worker.log_mel.push(samples)[:, : _Worker.frames].astype(np.float16)
