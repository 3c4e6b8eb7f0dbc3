"""What was heard of a piece of a recording, kept until all its pieces are there to be joined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from rainwatchd.audio.files.times import Start
from rainwatchd.audio.ring import Gap
from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.window import Window
from rainwatchd.replay.archive.parts import PIECE, Done, commit, path_of
from rainwatchd.replay.archive.sources import Source
from rainwatchd.replay.listening import Ending, Opened, Passage, Piece


class _Heard(msgspec.Struct, frozen=True, array_like=True):
    """As it lies on disk; scores keep every bit."""

    opened: bool
    start: Start | None
    passages: list[tuple[int, int, float | None, list[float]]]
    """Start, end, level and scores of a window; a gap has no level."""
    ending: Ending


def piece_path(out: Path, source: Source, fingerprint: str, piece: Piece) -> Path:
    """Return where a piece belongs: beside the recording's part that is to be."""
    return path_of(out, f"{_stem(source, fingerprint)}.{piece.index}-{piece.count}{PIECE}")


def begun(done: Done, source: Source, fingerprint: str) -> int | None:
    """Return into how many pieces an earlier run has divided the recording."""
    stem = _stem(source, fingerprint)
    counts = [name for name in done.pieces if name.startswith(stem)]
    return min((int(name.removesuffix(PIECE).rpartition("-")[2]) for name in counts), default=None)


def write_piece(path: Path, passages: Iterable[Passage]) -> None:
    """Keep what was heard of a piece; raise `RainwatchError` where that can't be done."""
    opened, start, ending = False, None, Ending()
    heard: list[tuple[int, int, float | None, list[float]]] = []
    for passage in passages:
        match passage:
            case Opened():
                opened, start = True, passage.start
            case Window():
                scores = list(passage.scores)
                heard.append((passage.start, passage.end, passage.level_dbfs, scores))
            case Gap():
                heard.append((passage.start, passage.end, None, []))
            case Ending():
                ending = passage
    commit(path, msgspec.msgpack.encode(_Heard(opened, start, heard, ending)))


def joined(paths: Iterable[Path]) -> Iterator[Passage]:
    """Yield what was heard of all pieces as if it were one.

    Raises `FileNotFoundError` where one is missing, `RainwatchError` where one is damaged.
    """
    pieces = [_read(path) for path in paths]
    if pieces[0].opened:
        yield Opened(pieces[0].start)
    for piece in pieces:
        for start, end, level_dbfs, scores in piece.passages:
            if level_dbfs is None:
                yield Gap(start, end - start)
            else:
                yield Window(start, end, tuple(scores), level_dbfs)
    yield pieces[-1].ending


def _read(path: Path) -> _Heard:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=_Heard)
    except msgspec.DecodeError as error:
        raise RainwatchError(f"{path}: damaged ({error}); delete it and run again") from error


def _stem(source: Source, fingerprint: str) -> str:
    return f"{source.key}-{source.version(fingerprint)}"
