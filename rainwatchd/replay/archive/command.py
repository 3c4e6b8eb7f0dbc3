"""An archive as the command line asks for it."""

from __future__ import annotations

import argparse
import sys

from rainwatchd.config.options import Config
from rainwatchd.errors import RainwatchError


def run(
    options: argparse.Namespace, config: Config, jobs: int, parser: argparse.ArgumentParser
) -> bool:
    """Hear ``--file`` into ``--out``; return whether all was heard."""
    try:
        from rainwatchd.replay.archive.run import Shard, run_archive  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise RainwatchError("--out needs pyarrow: pip install 'rainwatchd[archive]'") from error
    for name in ("json", "plot", "mqtt", "realtime"):
        if getattr(options, name):
            parser.error(f"--{name} doesn't go with --out; `rainwatchd export` shows what is there")
    if options.scores not in {None, True}:
        parser.error("--scores takes no file with --out: they go into the same parts")
    try:
        shard = Shard.parse(options.shard or "1/1")
    except ValueError:
        parser.error(f"--shard is {options.shard!r}; allowed: I/N, such as 3/20 of twenty")
    return run_archive(
        options.file,
        config,
        options.out,
        jobs=jobs,
        shard=shard,
        scores=options.scores is True,
        dask=options.dask,
        utc_offset=options.utc_offset,
        err=sys.stderr,
    )
