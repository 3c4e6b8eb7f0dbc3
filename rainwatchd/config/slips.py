"""Slips of the hand that make a text unreadable as YAML, found line by line and told apart.

PyYAML names the place where it could not go on, which may be many lines below, and in the words
of its grammar. Here every line is looked at by itself.
"""

from __future__ import annotations

import re

UNCLOSED = "the quote {quote} isn't closed in this line"

SECRETS = ("password", "passwd", "pass")
"""Keys that there aren't: the configuration may be shown to anybody, and so may what is wrong."""

NO_SECRETS = "a password doesn't stand here: password_file names a file that holds it"

_KEY = re.compile(r"(?P<key>[A-Za-z_][\w-]*):(?P<space>[ \t]*)(?P<value>.*)")
_CLOSED = re.compile(r"""("([^"\\]|\\.)*"|'([^']|'')*')\s*(#.*)?""")
_COMMENT = re.compile(r"(^|\s)#.*")
_QUOTED = re.compile(r"""("([^"\\]|\\.)*"|'[^']*')""")
_ODD_SPACE = re.compile("[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff]")
_EQUALS = re.compile(r"(?P<key>[A-Za-z_][\w.-]*)\s*=\s*(?P<value>.*)")
_BARE = re.compile(r"(?P<key>[A-Za-z_][\w-]*)(?:\s+(?P<value>\S+))?")
_INI = re.compile(r"\[(\w+)\]")
_CONFLICT = ("<<<<<<<", "=======", ">>>>>>>")
_NO_ESCAPE = re.compile(r"""\\[^0abtnvfrexuUNLP_ "/\\]""")


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
            if problems and re.split(r"[\s:=]", content.lower(), maxsplit=1)[0] in SECRETS:
                problems = [NO_SECRETS]
            found += [(number, problem) for problem in (problem, *problems) if problem]
            mended.append(" " * indent + content)
        depth += _opened(content)
    return "\n".join(mended), found


def plain_spaces(text: str) -> tuple[str, list[tuple[int, str]]]:
    """Replace spaces that look like one and are none, as they come from web pages; name each.

    In quotes and comments they may stay.
    """
    if not _ODD_SPACE.search(text):
        return text, []
    found, lines = [], text.split("\n")
    for number, line in enumerate(lines, start=1):
        odd = _ODD_SPACE.search(_COMMENT.sub("", _QUOTED.sub("", line)))
        if odd:
            name = f"U+{ord(odd[0]):04X}"
            found.append((number, f"a space that is none ({name}); type it anew"))
            lines[number - 1] = _ODD_SPACE.sub(" ", line)
    return "\n".join(lines), found


def lacking(content: str) -> str | None:
    """Say what a line lacks to be a key with its value; None where it isn't meant to be one."""
    if found := _EQUALS.fullmatch(content):
        meant = f"{found['key']}: {found['value']}".rstrip()
        return f"{_said(content, found['key'])} has = where a colon belongs: {meant}"
    return spaced(content)


def _said(content: str, key: str) -> str:
    return content if content.isprintable() and len(content) <= 40 else key


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
        return _made_a_key(content)
    key, value, problems = match["key"], match["value"], []
    if "\t" in match["space"]:
        problems.append("a tab behind the colon; put a space")
    elif missing := spaced(content):
        problems.append(missing)
    if "\t" in _QUOTED.sub("", value):
        problems.append("a tab in the line; YAML takes spaces only")
        value = value.replace("\t", " ")
    value, problem = _quoted(key, value)
    return f"{key}: {value}".rstrip(), [*problems, *([problem] if problem else [])]


def _quoted(key: str, value: str) -> tuple[str, str | None]:
    """Put what YAML would take for a sign of its own in quotes; say why."""
    bare = _COMMENT.sub("", value).rstrip()
    instead = f'"{bare}"'
    if value[:1] in ("'", '"'):
        return _requoted(key, value, bare)
    if value[:1] in tuple("@`%!"):
        return instead, f"text that begins with {value[0]} is put in quotes: {key}: {instead}"
    if ": " in bare and value[:1] not in ("{", "["):
        return instead, f"text with a colon and a space is put in quotes: {key}: {instead}"
    return value, None


def _requoted(key: str, value: str, bare: str) -> tuple[str, str | None]:
    quote = value[0]
    inner = bare.strip(quote)
    if _CLOSED.fullmatch(value):
        if quote == "'" or not _NO_ESCAPE.search(inner):
            return value, None
        return f"'{inner}'", f"in double quotes \\ means something: {key}: '{inner}'"
    if quote not in value[1:]:
        return value + quote, UNCLOSED.format(quote=quote)
    other = "'" if quote == '"' else '"'
    problem = f"text goes on behind the closing quote {quote}; use the other: {other}...{other}"
    return '""' if other in inner else f"{other}{inner}{other}", problem


def _made_a_key(content: str) -> tuple[str, list[str]]:
    if content.startswith(_CONFLICT):
        return "#", ["a mark of a merge conflict; delete it, and one of the two versions"]
    if section := _INI.fullmatch(content):
        said = f"{content} is no section: write {section[1]}: and its keys below it, indented"
        return f"{section[1]}:", [said]
    if problem := lacking(content):
        return re.sub(r"\s*=\s*", ": ", content, count=1), [problem]
    if bare := _BARE.fullmatch(content):
        key, value = bare["key"], bare["value"] or ""
        problem = f"{_said(content, key)} lacks a colon: {key}: {value or 'VALUE'}"
        return f"{key}: {value}".rstrip(), [problem]
    return content, []


def _opened(content: str) -> int:
    """How many more brackets ``{[`` a line opens than it closes."""
    bare = _COMMENT.sub("", _QUOTED.sub("", content))
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
