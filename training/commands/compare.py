"""``python -m training compare``: measure the choices that shaped the network, side by side."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from training.commands.options import add_data, add_licence, add_weights, imagenet_weights
from training.dataset import check_present, digest, read
from training.dataset.division import SEED, divide
from training.network.settings import EXAMPLE_S, FRONT_ENDS, WINDOWS_S, TrainingSettings
from training.network.start import Start
from training.network.train import Material, train_windows
from training.soundscape.examples import Examples, make_examples, real_windows
from training.soundscape.mixer import LABELS, Recipe

_FALSE_SHARE = 0.01
"""Share of background windows that may score higher, where recall is read off."""

_FAINT_DB = (-15.0, -5.0)


@dataclass(frozen=True)
class Variant:
    """One way to build the network; what is not named is as shipped."""

    front_end: str = "standard"
    windows_s: tuple[float, ...] = WINDOWS_S
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    recipe: Recipe = field(default_factory=Recipe)


VARIANTS = {
    "as shipped": Variant(),
    "half of the medians taken off": Variant(settings=TrainingSettings(gain_control="half_median")),
    "contrast to three medians": Variant(settings=TrainingSettings(gain_control="contrast")),
    "window maximum": Variant(settings=TrainingSettings(gain_control="window_maximum")),
    "PCEN": Variant(settings=TrainingSettings(gain_control="pcen")),
    "other machines as classes": Variant(settings=TrainingSettings(machines=True)),
    "no procedural engines": Variant(recipe=Recipe(synthetic_engine=0.0, synthetic_chainsaw=0.0)),
    "1024-point transform, 96 bands to 5 kHz, 64 frames": Variant("fine"),
    "64 bands to 4 kHz": Variant("coarse"),
    "windows of 2 s and of 4 s": Variant(windows_s=(2.0, 4.0)),
    "band to 8 kHz": Variant("wide"),
    "pretrained blocks frozen up to the last": Variant(
        settings=TrainingSettings(first_trained_block=17)
    ),
}


class Outcome(msgspec.Struct, frozen=True):
    """How a variant did on held-out windows."""

    name: str
    loss: float
    chainsaw_faint: float
    """Recall of chainsaw windows at `_FAINT_DB` where one background window in a hundred passes."""
    chainsaw: float
    engine: float


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("out", type=Path, help="folder for the runs and the table, table.md")
    add_data(parser)
    add_licence(parser)
    add_weights(parser)
    parser.add_argument("--examples", type=int, default=4000, help="mixed windows for each")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))


def command(options: argparse.Namespace) -> None:
    """Train every variant alike, small, on one fold; write the table after each."""
    division = divide(read(options.data), options.licence, 1, 3)
    check_present({clip.path: clip for clip in (*division.usable, *division.held_out)}.values())
    start = Start(imagenet_weights(options.weights))
    folder = options.out / "examples"
    outcomes = []
    for name in options.variants:
        variant = VARIANTS[name]
        mel, recipe = FRONT_ENDS[variant.front_end], variant.recipe
        examples = make_examples(
            folder, division.usable, mel, mel.frames_in(EXAMPLE_S), recipe, count=options.examples,
            seed=SEED,
        )  # fmt: skip
        allowed = examples.without({clip.recording for clip in division.held_out})
        settings = replace(variant.settings, epochs=options.epochs, rounds=1, seed=SEED)
        # Variants that share a network share its folder.
        data = digest(division.training)
        homes = {
            window_s: options.out
            / _short_hash((data, replace(variant, windows_s=(window_s,)), settings))
            for window_s in variant.windows_s
        }
        network, windows = train_windows(
            Material(examples, allowed, mel, recipe),
            partial(
                real_windows, folder, division.held_out, mel, recipe, count=1500, seed=SEED + 2
            ),
            variant.windows_s,
            settings,
            start=start,
            home=homes.__getitem__,
        )
        scores = network.predict(windows.log_mel.astype(np.float32), batch_size=64, verbose=0)
        outcomes.append(_outcome(name, scores, windows))
        (options.out / "table.md").write_text(table(outcomes))
    print(table(outcomes))


def _short_hash(kind: object) -> str:
    return hashlib.sha256(repr(kind).encode()).hexdigest()[:12]


def _outcome(name: str, scores: np.ndarray, windows: Examples) -> Outcome:
    """Measure with chainsaw and engine together: either one brings the ranger."""
    logging = scores[:, LABELS.index("chainsaw")] + scores[:, LABELS.index("engine")]
    quiet = np.isnan(windows.snr_db)
    threshold = float(np.quantile(logging[quiet], 1.0 - _FALSE_SHARE))

    def recall(label: str, low_db: float, high_db: float) -> float:
        chosen = (
            (windows.target[:, LABELS.index(label)] > 0)
            & (windows.snr_db >= low_db)
            & (windows.snr_db < high_db)
        )
        return round(float(np.mean(logging[chosen] > threshold)), 3)

    loss = -float(np.mean(np.sum(windows.target * np.log(scores + 1e-7), axis=1)))
    return Outcome(
        name,
        round(loss, 3),
        recall("chainsaw", *_FAINT_DB),
        recall("chainsaw", _FAINT_DB[1], 99.0),
        recall("engine", _FAINT_DB[1], 99.0),
    )


def table(outcomes: list[Outcome]) -> str:
    """Write the outcomes as a Markdown table."""
    lines = [
        "| | loss | chainsaw, -15 to -5 dB | chainsaw, above | engine, above -5 dB |",
        "|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        lines.append(
            f"| {outcome.name} | {outcome.loss:.3f} | {outcome.chainsaw_faint:.2f} "
            f"| {outcome.chainsaw:.2f} | {outcome.engine:.2f} |"
        )
    return "\n".join(lines) + "\n"
