"""``python -m training COMMAND``."""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from rainwatchd.errors import RainwatchError

_COMMANDS = ("train", "compare", "evaluate", "tune", "baselines", "halve", "anchor", "adapt")
"""Modules of `training.commands`; only what is called is imported, so that `adapt` works where
little is installed."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return _run(words)
    except ModuleNotFoundError as error:
        extra = "adapt" if words[:1] == ["adapt"] else "training"
        print(
            f"training: {error.name} is missing: pip install 'rainwatchd[{extra}]'", file=sys.stderr
        )
    except RainwatchError as error:
        print(f"training: {error}", file=sys.stderr)
    except OSError as error:
        print(f"training: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
    return 1


def _run(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    chosen = [name for name in _COMMANDS if name in words[:1]]
    modules = {
        name: importlib.import_module(f"training.commands.{name}") for name in chosen or _COMMANDS
    }
    for name, module in modules.items():
        summary = (module.__doc__ or "").split(": ", 1)[-1]
        module.configure(commands.add_parser(name, help=summary, description=summary))
    options = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    modules[options.command].command(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
