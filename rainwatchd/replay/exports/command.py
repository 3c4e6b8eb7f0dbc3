"""Write what an archive holds in the form that another program reads, or as a page to look at."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Protocol, cast

from rainwatchd.errors import RainwatchError

FORMS = {
    "raven": "raven",
    "audacity": "audacity",
    "kaleidoscope": "kaleidoscope",
    "camtrap-dp": "camtrap_dp",
    "csv": "tables",
    "parquet": "compacted",
}
"""What ``--to`` takes -> the module beside this one that writes it: ``write(folder, to)``."""


class Form(Protocol):
    """A module that writes one form."""

    def write(self, folder: Path, to: Path) -> None:
        """Write what the archive `folder` holds."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="what --out was")
    parser.add_argument("--to", choices=FORMS, help="the form")
    parser.add_argument(
        "--into", type=Path, metavar="DIR", help="where to (default: DIR/export/FORM)"
    )
    parser.add_argument("--report", type=Path, metavar="HTML", help="write one page to look at")


def run(options: argparse.Namespace) -> int:
    """Write what was asked for; return the exit status."""
    if options.to is None and options.report is None:
        raise RainwatchError(f"export: name a form by --to ({', '.join(FORMS)}), or --report HTML")
    try:
        if options.to is not None:
            into = options.into or options.folder / "export" / options.to
            into.mkdir(parents=True, exist_ok=True)
            _module(FORMS[options.to]).write(options.folder, into)
            print(f"{options.to}: written into {into}")
        if options.report is not None:
            _module("page").write(options.folder, options.report)
            print(f"report: {options.report}")
    except ModuleNotFoundError as error:
        raise RainwatchError("export needs pyarrow: pip install 'rainwatchd[archive]'") from error
    return 0


def _module(name: str) -> Form:
    return cast(Form, importlib.import_module(f"rainwatchd.replay.exports.{name}"))
