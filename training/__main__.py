"""``python -m training COMMAND``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from rainwatchd.errors import RainwatchError
from training.commands import baselines, evaluate, halve
from training.commands import compare as compare_command
from training.commands import train as train_command
from training.commands import tune as tune_command

_COMMANDS = {
    "train": train_command,
    "compare": compare_command,
    "evaluate": evaluate,
    "tune": tune_command,
    "baselines": baselines,
    "halve": halve,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in _COMMANDS.items():
        summary = (module.__doc__ or "").split(": ", 1)[-1]
        module.configure(commands.add_parser(name, help=summary, description=summary))
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        _COMMANDS[options.command].command(options)
    except RainwatchError as error:
        print(f"training: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
