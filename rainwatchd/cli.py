"""The command line: what was asked for, and the exit status."""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rainwatchd import __version__
from rainwatchd.errors import ConfigError, RainwatchError

if TYPE_CHECKING:
    from rainwatchd.config.options import Config

# The rest is imported where it is used: `--version` must not wait for the network's runtime, a
# replay needs no broker, and a daemon draws nothing.

NUMPY_SETTINGS = {"OPENBLAS_NUM_THREADS": "1", "NUMPY_MADVISE_HUGEPAGE": "0"}
"""Environment that numpy reads when it is imported. The matrices are small: more threads would only
spin; pages of 2 MB would make the memory of a small board grow in leaps."""

EXIT_FAILURE = 1
EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h; systemd doesn't restart the service on it."""
EXIT_INTERRUPTED = 130

SUBCOMMANDS: Mapping[str, str] = {
    "calibrate": "rainwatchd.replay.calibration.command",
    "events": "rainwatchd.service.commands.events",
    "export": "rainwatchd.replay.exports.command",
    "live": "rainwatchd.service.commands.live",
}
"""What is neither listening nor replaying -> the module that does it: its first docstring line is
the help, ``configure(parser)`` describes the options, ``run(options)`` returns the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status. Errors are one line on stderr."""
    for name, value in NUMPY_SETTINGS.items():
        os.environ.setdefault(name, value)
    words = sys.argv[1:] if argv is None else list(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A letter that the terminal has not costs that letter, not the rest of the output.
        sys.stdout.reconfigure(errors="replace")
    try:
        return _run(words)
    except ConfigError as error:
        for mistake in error.mistakes:
            _fail(mistake, EXIT_CONFIG)
        return EXIT_CONFIG
    except RainwatchError as error:
        return _fail(error, EXIT_FAILURE)
    except BrokenPipeError:
        # Whoever read the output has had enough; Python would complain of it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror}", EXIT_FAILURE)
    except KeyboardInterrupt as interrupt:
        return _fail(": ".join(("interrupted", *interrupt.args)), EXIT_INTERRUPTED)


def _run(words: Sequence[str]) -> int:
    if words and words[0] in SUBCOMMANDS:
        return _subcommand(words[0], words[1:])
    parser = _parser()
    words = _joined(words)
    settings: dict[str, str] = {}
    args, others = parser.parse_known_args(words)
    if others:
        from rainwatchd.config.arguments import read_keys

        args, settings = read_keys(parser, words)
    if args.version:
        return _version(args.model)
    from rainwatchd.config.options import load

    if args.model is not None:
        # Settings are YAML, and a JSON string is: a path may hold a colon, or be called null.
        settings["model"] = json.dumps(str(args.model))

    if args.check:
        return _check(load(args.config, settings, with_files=True))
    if args.list_devices:
        return _list_devices()
    if args.file:
        return _replay(args, load(args.config, settings, with_files=args.mqtt), parser)
    for option in (
        *("json", "phases", "scores", "overwrite", "plot", "mqtt", "realtime", "jobs"),
        *("out", "shard", "dask", "utc_offset"),
    ):
        if getattr(args, option) not in {None, False}:
            name = option.replace("_", "-")
            parser.error(f"--{name} goes with --file PATH; without it the daemon listens")
    return _daemon(args.config, settings, args.verbose)


def _subcommand(name: str, words: Sequence[str]) -> int:
    module = importlib.import_module(SUBCOMMANDS[name])
    summary = (module.__doc__ or "").splitlines()[0]
    parser = argparse.ArgumentParser(
        prog=f"rainwatchd {name}", allow_abbrev=False, description=summary
    )
    module.configure(parser)
    status: int = module.run(parser.parse_args(_joined(words)))
    return status


def _version(model: Path | None) -> int:
    from rainwatchd.hearing.model_file import model_path, read_model

    print(f"rainwatchd {__version__}")
    file = read_model(model_path(model))
    print(f"model {file.name} ({file.licence}) sha256:{file.digest}")
    return 0


def _replay(args: argparse.Namespace, config: Config, parser: argparse.ArgumentParser) -> int:
    jobs = args.jobs or len(os.sched_getaffinity(0))
    if args.out:
        from rainwatchd.replay.archive.command import run as archive

        return 0 if archive(args, config, jobs, parser) else EXIT_FAILURE
    from rainwatchd.replay.command import run

    return 0 if run(args, config, jobs, parser) else EXIT_FAILURE


def _check(config: Config) -> int:
    from rainwatchd.service.commands.check import check

    failed = False
    for finding in check(config):
        print(finding, flush=True)
        failed |= not finding.passed
    return EXIT_FAILURE if failed else 0


def _list_devices() -> int:
    from rainwatchd.audio.capture.devices import some_devices

    for device in some_devices():
        default = ", the default" if device.is_default else ""
        print(f"{device}: {device.channels} channels, {device.rate_hz} Hz{default}")
    return 0


def _daemon(path: Path | None, settings: Mapping[str, str], verbose: bool) -> int:
    import logging

    from rainwatchd.config.options import load
    from rainwatchd.service.journal import log_to_stderr, to_journal
    from rainwatchd.service.systemd_notify import SystemdNotify

    def read() -> Config:
        return load(path, settings, on_missing=lambda mistake: logging.error("%s", mistake))

    log_to_stderr(journal=to_journal())
    # Mistakes are told before the network's runtime is loaded: half a minute on a cold board.
    config = read()
    SystemdNotify().status("loading")
    from rainwatchd.service.daemon import listen

    listen(config, read, verbose=verbose)
    return 0


def _fail(message: object, status: int) -> int:
    said = f"rainwatchd: {message}"
    if "JOURNAL_STREAM" in os.environ:
        from rainwatchd.service.journal import ERROR, prefixed, to_journal

        said = prefixed(said, ERROR) if to_journal() else said
    print(said, file=sys.stderr)
    return status


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("a path is empty; '.' is the folder that you are in")
    return Path(text)


def _joined(words: Sequence[str]) -> list[str]:
    """Join ``--utc-offset`` and what follows: argparse takes -04:00 for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--utc-offset":
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _utc_offset(text: str) -> timedelta:
    from rainwatchd.audio.files.times import utc_offset

    return utc_offset(text)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return number


class _HelpConfig(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from rainwatchd.config.arguments import print_keys

        print_keys()
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rainwatchd",
        usage="%(prog)s [--config FILE] [--KEY VALUE ...] [--file PATH ...] [options]",
        allow_abbrev=False,
        description="Hears chainsaws, engines and storms in rainforest audio.",
        epilog="Every key of the configuration file is an option too, with a dot below a "
        "section: --step_s 0.5 --audio.channel 2; --help-config lists them. Also, each with its "
        f"own --help: {', '.join(f'rainwatchd {name}' for name in SUBCOMMANDS)}. Exit status: 0 "
        "all is well, 1 something failed (of a replay: any recording), 2 wrong usage, 78 wrong "
        "configuration.",
    )
    parser.add_argument(
        "--help-config", action=_HelpConfig, nargs=0, help="list the configuration's keys and exit"
    )
    parser.add_argument("--version", action="store_true", help="print program and model")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the YAML file")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="instead of the shipped model; open: the one that ships for any use",
    )
    parser.add_argument(
        "--check", action="store_true", help="try configuration, model, microphone, broker, disk"
    )
    parser.add_argument("--list-devices", action="store_true", help="print the microphones")
    parser.add_argument(
        "--verbose", action="store_true", help="print level, scores and speed of each window"
    )
    replay = parser.add_argument_group("replay")
    replay.add_argument(
        "--file",
        nargs="+",
        type=_path,
        metavar="PATH",
        help="recordings, folders of them, or - for a WAV that comes in",
    )
    replay.add_argument("--json", action="store_true", help="one JSON object a line, no table")
    replay.add_argument("--phases", action="store_true", help="with --json: onset, offset apart")
    replay.add_argument(
        "--scores",
        nargs="?",
        const=True,
        type=Path,
        metavar="CSV",
        help="write every window's scores; with --out into its parts",
    )
    replay.add_argument("--overwrite", action="store_true", help="--scores may replace a file")
    replay.add_argument(
        "--plot", type=Path, metavar="PATH", help="draw: one recording a file, more into a folder"
    )
    replay.add_argument("--mqtt", action="store_true", help="publish, as device DEVICE_ID-replay")
    replay.add_argument("--realtime", action="store_true", help="no faster than it was recorded")
    replay.add_argument(
        "--utc-offset",
        type=_utc_offset,
        metavar="+HH:MM",
        help="of recordings whose names tell a local time, such as -04:00 (default: UTC)",
    )
    replay.add_argument(
        "--jobs", type=_count, metavar="N", help="recordings at a time (default: all cores)"
    )
    archive = parser.add_argument_group("replay of an archive, instead of a table")
    archive.add_argument(
        "--out", type=Path, metavar="DIR", help="a part for each recording; the same again goes on"
    )
    archive.add_argument("--shard", metavar="I/N", help="hear this one of N shares alone")
    archive.add_argument("--dask", metavar="ADDRESS", help="hear on the workers of this scheduler")
    return parser
