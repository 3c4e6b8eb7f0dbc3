"""What a value that isn't allowed was probably meant to be: ``-3.1`` for ``3,1 S``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

TYPOGRAPHIC_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a"
"""What a word processor makes of a quote; to YAML they are letters."""

_YES = {"1", "y", "ja", "sí", "si", "sim", "oui", "ya"}
_NO = {"0", "n", "nein", "não", "nao", "non", "tidak"}

_BYTES = {"k": 10**3, "ki": 1 << 10, "m": 10**6, "mi": 1 << 20, "g": 10**9, "gi": 1 << 30}

_NUMBER = re.compile(
    r"(?P<number>[-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?)\s*(?P<unit>%|[a-z]*)(?!\w).*", re.IGNORECASE
)
_DEGREES = re.compile(
    r"(?P<degrees>\d+(?:[.,]\d+)?)\s*°?\s*(?:(?P<minutes>\d+(?:\.\d+)?)\s*['\u2032]\s*)?"
    r"(?:(?P<seconds>\d+(?:\.\d+)?)\s*[\"\u2033]\s*)?(?P<side>[NSEW])"
)


def meant(text: str, allowed: Callable[[object], bool]) -> str | None:
    """Return what to write instead of `text`, if something near to it is allowed."""
    bare = text.strip().strip("\"'" + TYPOGRAPHIC_QUOTES).rstrip(",;").strip()
    for guess in _guesses(bare):
        if allowed(guess):
            return str(guess).lower() if isinstance(guess, bool) else str(guess)
    return None


def _guesses(bare: str) -> Iterator[bool | int | float]:
    word = bare.lower()
    if word in {*_YES, *_NO, "true", "false"}:
        yield word in _YES or word == "true"
    if place := _DEGREES.fullmatch(bare):
        parts = (place["degrees"].replace(",", "."), place["minutes"], place["seconds"])
        angle = sum(float(part or 0) / 60**power for power, part in enumerate(parts))
        yield _whole(round(-angle if place["side"] in "SW" else angle, 6))
    if found := _NUMBER.fullmatch(bare):
        number, unit = float(found["number"].replace(",", ".")), found["unit"].lower()
        if unit == "%":
            yield _whole(number / 100)
        factor = _BYTES.get(unit.removesuffix("b"))
        yield _whole(number * factor if factor else number)


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number
