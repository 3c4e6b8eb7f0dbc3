"""Cards with what people and other systems leave on them: links, loops, rubbish, other formats."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rainwatchd.audio.formats import SUFFIXES, UNREADABLE
from rainwatchd.errors import AudioError
from rainwatchd.replay.folders import find_recordings

_RUBBISH = (".Trashes", ".Trash-1000", "$RECYCLE.BIN", "System Volume Information")
_MOST_FOLDERS = 12
_MOST_FILES = 30


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Search random trees; each recording is found once, and nothing that was deleted."""
    trials = iter(range(1 << 62))

    def trial(rng: random.Random) -> None:
        card = folder / str(next(trials)) / "card"
        card.mkdir(parents=True)
        folders, deleted = [card], [card]
        for number in range(rng.randint(0, _MOST_FOLDERS)):
            rubbish = rng.random() < 0.2
            parent = rng.choice(folders)
            name = rng.choice(_RUBBISH) if rubbish else rng.choice("aäZ\udcff森") + f" {number}"
            path = parent / name
            path.mkdir(exist_ok=True)
            (deleted if rubbish else folders).append(path)
        recordings, others = set(), dict.fromkeys(UNREADABLE, 0)
        for number in range(rng.randint(0, _MOST_FILES)):
            suffix = rng.choice([*SUFFIXES, *UNREADABLE, ".txt", ""])
            written = suffix.upper() if rng.random() < 0.3 else suffix
            if rng.random() < 0.2 and deleted[1:]:
                (rng.choice(deleted[1:]) / f"{number}{written}").touch()
            elif rng.random() < 0.2:
                (rng.choice(folders) / f"._{number}{written}").touch()
            else:
                path = rng.choice(folders) / f"{number}{written}"
                path.touch()
                if suffix in SUFFIXES:
                    recordings.add(path)
                elif suffix in UNREADABLE:
                    others[suffix] += 1
        for number in range(rng.randint(0, 6)):
            target = rng.choice([*folders, card.parent, card / "gone"])
            (rng.choice(folders) / f"link{number}").symlink_to(target)
        found = find_recordings([card] * rng.randint(1, 2))
        paths = [item for item in found if isinstance(item, Path)]
        assert len(paths) == len(set(paths))
        assert set(paths) == recordings, f"{set(paths) ^ recordings}"
        told = [str(item) for item in found if isinstance(item, AudioError)]
        kinds = [suffix for suffix, count in others.items() if count]
        for suffix in kinds:
            (line,) = (line for line in told if f"of the kind {suffix} " in line)
            assert line.startswith(f"{others[suffix]} recording")
        empty = not recordings and not kinds
        assert len(told) == len(kinds) + empty, told

    yield trial
