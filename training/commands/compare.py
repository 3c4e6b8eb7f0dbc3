"""``python -m training compare``: measure the choices that shaped the network, side by side."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np

from training.commands.options import add_data, add_weights
from training.commands.train import SEED, divide, real_windows
from training.dataset import digest, publishable, read
from training.network.model import together
from training.network.train import EXAMPLE_S, FRONT_ENDS, WINDOWS_S, TrainingSettings, train
from training.soundscape.examples import Examples, make_examples
from training.soundscape.mixer import LABELS, Recipe
from training.soundscape.remix import Remix

_FALSE_SHARE = 0.01
"""Share of background windows that may score higher, where recall is read off."""

_FAINT_DB = (-15.0, -5.0)


@dataclass(frozen=True)
class Variant:
    """One way to build the network; what is not named is as shipped."""

    front_end: str = "standard"
    windows_s: tuple[float, ...] = WINDOWS_S[:1]
    """The shorter of the two networks that ship stands for both: it costs half."""
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    recipe: Recipe = field(default_factory=Recipe)


VARIANTS = {
    "as shipped, the shorter window": Variant(),
    "contrast to three medians": Variant(settings=TrainingSettings(gain_control="contrast")),
    "window maximum": Variant(settings=TrainingSettings(gain_control="window_maximum")),
    "PCEN": Variant(settings=TrainingSettings(gain_control="pcen")),
    "no procedural engines": Variant(recipe=Recipe(synthetic_engine=0.0, synthetic_chainsaw=0.0)),
    "1024-point transform, 96 bands to 5 kHz, 64 frames": Variant("fine"),
    "64 bands to 4 kHz": Variant("coarse"),
    "window of 4 s": Variant(windows_s=WINDOWS_S[1:]),
    "both windows": Variant(windows_s=WINDOWS_S),
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
    add_weights(parser)
    parser.add_argument("--examples", type=int, default=4000, help="mixed windows for each")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))


def command(options: argparse.Namespace) -> None:
    """Train every variant alike, small, on one fold; write the table after each."""
    clips = publishable(read(options.data))
    training, _, held_out = divide(clips, 1, 3)
    outcomes = []
    for name in options.variants:
        variant = VARIANTS[name]
        mel = FRONT_ENDS[variant.front_end]
        recipe = variant.recipe
        folder = options.out / "examples"
        examples = make_examples(
            folder,
            training,
            mel,
            mel.frames_in(EXAMPLE_S),
            recipe,
            count=options.examples,
            seed=SEED,
        )
        settings = replace(variant.settings, epochs=options.epochs, seed=SEED)
        networks = []
        for window_s in variant.windows_s:
            windows = real_windows(
                folder, held_out, mel, recipe, window_s, count=1500, seed=SEED + 2
            )
            # Variants that share a network share its folder.
            kind = (digest(training), replace(variant, windows_s=(window_s,)), settings)
            home = options.out / hashlib.sha256(repr(kind).encode()).hexdigest()[:12]
            remix = Remix(examples, mel, recipe, mel.frames_in(window_s))
            networks.append(train(remix, windows, settings, weights=options.weights, home=home))
        scores = together(networks).predict(
            windows.log_mel.astype(np.float32), batch_size=64, verbose=0
        )
        outcomes.append(_outcome(name, scores, windows))
        (options.out / "table.md").write_text(table(outcomes))
    print(table(outcomes))


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
