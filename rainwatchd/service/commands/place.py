"""Which service is meant: the options of what looks at one from beside it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rainwatchd.config.options import Config, load


def configure_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the service keeps its state."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the service's YAML file")
    parser.add_argument(
        "--state_directory", metavar="FOLDER", help="instead of the one in the YAML file"
    )


def place(options: argparse.Namespace) -> tuple[Config, Path]:
    """Return the service's configuration and its state directory; raise `ConfigError`."""
    settings = {}
    if options.state_directory is not None:
        settings["state_directory"] = json.dumps(options.state_directory)
    config = load(options.config, settings)
    return config, Path(config.state_directory)
