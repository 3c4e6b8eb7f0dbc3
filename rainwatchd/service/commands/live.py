"""Show what the running service hears: level, scores, state and the last events."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from rainwatchd.errors import RainwatchError
from rainwatchd.service.commands.events import table
from rainwatchd.service.commands.place import configure_place, place
from rainwatchd.service.history import read
from rainwatchd.service.live_port import Glimpse, connected, socket_path

LAST_EVENTS = 5

PATIENCE_S = 30.0
"""A window comes each second; a service that sends none for so long has no sound to analyse."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    configure_place(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--once", action="store_true", help="end after the first window")


def run(options: argparse.Namespace) -> int:
    """Print until interrupted or the service ends; return the exit status."""
    config, state = place(options)
    try:
        link = connected(state)
    except PermissionError as error:
        raise RainwatchError(f"{socket_path(state)}: {error.strerror}; run it by sudo") from error
    except OSError as error:
        raise RainwatchError(
            "no service is listening; see systemctl status rainwatchd, or --state_directory"
        ) from error
    link.settimeout(PATIENCE_S)
    if not options.json:
        _print_last(state, Path(config.clips.directory or state / "clips"))
    said: str | None = None
    try:
        with link, link.makefile("rb") as lines:
            for line in lines:
                if options.json:
                    print(line.decode().rstrip("\n"), flush=True)
                else:
                    said = _show(msgspec.json.decode(line, type=Glimpse), said)
                if options.once:
                    return 0
    except TimeoutError as error:
        raise RainwatchError(
            f"the service analyses no sound since {PATIENCE_S:.0f} s; see journalctl -u rainwatchd"
        ) from error
    raise RainwatchError("the service has ended")


def _print_last(state: Path, clips: Path) -> None:
    week = datetime.now(UTC) - timedelta(days=7)
    for line in table(list(read(state / "history.sqlite", week))[-LAST_EVENTS:], clips):
        print(line)


def _show(glimpse: Glimpse, said: str | None) -> str:
    """Print a window in the place of the last, and a line of its own for each change of state."""
    terminal = sys.stdout.isatty()
    clear = "\r\x1b[K" if terminal else ""
    head = "; ".join([glimpse.state, *glimpse.reasons])
    if head != said:
        print(f"{clear}{glimpse.device_id}, {glimpse.model}: {head}")
    if glimpse.level_dbfs is None:
        return head
    ranked = sorted(glimpse.scores.items(), key=lambda item: -item[1])
    scores = "  ".join(f"{label} {score:.2f}" for label, score in ranked)
    speed = "" if glimpse.real_time_factor is None else f"  {glimpse.real_time_factor:.3f} x"
    line = f"{glimpse.level_dbfs:6.1f} dBFS  {scores}{speed}"
    print(f"{clear}{line}", end="" if terminal else "\n", flush=True)
    return head
