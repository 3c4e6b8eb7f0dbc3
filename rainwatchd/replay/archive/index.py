"""What an archive holds: how long, what of it is done, and in which order the rest is heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from rainwatchd.audio.files.length import guess_s, length_s
from rainwatchd.errors import AudioError
from rainwatchd.replay.archive.parts import Done, done_parts, part_name
from rainwatchd.replay.archive.pieces import begun
from rainwatchd.replay.archive.sources import Source, find_sources, url
from rainwatchd.replay.archive.tasks import Hearing, Task
from rainwatchd.replay.division import divide, pieces
from rainwatchd.replay.report import clock


@dataclass(frozen=True)
class Index:
    """What was found."""

    recordings: list[Task]
    """To be heard, numbered in their order."""
    done: int
    """How many have a part."""
    failed: int
    """Of those done, how many were not heard to their end."""
    dead: list[AudioError]
    """What could not even be looked at."""
    pieces: dict[int, int]
    """Into how many pieces an earlier run has divided recordings, by their numbers."""

    @property
    def summary(self) -> str:
        """What there is to do, in a line."""
        sound_s = sum(task.length_s for task in self.recordings)
        empty = sum(task.length_s == 0.0 for task in self.recordings)
        return (
            f"{len(self.recordings)} recordings to hear, about {clock(sound_s)} of sound, "
            f"{empty} of them empty; {self.done} were done before"
        )

    def tasks(self, jobs: int) -> list[Task]:
        """Return what `jobs` processes do, in their order.

        What is empty comes first, since it costs nothing and is to be known. The longest come
        next: what begins last should end soon.
        """
        counts = divide([task.length_s for task in self.recordings], jobs) | self.pieces
        tasks = [part for task in self.recordings for part in _divided(task, counts)]
        return sorted(tasks, key=_turn)


def look(places: Sequence[Path], hearing: Hearing, holds: Callable[[Source], bool]) -> Index:
    """Look for recordings at the places, for those that `holds` wants."""
    done = done_parts(hearing.out)
    index = Index([], 0, 0, [], {})
    whole = failed = 0
    for source in find_sources(places):
        if isinstance(source, AudioError):
            index.dead.append(source)
        elif not holds(source):
            continue
        elif part_name(source, hearing.fingerprint) in done.names:
            whole += 1
        elif part_name(source, hearing.fingerprint, failed=True) in done.names:
            failed += 1
        else:
            _add(index, Task(len(index.recordings), source, _length_s(source), hearing), done)
    return replace(index, done=whole + failed, failed=failed)


def _add(index: Index, task: Task, done: Done) -> None:
    count = begun(done, task.source, task.hearing.fingerprint) if done.pieces else None
    if count is not None:
        index.pieces[task.number] = count
    index.recordings.append(task)


def _length_s(source: Source) -> float:
    if url(source.place) is None:
        return length_s(source.place, source.size)
    return guess_s(PurePosixPath(source.place).suffix, source.size)


def _divided(task: Task, counts: dict[int, int]) -> Iterator[Task]:
    """Yield a recording's pieces; a remote one is copied once, and heard where the copy is."""
    if task.number not in counts or url(task.source.place) is not None:
        yield task
        return
    for piece in pieces(task.length_s, counts[task.number]):
        yield replace(task, piece=piece)


def _turn(task: Task) -> tuple[bool, float, str, int]:
    heard_s, index = task.length_s, 0
    if task.piece is not None:
        stop_s = task.length_s if task.piece.stop_s is None else task.piece.stop_s
        heard_s, index = stop_s - task.piece.start_s, task.piece.index
    return task.length_s > 0.0, -heard_s, task.source.name, index
