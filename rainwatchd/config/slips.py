"""Slips of the hand that make a text unreadable as YAML, found line by line and told apart.

PyYAML names the place where it could not go on, which may be many lines below, and in the words
of its grammar. Here every line is looked at by itself.
"""

from __future__ import annotations

import re

UNCLOSED = "the quote {quote} isn't closed in this line"

_KEY = re.compile(r"(?P<key>[A-Za-z_][\w-]*):(?P<space>[ \t]*)(?P<value>.*)")
_CLOSED = re.compile(r"""("([^"\\]|\\.)*"|'([^']|'')*')\s*(#.*)?""")
_COMMENT = re.compile(r"(^|\s)#.*")


def mend(text: str) -> tuple[str, list[tuple[int, str]]]:
    """Return `text` as it was probably meant, and each slip with its line, the first being 1.

    Lines stay where they are, so that what is found in the mended text has the same number.
    """
    found: list[tuple[int, str]] = []
    indents = _Indents()
    mended = []
    depth = 0
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.strip()
        if not content or content.startswith(("#", "---", "...", "%")) or depth > 0:
            mended.append(line)
        else:
            content, problems = _mended(content)
            indent, problem = indents.take(line, number, content)
            found += [(number, problem) for problem in (problem, *problems) if problem]
            mended.append(" " * indent + content)
        depth += _opened(content)
    return "\n".join(mended), found


def spaced(content: str) -> str | None:
    """Say what is missing in ``key:value``; None where nothing is."""
    match = _KEY.match(content)
    if not match or match["space"] or not match["value"] or match["value"].startswith("//"):
        return None
    said = content if content.isprintable() and len(content) <= 40 else f"{match['key']}:VALUE"
    return f"{said} lacks a space behind the colon: {said.replace(':', ': ', 1)}"


def _mended(content: str) -> tuple[str, list[str]]:
    match = _KEY.fullmatch(content)
    if match is None:
        return content, []
    value, problems = match["value"], []
    if "\t" in match["space"]:
        problems.append("a tab behind the colon; put a space")
    elif missing := spaced(content):
        problems.append(missing)
    if value[:1] in ("'", '"') and not _CLOSED.fullmatch(value) and value[0] not in value[1:]:
        problems.append(UNCLOSED.format(quote=value[0]))
        value += value[0]
    return f"{match['key']}: {value}".rstrip(), problems


def _opened(content: str) -> int:
    """How many more brackets ``{[`` a line opens than it closes."""
    bare = _COMMENT.sub("", re.sub(r"""("([^"\\]|\\.)*"|'[^']*')""", "", content))
    return sum(bare.count(sign) for sign in "{[") - sum(bare.count(sign) for sign in "}]")


class _Indents:
    """How far the lines of the sections that are open are indented."""

    def __init__(self) -> None:
        self._open = [0]
        self._opens_section = False
        self._line = 0
        self._indent = 0

    def take(self, line: str, number: int, content: str) -> tuple[int, str | None]:
        """Return how many spaces `line` should begin with, and what is wrong if it doesn't."""
        space = line[: len(line) - len(line.lstrip())]
        indent, problem = len(space), None
        top = self._open[-1]
        if "\t" in space:
            indent = top + 2 if self._opens_section else top
            problem = "a tab at the beginning of the line; YAML takes spaces only"
        if indent > top and self._opens_section:
            self._open.append(indent)
        elif indent > top:
            problem = problem or self._told(indent)
            indent = top
        else:
            while self._open[-1] > indent:
                last = self._open.pop()
            if self._open[-1] < indent:
                problem = self._told(indent)
                self._open.append(last)
                indent = last
        self._opens_section = _COMMENT.sub("", content).rstrip().endswith(":")
        self._line, self._indent = number, indent
        return indent, problem

    def _told(self, indent: int) -> str:
        spaces = f"{indent} space{'s' * (indent != 1)}"
        if not self._line:
            return f"indented by {spaces}; what is in no section begins at the left margin"
        return (
            f"indented by {spaces}, but line {self._line} above it by {self._indent}; the keys of "
            "a section stand exactly below each other"
        )
