from __future__ import annotations

from pathlib import Path

import pytest

from rainwatchd.errors import RainwatchError
from rainwatchd.replay.plot.pictures import pictures
from tests.tiny_model import SPEC


def made(target: Path, *recordings: Path) -> list[Path]:
    """Return where the pictures of `recordings` go."""
    chosen = pictures(target, recordings, SPEC, SPEC.decision)
    return [chosen(recording, None)._path for recording in recordings]


def test_one_recording_gives_the_file_that_is_named(tmp_path: Path) -> None:
    assert made(tmp_path / "x.svg", tmp_path / "a.wav") == [tmp_path / "x.svg"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_mirrors_that_of_the_recordings(tmp_path: Path) -> None:
    target = tmp_path / "pictures"
    recordings = [tmp_path / name for name in ("a/x.wav", "a/x.flac", "b/c/x.wav")]
    expected = [target / name for name in ("a/x.wav.png", "a/x.flac.png", "b/c/x.wav.png")]
    assert made(target, *recordings) == expected
    assert made(target, recordings[2]) == [target / "x.wav.png"]


@pytest.mark.parametrize(
    ("name", "count", "said"),
    [
        ("x.gid", 1, "x.gid: no picture can be drawn as gid; allowed: .*pdf, .*png, .*svg"),
        ("x.png", 2, "x.png: 2 recordings give as many pictures; name a folder"),
    ],
)
def test_what_cannot_be_drawn_is_refused(tmp_path: Path, name: str, count: int, said: str) -> None:
    with pytest.raises(RainwatchError, match=said):
        made(tmp_path / name, *(tmp_path / f"{number}.wav" for number in range(count)))
    assert list(tmp_path.iterdir()) == []
