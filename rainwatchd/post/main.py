"""The command ``rainwatch-post``: what was asked for, and the exit status."""

from __future__ import annotations

import argparse
import getpass
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from rainwatchd import __version__
from rainwatchd.errors import ConfigError, RainwatchError
from rainwatchd.post.options import PostConfig, load

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status. Errors are one line on stderr."""
    try:
        return _run(sys.argv[1:] if argv is None else list(argv))
    except ConfigError as error:
        for mistake in error.mistakes:
            _fail(mistake, EXIT_CONFIG)
        return EXIT_CONFIG
    except RainwatchError as error:
        return _fail(error, EXIT_FAILURE)
    except ModuleNotFoundError as error:
        return _fail(f"{error.name} is missing: pip install 'rainwatchd[post]'", EXIT_FAILURE)
    except OSError as error:
        return _fail(f"{error.filename or 'output'}: {error.strerror}", EXIT_FAILURE)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _run(words: Sequence[str]) -> int:
    parser = _parser()
    args, others = parser.parse_known_args(words)
    config = load(args.config, _settings(others, parser))
    from rainwatchd.post.web.accounts import Accounts

    accounts = Accounts(Path(config.state_directory))
    if args.add_user is not None:
        accounts.put(args.add_user, args.role, _password())
        print(f"{args.add_user} may log in as {args.role}")
        return 0
    if args.remove_user is not None:
        accounts.remove(args.remove_user)
        print(f"{args.remove_user} may no longer log in")
        return 0
    if args.check:
        return _check(config)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from rainwatchd.post.post import serve

    serve(config)
    return 0


def _check(config: PostConfig) -> int:
    from rainwatchd.post.check import check

    failed = False
    for finding in check(config):
        print(finding, flush=True)
        failed |= not finding.passed
    return EXIT_FAILURE if failed else 0


def _settings(words: Sequence[str], parser: argparse.ArgumentParser) -> dict[str, str]:
    """Read ``--listen.port 8081`` and the like."""
    settings = {}
    rest = list(words)
    while rest:
        name, given, value = rest.pop(0).partition("=")
        if not name.startswith("--"):
            parser.error(f"unknown argument {name!r}")
        if not given:
            if not rest:
                parser.error(f"{name} needs a value")
            value = rest.pop(0)
        settings[name.removeprefix("--")] = value
    return settings


def _password() -> str:
    """Ask twice at a terminal; else take the first line of the input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("password: ")
    if getpass.getpass("again: ") != password:
        raise RainwatchError("the two passwords differ")
    return password


def _fail(error: object, status: int) -> int:
    print(f"rainwatch-post: {error}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rainwatch-post",
        allow_abbrev=False,
        description="The ranger's post: alerts that a person can see, hear and answer.",
        epilog="Every key of the configuration is an option too: --listen.port 8081. Exit status:"
        " 0 all is well, 1 something failed, 2 wrong usage, 78 wrong configuration.",
    )
    parser.add_argument("--version", action="version", version=f"rainwatch-post {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the YAML file")
    parser.add_argument(
        "--check", action="store_true", help="try configuration, disk, users, page, map, broker"
    )
    parser.add_argument(
        "--add-user", metavar="NAME", help="let somebody log in, or change their password"
    )
    parser.add_argument("--role", choices=("viewer", "ranger"), default="ranger")
    parser.add_argument("--remove-user", metavar="NAME")
    return parser
