"""Reading the text of a YAML file, and saying what is wrong with the text.

PyYAML's nodes know their lines; its values don't. So the tree of nodes is read first.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import Any

import yaml

from rainwatchd.config import slips
from rainwatchd.config.lines import Document, Path, shortened
from rainwatchd.errors import ConfigError

_BLOCK = ("|", ">")
"""Styles of a value that is meant to go over several lines."""

_BRACKETS = {"flow sequence": "[", "flow mapping": "{"}

_BYTE_ORDER_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read(
    path: FilePath | None,
    default: FilePath,
    settings: Mapping[str, str] | None,
    scalar: Callable[[str, str], Any],
) -> Document:
    """Read the file at `path`, else at `default` where it exists, and put `settings` over it.

    `scalar` makes a value of a key and its text. Raises `ConfigError` naming the file and why.
    """
    document = Document("the defaults")
    if path is not None or default.exists():
        path = path or default
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; name the file by --config") from error
        document = parse(content, str(path))
    for key, text in (settings or {}).items():
        document.put(key.split("."), scalar(key, text), f"--{key}", text)
    return document


def parse(content: str | bytes, source: str) -> Document:
    """Read one YAML mapping; what is wrong with it is in `Document.mistakes`.

    A key that stands twice, an alias and a value that runs over several lines are mistakes: each
    of them would otherwise silently mean something else than it seems to. Raises `ConfigError`
    with all that can be said where there is no mapping at all.
    """
    text = _decoded(content, source) if isinstance(content, bytes) else content
    document = Document(source)
    text, odd = slips.plain_spaces(text)
    document.mistakes += [f"{source}:{line}: {problem}" for line, problem in odd]
    try:
        node = _composed(text, document)
        if not isinstance(node, yaml.MappingNode | None):
            problem = "expected keys with values, such as 'device_id: canopy-7'"
            raise yaml.composer.ComposerError(None, None, problem, node.start_mark)
        _refuse_unspaced(node)
    except yaml.MarkedYAMLError as error:
        node = _mended(text, document, error)
    if node is not None:
        _note(node, (), document)
        document.values = _constructed(node, document)
    return document


def _decoded(content: bytes, source: str) -> str:
    if content.startswith(_BYTE_ORDER_MARKS):
        return content.decode("utf-16", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise ConfigError(
            f"{source}:{line}: the byte 0x{content[error.start]:02x} is not UTF-8; was the file "
            "saved as Latin-1? Save it as UTF-8"
        ) from error


def _composed(text: str, document: Document) -> yaml.Node | None:
    """Read the tree of nodes; raise `yaml.MarkedYAMLError` where the text isn't YAML."""
    try:
        node: yaml.Node | None = _Loader(text).get_single_node()
    except yaml.reader.ReaderError as error:
        line = 1 + text.count("\n", 0, error.position)
        raise ConfigError(
            f"{document.source}:{line}: the character U+{error.character:04X} isn't text; delete it"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{document.source}: sections are nested too deeply") from error
    return node


def _refuse_unspaced(node: yaml.Node | None) -> None:
    """Raise for ``key:value`` in a line of its own, which is the text of the key above it."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    for key, value in pairs:
        if isinstance(value, yaml.MappingNode):
            _refuse_unspaced(value)
        elif isinstance(value, yaml.ScalarNode) and value.start_mark.line > key.start_mark.line:
            missing = slips.lacking(value.value) if value.style is None else None
            if missing:
                raise yaml.composer.ComposerError(None, None, missing, value.start_mark)


def _mended(text: str, document: Document, error: yaml.MarkedYAMLError) -> yaml.Node | None:
    """Name the slips that keep `text` from being read; read on as if they weren't there."""
    mended, found = slips.mend(text)
    document.mistakes += [f"{document.source}:{line}: {problem}" for line, problem in found]
    try:
        if not found:
            raise error
        node = _composed(mended, document)
    except yaml.MarkedYAMLError as left:
        line, problem = _in_words(left)
        if line not in dict(found):
            document.mistakes.append(f"{document.source}:{line}: {problem}")
        raise ConfigError(*document.mistakes) from left
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(*document.mistakes) from error
    return node


def _in_words(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """Return the line of a mistake and what it is, as far as PyYAML knows."""
    mark, problem = error.problem_mark or error.context_mark, error.problem or error.context
    bracket = next(
        (sign for kind, sign in _BRACKETS.items() if kind in (error.context or "")), None
    )
    if bracket and error.context_mark:
        mark, problem = error.context_mark, f"the bracket {bracket} isn't closed"
    elif problem == "but found another document":
        problem = "--- begins a second document; one file holds one"
    return mark.line + 1 if mark else 1, str(problem)


def _note(node: yaml.Node, path: Path, document: Document) -> None:
    """Note places and wording of what is in `node`, and what is wrong with the wording."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                _complain(document, key.start_mark.line + 1, "a key is one word")
        node.value = [pair for pair in node.value if isinstance(pair[0], yaml.ScalarNode)]
        for key, value in node.value:
            inner = (*path, key.value)
            line = key.start_mark.line + 1
            if key.value in seen:
                name = shortened(key.value)
                _complain(document, line, f"the key {name} stands here for the second time")
            seen.add(key.value)
            # Keys are names, also where YAML would read a number or `no`.
            key.tag = "tag:yaml.org,2002:str"
            document.places[inner] = f"{document.source}:{line}"
            for line, problem in _misread(key, value):
                _complain(document, line, problem)
            _note(value, inner, document)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            document.places[*path, position] = f"{document.source}:{value.start_mark.line + 1}"
            _note(value, (*path, position), document)
    else:
        document.written[path] = node.value


def _misread(key: yaml.ScalarNode, value: yaml.Node) -> Iterator[tuple[int, str]]:
    """Yield line and problem where a value isn't what it looks like."""
    if not isinstance(value, yaml.ScalarNode):
        return
    name, text = shortened(key.value), value.value
    first, last = value.start_mark.line + 1, value.end_mark.line + 1
    if "\0" in text:
        yield first, "a NUL character isn't text"
    elif any("\ud800" <= character <= "\udfff" for character in text):
        yield first, "half a character (a lone surrogate) isn't text"
    elif value.style in _BLOCK or not text:
        return
    elif last > first and value.style is None:
        yield (
            first,
            f"the value of {name} runs on into line {last}: indent that line as its section "
            "is, with a space behind its colon",
        )
    elif last > first:
        yield first, slips.UNCLOSED.format(quote=value.style)
    elif first > key.start_mark.line + 1:
        yield first, f"this is read as the value of {name}; put it behind that key's colon"


def _complain(document: Document, line: int, problem: str) -> None:
    document.mistakes.append(f"{document.source}:{line}: {problem}")


def _constructed(node: yaml.Node, document: Document) -> dict[str, Any]:
    loader = _Loader("")
    values: dict[str, Any] = {}
    try:
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        loader.note(node, error)
    for line, problem in loader.mistakes:
        _complain(document, line, problem)
    return values


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.mistakes: list[tuple[int, str]] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            problem = "aliases (*name) aren't allowed; quote text that begins with *"
            raise yaml.composer.ComposerError(None, None, problem, self.get_mark())
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError) as error:
            # What looks like a date or a number and is none; PyYAML doesn't say where.
            self.mistakes.append((node.start_mark.line + 1, f"{error}; put text in quotes"))
        except yaml.MarkedYAMLError as error:
            self.note(node, error)
        return None

    def note(self, node: yaml.Node, error: yaml.MarkedYAMLError) -> None:
        """Take note of a tag that the value doesn't suit, or that nobody knows."""
        mark, problem = error.problem_mark or node.start_mark, str(error.problem)
        if "a constructor for the tag" in problem:
            problem = "text that begins with ! is put in quotes"
        self.mistakes.append((mark.line + 1, shortened(problem)))
