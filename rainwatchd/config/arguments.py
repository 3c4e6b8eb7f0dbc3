"""The configuration's keys as options of the command line, and the list of them for people."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

import msgspec

from rainwatchd.config.inspection import described, nearest
from rainwatchd.config.options import SPAN_RANGE, THRESHOLD_RANGE, defaults, keys
from rainwatchd.hearing.model_spec import DecisionRule

_CLASS = re.compile(r"--decision\.([^.=]+)\.")


def read_keys(
    parser: argparse.ArgumentParser, words: Sequence[str]
) -> tuple[argparse.Namespace, dict[str, str]]:
    """Parse `words` by `parser` and every key: what it knew before, and the keys' values as text.

    An unknown word is `parser`'s error, which names the option that it resembles.
    """
    own = set(vars(parser.parse_args([])))
    classes = dict.fromkeys(match[1] for word in words if (match := _CLASS.match(word)))
    options = _add_keys(parser, list(classes), own)
    arguments, unknown = parser.parse_known_args(words)
    if unknown:
        word = unknown[0].partition("=")[0]
        options += [f"--{name.replace('_', '-')}" for name in own]
        near = nearest(word, options) if word.startswith("--") else None
        guess = f"did you mean {near}?" if near else "--help and --help-config say what there is"
        parser.error(f"unknown argument {word!r}; {guess}")
    return arguments, {key: text for key, text in vars(arguments).items() if key not in own}


def print_keys() -> None:
    """Print every key by its section, with what it takes and its default."""
    parser = argparse.ArgumentParser(
        usage=argparse.SUPPRESS,
        add_help=False,
        description="Every key of the configuration file, as an option of the command line: "
        "mqtt.port is the key port below mqtt.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=36, width=100),
    )
    _add_keys(parser, ["CLASS"], set())
    parser.print_help()


def _add_keys(
    parser: argparse.ArgumentParser, classes: Sequence[str], taken: set[str]
) -> list[str]:
    """Add ``--KEY VALUE`` for every key, a group for each section; return these options.

    The classes whose rules can be changed are the model's; so they are named by the caller.
    """
    options = []
    for section, rows in groupby(_rows(classes), lambda row: row[0].rpartition(".")[0]):
        group = parser.add_argument_group(section or "the device")
        for key, said in rows:
            if key not in taken:
                options.append(f"--{key}")
                group.add_argument(
                    options[-1], dest=key, metavar="VALUE", default=argparse.SUPPRESS, help=said
                )
    return options


def _rows(classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each key and what it takes; those outside of sections first."""
    default = defaults()
    for key, field in sorted(keys().items(), key=lambda entry: "." in entry[0]):
        if key == "decision":
            yield key, "rules of several classes: {CLASS: {KEY: VALUE, ...}}"
        else:
            shown = msgspec.json.encode(default[key]).decode().strip('"')
            yield key, f"{described(field.type)} (default: {shown})"
    for label in classes:
        for field in msgspec.structs.fields(DecisionRule):
            key = f"decision.{label}.{field.encode_name}"
            allowed = described(field.type)
            if key.endswith("_threshold"):
                allowed = THRESHOLD_RANGE
            elif key.endswith("_s"):
                allowed = SPAN_RANGE
            yield key, f"{allowed} (default: the model's)"
