"""Mixed windows as log-mel arrays on disk: made once, in shards, picked up after a stop."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rainwatchd.features import Floats, LogMel, MelSpec
from training.dataset import Clip
from training.dataset import digest as data_digest
from training.library import Library
from training.soundscape import Mixer, Recipe

SHARD = 500
"""Mixtures in one file; what an interruption can cost."""


@dataclass(frozen=True)
class Examples:
    """Arrays of one set of mixtures."""

    log_mel: NDArray[np.float16]
    """dB, shape ``(n, n_mels, frames)``."""
    target: Floats
    """Shape ``(n, classes)``."""
    snr_db: Floats
    """Shape ``(n,)``, NaN where there is no event."""


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
    missing = [shard for shard in shards if not shard.exists()]
    if missing:
        mixer = Mixer(Library(clips, mel.sample_rate_hz, workers), recipe, seed)
        with ProcessPoolExecutor(
            workers, initializer=_prepare, initargs=(mixer, mel, frames)
        ) as pool:
            for done, _ in enumerate(pool.map(_write_shard, missing), start=1):
                print(f"\rmixing: {done} of {len(missing)} shards", end="", file=sys.stderr)
        print(file=sys.stderr)
    parts = [np.load(shard) for shard in shards]
    return Examples(
        log_mel=np.concatenate([part["log_mel"] for part in parts])[:count],
        target=np.concatenate([part["target"] for part in parts])[:count],
        snr_db=np.concatenate([part["snr_db"] for part in parts])[:count],
    )


class _Worker:
    """What each process of the pool keeps between shards."""

    mixer: Mixer
    mel: MelSpec
    frames: int


def _prepare(mixer: Mixer, mel: MelSpec, frames: int) -> None:
    _Worker.mixer = mixer
    _Worker.mel = mel
    _Worker.frames = frames


def _write_shard(path: Path) -> None:
    first = int(path.stem) * SHARD
    mixtures = [_Worker.mixer.mixture(index) for index in range(first, first + SHARD)]
    log_mel = np.stack(
        [LogMel(_Worker.mel).push(mixture.samples)[:, : _Worker.frames] for mixture in mixtures]
    )
    partial = path.with_suffix(".part.npz")
    np.savez(
        partial,
        log_mel=log_mel.astype(np.float16),
        target=np.stack([mixture.target for mixture in mixtures]),
        snr_db=np.array([mixture.snr_db for mixture in mixtures], np.float32),
    )
    partial.rename(path)
