from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rainwatchd.errors import AudioError
from rainwatchd.replay.folders import find_recordings


def names(found: list[Path | AudioError]) -> list[str]:
    return [str(item) if isinstance(item, AudioError) else item.name for item in found]


def test_folders_are_spread_out_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "night" / "late").mkdir(parents=True)
    for name in ("night/b.wav", "night/a.MP3", "night/notes.txt", "night/late/c.flac", "one.raw"):
        (tmp_path / name).touch()
    found = find_recordings([tmp_path / "one.raw", tmp_path / "night", tmp_path / "gone.wav"])
    assert names(found) == ["one.raw", "a.MP3", "b.wav", "c.flac", "gone.wav"]


def test_a_recording_named_twice_is_heard_once(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert names(find_recordings([tmp_path / "a.wav", tmp_path])) == ["a.wav"]


def test_a_folder_without_recordings_is_an_error_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    first, second = find_recordings([tmp_path, tmp_path / "x.wav"])
    assert isinstance(first, AudioError)
    assert str(first).startswith(f"{tmp_path}: no recordings in this folder")
    assert second == tmp_path / "x.wav"


def test_one_bad_path_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    long = Path("x" * 300)
    assert find_recordings([long, tmp_path / "a.wav"]) == [long, tmp_path / "a.wav"]


def test_a_folder_that_cannot_be_read_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lost").mkdir()
    (tmp_path / "a.wav").touch()
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        # Root may read everything, so that permissions refuse nothing.
        if str(path).endswith("lost"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert names(find_recordings([tmp_path])) == [
        "a.wav",
        f"{tmp_path}/lost: Permission denied",
    ]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_what_was_deleted_or_is_no_sound_is_skipped_without_a_word(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "a.wav",
        "._a.wav",
        "night/._b.flac",
        "night/b.flac",
        ".Trashes/501/old.wav",
        ".Trash-1000/files/old.wav",
        "card/$RECYCLE.BIN/S-1/$RAB12.wav",
        "card/$Recycle.Bin/old.wav",
        "System Volume Information/old.wav",
    )
    assert names(find_recordings([tmp_path])) == ["a.wav", "b.flac"]


def test_a_file_that_is_named_itself_is_taken_whatever_its_name(tmp_path: Path) -> None:
    touch(tmp_path, ".Trash-1000/files/._a.wav", ".Trash-1000/files/b.wav")
    trash = tmp_path / ".Trash-1000" / "files"
    assert names(find_recordings([trash / "._a.wav", trash])) == ["._a.wav", "b.wav"]


def test_what_cannot_be_read_is_one_line_for_all_of_a_kind(tmp_path: Path) -> None:
    touch(tmp_path, "1/a.m4a", "1/b.M4A", "1/c.wav", "2/d.m4a", "2/e.WAC", "2/f.3gp")
    found = find_recordings([tmp_path / "1", tmp_path / "2"])
    wav, *errors = names(found)
    assert wav == "c.wav"
    assert all(isinstance(item, AudioError) for item in found[1:])
    assert [error.split(", such as")[0] for error in errors] == [
        "1 recording of the kind .3gp cannot be read",
        "3 recordings of the kind .m4a cannot be read",
        "1 recording of the kind .wac cannot be read",
    ]
    assert f"`ffmpeg -i {tmp_path}/1/a.m4a {tmp_path}/1/a.flac`" in errors[1]
    assert "Kaleidoscope" in errors[2]


def test_a_linked_folder_is_searched_once_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path, "card/sound/a.wav", "elsewhere/b.wav", "elsewhere/deep/c.wav")
    card = tmp_path / "card"
    (card / "again").symlink_to(card / "sound")
    (card / "loop").symlink_to(card)
    (card / "sound" / "up").symlink_to("..")
    (card / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(card)
    (card / "gone").symlink_to(tmp_path / "nowhere")
    found = find_recordings([card])
    expected = ["other/b.wav", "other/deep/c.wav", "sound/a.wav"]
    assert found == [card / name for name in expected]
    assert find_recordings([card, card / "again", tmp_path]) == found


def test_a_folder_named_twice_is_no_folder_without_recordings(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b/c.wav")
    assert names(find_recordings([tmp_path, tmp_path, tmp_path / "b"])) == ["a.wav", "c.wav"]
