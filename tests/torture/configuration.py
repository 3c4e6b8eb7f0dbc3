"""Configuration files that a tired engineer, or a dying SD card, might leave behind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from rainwatchd.config import options as config
from rainwatchd.errors import ConfigError
from tests.torture.mutation import damaged

EXAMPLES = Path(__file__).parents[2] / "configs"

_VALUES = (
    "",
    "~",
    "yes",
    "-1",
    "0",
    "1e999",
    ".nan",
    "99999999999999999999",
    "0x10",
    "1_000",
    "2026-01-01",
    "12:30:45",
    "'",
    '"\\ud800"',
    "[]",
    "[1, [2, [3]]]",
    "{}",
    "{a: {b: {c: 1}}}",
    "*alias",
    "&anchor 1",
    "!!python/object/apply:os.system ['true']",
    "!!binary aGVsbG8=",
    "|\n  text",
    "<<: 1",
    "\u2028",
    "\x00",
    "canopy/7",
    "#",
    "%",
    "@",
    "- 1",
    "? x",
    "x" * 5000,
)


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Damage the example configurations and one that names every key."""
    examples = [path.read_text() for path in sorted(EXAMPLES.glob("*.yaml"))]
    nested: dict[str, object] = {}
    for key, value in config.defaults().items():
        *sections, last = key.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})  # type: ignore[assignment]
        inner[last] = value
    examples.append(yaml.safe_dump(nested))
    path = folder / "rainwatchd.yaml"

    def trial(rng: random.Random) -> None:
        text = rng.choice(examples)
        for _ in range(rng.randint(1, 4)):
            text = _edited(text, rng)
        content = text.encode("utf-8", "surrogatepass")
        path.write_bytes(damaged(content, rng) if rng.random() < 0.3 else content)
        try:
            config.load(path)
        except ConfigError as error:
            assert error.mistakes
            for message in error.mistakes:
                assert path.name in message, message
                assert message.isprintable(), message
                assert len(message) < 1000, message

    yield trial


def _edited(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    match rng.randrange(7):
        case 0:
            del lines[at]
        case 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        case 2:
            lines[at] = " " * rng.randint(0, 8) + lines[at].lstrip()
        case 3 | 4:
            key, colon, _ = lines[at].partition(":")
            lines[at] = f"{key.replace('# ', '')}{colon} {rng.choice(_VALUES)}"
        case 5:
            lines[at] = lines[at].replace(": ", rng.choice((":", " ", ":\t", ": : ")), 1)
        case 6:
            lines[at] = lines[at].replace("# ", "", 1)
    return "\n".join(lines)
