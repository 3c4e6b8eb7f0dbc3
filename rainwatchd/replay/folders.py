"""Which recordings there are below the paths that were named."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from rainwatchd.audio.formats import SUFFIXES, UNREADABLE, how_to_convert, printable
from rainwatchd.errors import AudioError

_NO_RECORDINGS = frozenset(["$recycle.bin", "system volume information"])
"""Where Windows keeps what was deleted, and its own notes."""


def find_recordings(paths: Sequence[Path]) -> list[Path | AudioError]:
    """Spread folders into the recordings below them, in the order of their names.

    A file that is named itself is taken whatever its name. What holds no recording takes its
    place in the list as an error; recordings of a kind that cannot be read are one error for all
    of them, behind the rest. A folder is searched once, whatever links lead to it.
    """
    search = _Search()
    found: list[Path | AudioError] = []
    for path in paths:
        found += search.below(path) if _is_folder(path) else [path]
    return [*dict.fromkeys(found), *search.unreadable()]


class _Search:
    """Walks through folders and remembers where it has been."""

    def __init__(self) -> None:
        self._searched: dict[tuple[int, int], Path] = {}
        """Folders by device and inode, and below which path they were found."""
        self._named = Path()
        self._met_again = 0
        """Folders that were searched below an earlier path: what is in them is not missing."""
        self._unreadable: dict[str, list[Path]] = {}

    def below(self, folder: Path) -> list[Path | AudioError]:
        """Return the recordings in and below a folder, and what of it could not be searched."""
        self._named = folder
        if not self._is_new(folder):
            return []
        unsearched: list[AudioError] = []
        recordings: list[Path] = []
        unreadable, met_again = 0, self._met_again
        for path in self._files(folder, unsearched):
            suffix = path.suffix.lower()
            if suffix in SUFFIXES:
                recordings.append(path)
            elif suffix in UNREADABLE:
                unreadable += 1
                self._unreadable.setdefault(suffix, []).append(path)
        if not (recordings or unreadable or unsearched or self._met_again > met_again):
            kinds = ", ".join(sorted(SUFFIXES))
            nothing = f"{printable(folder)}: no recordings in this folder (looked for {kinds})"
            return [AudioError(nothing)]
        return [*sorted(recordings), *unsearched]

    def unreadable(self) -> list[AudioError]:
        """Say of each kind that cannot be read how many there are, and how to convert them."""
        return [_cannot_read(suffix, paths) for suffix, paths in sorted(self._unreadable.items())]

    def _files(self, folder: Path, unsearched: list[AudioError]) -> Iterator[Path]:
        """Yield every file below a folder that is new; those behind links come last."""

        def complain(error: OSError) -> None:
            unsearched.append(AudioError(f"{printable(Path(error.filename))}: {error.strerror}"))

        # A folder and a link to it are one; searched first, it keeps its own name.
        waiting = deque([folder])
        while waiting:
            for parent, folders, files in os.walk(waiting.popleft(), onerror=complain):
                here = [Path(parent, name) for name in sorted(folders) if not _is_rubbish(name)]
                linked = [path for path in here if path.is_symlink()]
                folders[:] = [
                    path.name for path in here if path not in linked and self._is_new(path)
                ]
                waiting += linked
                yield from (Path(parent, name) for name in files if not name.startswith("._"))
            while waiting and not self._is_new(waiting[0]):
                waiting.popleft()

    def _is_new(self, folder: Path) -> bool:
        """Note that a folder is searched; False if it was before, perhaps by another name."""
        try:
            state = folder.stat()
        except OSError:  # the search will say why
            return True
        place = state.st_dev, state.st_ino
        if place in self._searched:
            self._met_again += self._searched[place] != self._named
            return False
        self._searched[place] = self._named
        return True


def _is_rubbish(folder: str) -> bool:
    """Whether a folder holds what was deleted, or a system's own notes."""
    return folder.startswith(".Trash") or folder.lower() in _NO_RECORDINGS


def _cannot_read(suffix: str, paths: Sequence[Path]) -> AudioError:
    first = min(paths)
    many = "1 recording" if len(paths) == 1 else f"{len(paths)} recordings"
    return AudioError(
        f"{many} of the kind {suffix} cannot be read, such as {printable(first)}: "
        f"{how_to_convert(first)}"
    )


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False
