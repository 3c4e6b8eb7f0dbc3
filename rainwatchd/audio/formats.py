"""Which files are recordings by their names."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

SUFFIXES = frozenset(
    [
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".caf",
        ".rf64",
        ".w64",
        ".wave",
    ]
)
"""What a folder is searched for; a file that is named itself may have any name."""

UNREADABLE = frozenset(
    [
        ".3gp",
        ".3gpp",
        ".aac",
        ".ac3",
        ".amr",
        ".ape",
        ".awb",
        ".dsf",
        ".m4a",
        ".m4b",
        ".mka",
        ".wac",
        ".wma",
        ".wv",
    ]
)
"""Sound, from telephones and old recorders mostly, that libsndfile doesn't read."""


def how_to_convert(path: Path) -> str:
    """Say by which command an unreadable recording becomes a readable one."""
    if path.suffix.lower() == ".wac":
        return "Wildlife Acoustics' Kaleidoscope converts it to WAV"
    name = printable(path)
    flac = str(Path(name).with_suffix(".flac"))
    return f"`ffmpeg -i {shlex.quote(name)} {shlex.quote(flac)}` converts it"


def printable(path: Path) -> str:
    """Return the path as one line of text, whatever bytes are in it."""
    text = os.fsencode(path).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
