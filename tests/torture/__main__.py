"""Runs every torment for its share of the time and counts the trials.

Each trial has its own seed, made of the run's seed and the trial's number, so that the line
printed for a failure repeats it alone.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import pkgutil
import random
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from tests import torture


@dataclass
class Tally:
    """What came of one torment."""

    trials: int = 0
    failures: int = 0
    places: set[str] = field(default_factory=set)
    """Where trials failed; each place is reported once."""
    seconds: float = 0.0


def names() -> list[str]:
    """Every torment, alphabetically."""
    found = (module.name for module in pkgutil.iter_modules(torture.__path__))
    return sorted(
        name
        for name in found
        if hasattr(importlib.import_module(f"{torture.__name__}.{name}"), "torment")
    )


def run(name: str, seed: int, share_s: float, only: int | None) -> Tally:
    """Run one torment for `share_s` seconds of its own, or one trial of it."""
    module = importlib.import_module(f"{torture.__name__}.{name}")
    tally = Tally()
    with (
        tempfile.TemporaryDirectory(prefix=f"torture-{name}-") as folder,
        module.torment(Path(folder)) as trial,
    ):
        began = time.monotonic()
        number = 0 if only is None else only
        while True:
            tally.trials += 1
            try:
                trial(random.Random(f"{seed}/{name}/{number}"))
            except Exception as error:  # noqa: BLE001 - whatever goes wrong in a trial is its finding
                tally.failures += 1
                innermost = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{innermost.filename}:{innermost.lineno} {type(error).__name__}"
                if place not in tally.places:
                    tally.places.add(place)
                    traceback.print_exc()
                    print(f"repeat: python -m tests.torture {name} --seed {seed} --trial {number}")
            number += 1
            tally.seconds = time.monotonic() - began
            if only is not None or tally.seconds >= share_s:
                return tally


def main() -> int:
    """Run what the command line asks for; exit status 1 if any trial failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    known = names()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}")
    parser.add_argument("--seconds", type=float, default=300.0, help="in all (default: 300)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trial", type=int, help="run this one trial only")
    arguments = parser.parse_args()
    chosen = arguments.names or known
    unknown = sorted(set(chosen) - set(known))
    if unknown:
        parser.error(f"no torment {unknown[0]!r}; there are {', '.join(known)}")
    logging.getLogger("rainwatchd").setLevel(logging.ERROR)
    share_s = arguments.seconds / len(chosen)
    print(f"{'torment':<16}{'trials':>8}{'failures':>10}{'seconds':>9}", flush=True)
    tallies = []
    for name in chosen:
        tally = run(name, arguments.seed, share_s, arguments.trial)
        print(f"{name:<16}{tally.trials:>8}{tally.failures:>10}{tally.seconds:>9.1f}", flush=True)
        tallies.append(tally)
    failures = sum(tally.failures for tally in tallies)
    print(f"{sum(tally.trials for tally in tallies) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
