"""List what this device has heard, while the service runs or not."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rainwatchd.service.commands.place import configure_place, place
from rainwatchd.service.history import Heard, read

_UNIT_S = {"m": 60, "h": 3600, "d": 86400, "w": 604800}

_EVER = datetime.min.replace(tzinfo=UTC)

HEADER = "start (UTC)          class     lasted   peak  level     verdict  clip"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    configure_place(parser)
    parser.add_argument(
        "--since",
        type=_since,
        metavar="TIME",
        default="7d",
        help="how far back: 90m, 12h, 7d, 4w, or a date as 2026-05-12 (default: 7d)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line, no table")


def run(options: argparse.Namespace) -> int:
    """Print the table; return the exit status."""
    config, state = place(options)
    heard = read(state / "history.sqlite", options.since)
    if options.json:
        for event in heard:
            print(json.dumps(dataclasses.asdict(event)), flush=True)
        return 0
    count = 0
    for line in table(heard, Path(config.clips.directory or state / "clips")):
        print(line)
        count += 1
    if not count:
        print(f"{config.identity}: nothing heard since {options.since:%Y-%m-%d %H:%M} UTC")
    return 0


def table(heard: Iterable[Heard], clips: Path) -> Iterator[str]:
    """Write the events a line each, under a header if there are any; clips lie in `clips`."""
    unsure = False
    present = _names(clips)
    for number, event in enumerate(heard):
        if not number:
            yield HEADER
        unsure |= not event.clock_synced
        gone = present is not None and event.clip is not None and event.clip not in present
        yield _line(event) + (" (gone)" if gone and not event.lasts else "")
    if unsure:
        yield "?: the clock wasn't known to be right then"


def _names(folder: Path) -> set[str] | None:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return None


def _line(event: Heard) -> str:
    start = event.start[:19].replace("T", " ") + (" " if event.clock_synced else "?")
    lasted = "lasts" if event.lasts else f"{event.duration_s:.0f} s"
    verdict = event.verdict or "-"
    by = f" by {event.judged_by}" if event.judged_by else ""
    return (
        f"{start} {event.label:<9} {lasted:>6}   {event.peak_score:.2f}  "
        f"{event.level_dbfs:4.0f} dBFS {verdict:<7}  {event.clip or '-'}{by}"
    )


def _since(text: str) -> datetime:
    span = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    try:
        if span is not None:
            return datetime.now(UTC) - timedelta(seconds=int(span[1]) * _UNIT_S[span[2]])
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return _EVER
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a span (90m, 12h, 7d, 4w) nor a date (2026-05-12)"
        ) from None
