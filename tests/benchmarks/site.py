"""What a site's labels bring: nuisances before and after `adapt` and `calibrate`.

Of each kind those recordings are taken that the model never trained on and alarms on; where it
alarms on none, the table says so. Half of them pass by in the first night, over forest, and are
judged false, as a ranger would; they adapt the model, each recording an occasion of its own, and
the thresholds are calibrated on that night. The other half pass by in the second night, which says
what it brought, alone and with saws over them; where there is but one recording, it passes by in
both, over other forest.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import soundfile

from rainwatchd.audio.samples import Floats
from rainwatchd.cli import main as rainwatchd
from rainwatchd.config.options import Config, load
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import PACKAGED
from rainwatchd.replay.replay import Found, Replay
from tests.nuisances import (
    NUISANCES,
    PASS_S,
    QUIET_S,
    RATE_HZ,
    Piece,
    over_forest,
    pieces,
    recordings_of,
    saws,
    two_nights,
    write,
)
from training.__main__ import main as training
from training.adaptation.anchor import anchor_of
from training.soundscape.library import default_data

SAW_DB = (0.0, -10.0)
PASSES_A_DAY = 144
"""One each ten minutes, for the alarms a day."""


def alarming(tried: Sequence[Piece], model: Classifier, home: Path) -> list[Piece]:
    """Return the pieces that raise an alert over forest."""
    files = write(home / "tried", [over_forest(one.sound, n) for n, one in enumerate(tried)])
    return [
        piece
        for piece, file in zip(tried, files, strict=True)
        if alarms([file], model, Config(), any_alert)
    ]


def any_alert(label: str) -> bool:
    """Whether somebody is sent out for it."""
    return label != "storm"


def alarms(
    files: Sequence[Path], model: Classifier, config: Config, wanted: Callable[[str], bool]
) -> int:
    """Count the alerts of classes that are `wanted`."""
    return sum(
        isinstance(item, Found) and item.detection.phase == "onset" and wanted(item.detection.label)
        for file in files
        for item in Replay(config, "site").hear(file, model)
    )


def saws_found(files: Sequence[Path], model: Classifier, config: Config) -> int:
    """Count the recordings with an alert for a chainsaw."""
    return sum(
        alarms([file], model, config, lambda label: label == "chainsaw") > 0 for file in files
    )


def row(name: str, count: int, tries: int, home: Path, model: Path) -> str:
    """Do all of it for one nuisance; `count` passes a night."""
    began_s = time.monotonic()
    before = Classifier(model)
    tried = pieces(name, tries)
    found = alarming(tried, before, home)
    if not found:
        return f"| {name} | 0 of {recordings_of(tried)} | - | - | - | - | - |"
    nights = two_nights(found)
    first, second = ([night[number % len(night)] for number in range(count)] for night in nights)
    files = write(home / "first", [over_forest(one.sound, 300 + n) for n, one in enumerate(first)])
    _label(home / "labels/other", first, files)
    quiet = write(
        home / "second", [over_forest(one.sound, 400 + n) for n, one in enumerate(second)]
    )
    real = saws(count)
    mixed = {
        ratio_db: write(
            home / f"saws{ratio_db:g}",
            [
                over_forest(one.sound, 400 + n, (real[n % len(real)], ratio_db))
                for n, one in enumerate(second)
            ],
        )
        for ratio_db in SAW_DB
    }

    def heard(classifier: Classifier, config: Config) -> tuple[int, list[int]]:
        alone = alarms(quiet, classifier, config, any_alert)
        return alone, [saws_found(mixes, classifier, config) for mixes in mixed.values()]

    at_first = heard(before, Config())
    adapted, said = home / "site.onnx", io.StringIO()
    words = ["--anchor", str(anchor_of(model)), "--out", str(adapted)]
    with redirect_stdout(said), redirect_stderr(said):
        written = training(["adapt", str(model), "--labels", str(home / "labels"), *words]) == 0
        served = adapted if written else model
        words = ["--model", str(served), "--out", str(home / "out"), "--jobs", "1"]
        calibrated = rainwatchd(["calibrate", str(home / "first"), *words]) == 0
    print(said.getvalue(), file=sys.stderr)
    after = Classifier(served)
    then = heard(after, Config())
    last = (
        heard(after, load(home / "out/decision.yaml", {"model": str(served)}))
        if calibrated
        else then
    )
    minutes = (time.monotonic() - began_s) / 60
    note = "" if written else " (not adapted)"
    day = PASSES_A_DAY / count
    steps = [
        f"{day * alone:.0f}; {' / '.join(map(str, counts))} of {count}"
        for alone, counts in (at_first, then, last)
    ]
    return (
        f"| {name}{note} | {recordings_of(found)} of {recordings_of(tried)} "
        f"| {', '.join(str(recordings_of(night)) for night in nights)} | "
        f"{' | '.join(steps)} | {minutes:.1f} |"
    )


def _label(folder: Path, passes: Sequence[Piece], files: Sequence[Path]) -> None:
    """Sort the passes as what must raise no alert, those of one recording into one folder."""
    names = list(dict.fromkeys(piece.recording for piece in passes))
    for number, name in enumerate(names):
        mine = [
            _middle(path)
            for piece, path in zip(passes, files, strict=True)
            if piece.recording == name
        ]
        write(folder / f"{number:03}", mine)


def _middle(path: Path) -> Floats:
    """Return what a judged clip holds: the pass and some seconds around it."""
    samples, _ = soundfile.read(path, dtype="float32")
    return np.asarray(
        samples[round((QUIET_S - 5) * RATE_HZ) : round((QUIET_S + PASS_S + 2) * RATE_HZ)]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nuisances", nargs="+", choices=NUISANCES, default=list(NUISANCES))
    parser.add_argument("--passes", type=int, default=12, help="in each of the two nights")
    parser.add_argument("--tries", type=int, default=60, help="recordings to look for alarms in")
    parser.add_argument("--model", type=Path, default=PACKAGED)
    options = parser.parse_args()
    if not default_data().exists() or not anchor_of(options.model).exists():
        print("needs the labelled recordings in ../shared and the model's anchor")
        return
    print(
        "Alarms a day at a pass each ten minutes; saws found over the nuisance at 0 / -10 dB\n\n"
        "| nuisance | recordings that raise an alert | first night, second | as shipped | adapted "
        "| and calibrated | minutes |\n|---|---|---|---|---|---|---|"
    )
    for name in options.nuisances:
        with tempfile.TemporaryDirectory() as folder:
            print(row(name, options.passes, options.tries, Path(folder), options.model), flush=True)


if __name__ == "__main__":
    main()
