"""What shapes a network besides its examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rainwatchd.hearing.log_mel import MelSpec

FRONT_ENDS: Mapping[str, MelSpec] = {
    "standard": MelSpec(16000, 2048, 1000, 128, 40.0, 4000.0),
    "fine": MelSpec(16000, 1024, 500, 96, 40.0, 5000.0),
    "coarse": MelSpec(16000, 2048, 1000, 64, 40.0, 4000.0),
    "wide": MelSpec(16000, 2048, 1000, 128, 40.0, 8000.0),
}
"""Front-ends that were compared; see `training/notes.md`."""

WINDOWS_S = (4.0,)
"""Lengths of the windows that ship, a network for each."""

EXAMPLE_S = 4.0
"""Length of an example, of which windows are cut: what `Recipe.length` holds. None is longer."""


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that shapes the network besides its examples."""

    gain_control: str = "three_pictures"
    machines: bool = False
    """Whether other machines are classes of their own, which the exported model adds up."""
    epochs: int = 8
    """Of a round, in which the learning rate rises and falls to nothing."""
    rounds: int = 2
    """Warm restarts of the learning rate (SGDR, Loshchilov & Hutter 2017)."""
    head_learning_rate: float = 2e-3
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    batch_size: int = 64
    first_trained_block: int = 3
    """Blocks of MobileNetV2 before this one keep their ImageNet weights."""
    seed: int = 1
