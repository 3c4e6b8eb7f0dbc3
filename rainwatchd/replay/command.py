"""A replay as the command line asks for it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.model_file import read_model
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec
from rainwatchd.replay.batch import Batch
from rainwatchd.replay.folders import find_recordings
from rainwatchd.replay.progress import Progress, sizes_of
from rainwatchd.replay.replay import Follow, Replay, Scored, replay_id
from rainwatchd.replay.report import (
    Complaints,
    JsonLines,
    ScoreFile,
    Sink,
    WindowLines,
    new_file,
)
from rainwatchd.replay.table import Shortest, Table


def run(
    args: argparse.Namespace, config: Config, jobs: int, parser: argparse.ArgumentParser
) -> bool:
    """Hear ``--file`` and print what is found; return whether all was heard."""
    if args.scores is True or args.shard or args.dask:
        parser.error("--shard, --dask and --scores without a file go with --out DIR")
    if args.phases and not args.json:
        parser.error("--phases goes with --json")
    piped = Path("-") in args.file
    if piped and len(args.file) > 1:
        parser.error("--file - goes alone: it hears what comes in from another program")
    recordings = list(args.file) if piped else find_recordings(args.file)
    spec = read_model(config.model_path).spec
    rules = config.rules(spec)
    complaints = Complaints(sys.stderr)
    sinks: list[Sink] = [_printer(args, config, spec, rules), complaints]
    follow = None if args.plot is None else _pictures(args.plot, recordings, spec, rules)
    progress = Progress(sys.stderr, sizes_of(recordings))
    with ExitStack() as stack:
        stack.callback(progress.finish)
        if args.scores is not None:
            out = stack.enter_context(new_file(args.scores, overwrite=args.overwrite))
            sinks.append(ScoreFile(out, spec.labels))
        if args.verbose:
            sinks.append(WindowLines(sys.stderr, spec.labels))
        if args.mqtt:
            # Only who publishes needs the outbox's database and paho.
            from rainwatchd.replay.publishing import Publisher  # noqa: PLC0415

            publisher = Publisher(config)
            stack.callback(publisher.close)
            sinks.append(publisher)
        batch = Batch(
            Replay(config, replay_id(config), args.realtime, args.utc_offset, follow),
            config.model_path,
            jobs=1 if args.realtime else jobs,
            with_windows=args.verbose or args.scores is not None,
            watch=progress.follow,
        )
        try:
            for item in batch.hear(recordings):
                if args.verbose or not isinstance(item, Scored):
                    progress.clear()
                for sink in sinks:
                    sink.take(item)
                progress.take(item)
        except KeyboardInterrupt as interrupt:
            raise KeyboardInterrupt(progress.summary) from interrupt
        progress.clear()
        for sink in sinks:
            sink.finish()
    return not complaints.failed


def _printer(
    args: argparse.Namespace, config: Config, spec: ModelSpec, rules: Mapping[str, DecisionRule]
) -> Sink:
    if args.json:
        return JsonLines(sys.stdout, phases=args.phases)
    shortest = Shortest.of(spec, rules, config.step_s or spec.step_s)
    return Table(sys.stdout, spec.labels, tuple(rules), shortest)


def _pictures(
    target: Path,
    recordings: Sequence[Path | AudioError],
    spec: ModelSpec,
    rules: Mapping[str, DecisionRule],
) -> Follow:
    try:
        from rainwatchd.replay.plot.pictures import pictures  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise RainwatchError("--plot needs matplotlib: pip install 'rainwatchd[plot]'") from error
    return pictures(target, [path for path in recordings if isinstance(path, Path)], spec, rules)
