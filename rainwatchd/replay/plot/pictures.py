"""Where pictures go: into one file, or into a folder with one for each recording."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from os.path import commonpath
from pathlib import Path

from matplotlib.backend_bases import FigureCanvasBase

from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec
from rainwatchd.replay.plot.picture import Picture


@dataclass(frozen=True)
class Pictures:
    """Makes the picture of a recording, in whichever process hears it."""

    spec: ModelSpec
    rules: Mapping[str, DecisionRule]
    target: Path
    root: Path | None
    """What `target` mirrors; None when `target` is the one picture itself."""

    def __call__(self, recording: Path, start: datetime | None) -> Picture:
        """Begin the picture of `recording`, which begins at `start`."""
        path = self.target
        if self.root is not None:
            inside = recording.absolute().relative_to(self.root)
            path = self.target / inside.with_name(f"{inside.name}.png")
        return Picture(self.spec, self.rules, path, start)


def pictures(
    target: Path,
    recordings: Sequence[Path],
    spec: ModelSpec,
    rules: Mapping[str, DecisionRule],
) -> Pictures:
    """Choose where the pictures go, and try whether they can be written there.

    One recording gives the file `target`, in the format of its suffix, unless that is a folder;
    more give a folder. Raises `OSError`, or `RainwatchError` for a suffix that can't be drawn.
    """
    kinds = FigureCanvasBase.get_supported_filetypes()
    kind = target.suffix.lower().removeprefix(".")
    single = len(recordings) == 1 and not target.is_dir() and bool(kind)
    if single and kind not in kinds:
        raise RainwatchError(f"{target}: no picture can be drawn as {kind}; {_allowed(kinds)}")
    if kind in kinds and len(recordings) > 1 and not target.is_dir():
        raise RainwatchError(
            f"{target}: {len(recordings)} recordings give as many pictures; name a folder"
        )
    if single:
        there = target.exists()
        target.open("ab").close()
        if not there:
            target.unlink()
        return Pictures(spec, rules, target, None)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=target):
        pass
    folders = {path.absolute().parent for path in recordings}
    root = Path(commonpath(folders)) if folders else Path.cwd()
    return Pictures(spec, rules, target, root)


def _allowed(kinds: Mapping[str, str]) -> str:
    return f"allowed: {', '.join(sorted(kinds))}"
