"""A recording that is heard in pieces is heard as if it were heard whole, bit for bit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.replay import division
from rainwatchd.replay.batch import Batch
from rainwatchd.replay.division import divide, pieces
from rainwatchd.replay.listening import Ending, Opened, Piece
from rainwatchd.replay.replay import Heard, Item, Replay, Scored
from tests.audio.files.test_triggered import left_out, write
from tests.sounds import scene

HOUR_S = 3600.0
SCENE = ((None, 11.3), ("chainsaw", 14.0), (None, 6.0), ("engine", 20.0), (None, 8.45))
MARKS_S = (0.0, 7.0, 24.0, 40.0, 45.0, 70.0)


def plain(path: Path) -> None:
    soundfile.write(path, scene(16000, *SCENE), 16000)


def resampled(path: Path) -> None:
    soundfile.write(path, scene(44100, *SCENE), 44100)


def of_two_channels(path: Path) -> None:
    """The second is opposed for a while, so that the loudest is heard instead of the mean."""
    left = scene(48000, *SCENE)
    right = -0.9 * left
    right[25 * 48000 :] *= -1
    soundfile.write(path, np.stack((left, right), axis=1), 48000)


def cut_short(path: Path) -> None:
    soundfile.write(path, scene(22050, *SCENE), 22050, format="WAV")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def with_nan(path: Path) -> None:
    sound = scene(16000, *SCENE)
    sound[47 * 16000 + 77] = np.nan
    soundfile.write(path, sound, 16000, subtype="FLOAT")


def with_zeros(path: Path) -> None:
    sound = scene(32000, *SCENE)
    sound[19 * 32000 : 23 * 32000] = 0.0
    soundfile.write(path, sound, 32000, format="FLAC")


def triggered(path: Path) -> None:
    loud, stretch = scene(16000, ("chainsaw", 17.0)), 61 * 16000 // 256
    pcm = (loud * 32767).astype("<i2").tobytes()
    write(path, pcm, left_out(stretch), pcm[:18002], left_out(12), pcm)


MAKERS = (plain, resampled, of_two_channels, cut_short, with_nan, with_zeros, triggered)


def in_pieces(path: Path, replay: Replay, classifier: Classifier) -> Iterator[Item]:
    """Hear each piece from the beginning, and judge what all have heard."""
    judge = replay.judge(classifier, str(path))
    stops_s = (*MARKS_S[1:], None)
    for index, (start_s, stop_s) in enumerate(zip(MARKS_S, stops_s, strict=True)):
        piece = Piece(index, len(MARKS_S), start_s, stop_s)
        for passage in replay.hear_piece(path, piece, classifier, lambda *_: None):
            first, last = index == 0, index == len(MARKS_S) - 1
            if (first or not isinstance(passage, Opened)) and (
                last or not isinstance(passage, Ending)
            ):
                yield from judge.push(passage)


def without_progress(items: Iterator[Item]) -> list[Item]:
    return [replace(item, progress=1.0) if isinstance(item, Scored) else item for item in items]


@pytest.mark.parametrize("make", MAKERS)
def test_pieces_in_a_row_are_the_whole(
    make: Callable[[Path], None], tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "20240512_060000T.wav"
    make(path)
    replay, classifier = Replay(Config(), "x"), Classifier(tiny_model)
    whole = without_progress(replay.hear(path, classifier))
    assert without_progress(in_pieces(path, replay, classifier)) == whole
    assert sum(isinstance(item, Scored) for item in whole) > 20


def test_what_cannot_be_opened_fails_once(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "text.wav"
    path.write_text("Dear diary")
    replay, classifier = Replay(Config(), "x"), Classifier(tiny_model)
    assert list(in_pieces(path, replay, classifier)) == list(replay.hear(path, classifier))


def batch(model: Path, jobs: int) -> Batch:
    return Batch(Replay(Config(), "x"), model, jobs, with_windows=True)


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divide what is longer than a minute and a half."""
    monkeypatch.setattr(division, "LONG_S", 90.0)
    monkeypatch.setattr(division, "_LEAST_S", 60.0)


@pytest.mark.usefixtures("short_pieces")
def test_several_cores_tell_of_one_recording_what_one_does(
    tiny_model: Path, tmp_path: Path
) -> None:
    paths: list[Path | AudioError] = [tmp_path / "a.wav", tmp_path / "b.wav", AudioError("none")]
    soundfile.write(tmp_path / "a.wav", np.tile(scene(22050, *SCENE), 4), 22050)
    plain(tmp_path / "b.wav")
    told: dict[int, tuple[float, float]] = {}

    def watch(number: int, heard_s: float, part: float) -> None:
        told[number] = (heard_s, part)

    apart = replace(batch(tiny_model, 2), watch=watch)
    assert len(apart._tasks(paths)) > len(paths)
    alone = without_progress(batch(tiny_model, 1).hear(paths))
    assert without_progress(apart.hear(paths)) == alone
    heard_s, part = told[0]
    assert heard_s == pytest.approx(239.0, abs=13.0), "windows of a piece reach into the next"
    assert part == pytest.approx(1.0, abs=0.05)


@pytest.mark.usefixtures("short_pieces")
def test_a_recording_whose_pieces_kill_their_process_is_left_out_once(
    tiny_model: Path, tmp_path: Path, fatal_names: str
) -> None:
    paths = [tmp_path / f"{fatal_names}.wav", tmp_path / "b.wav"]
    soundfile.write(paths[0], np.tile(scene(16000, *SCENE), 3), 16000)
    soundfile.write(paths[1], scene(16000, ("chainsaw", 9.0)), 16000)
    heard = [item for item in batch(tiny_model, 2).hear(paths) if isinstance(item, Heard)]
    assert [item.failure for item in heard] == [
        f"{paths[0]}: hearing it ended its process 3 times (SIGABRT); left out",
        None,
    ]


@pytest.mark.parametrize(
    ("hours", "jobs", "counts"),
    [
        ([8.0], 1, {}),
        ([1.9], 2, {}),
        ([8.0], 2, {0: 2}),
        ([8.0, 4.0], 2, {0: 3}),
        ([7.0, 7.0, 7.0], 2, {0: 2}),
        ([8.0] * 16, 16, {}),
        ([1.0] * 12, 2, {}),
        ([3.0] + [0.01] * 1000, 2, {}),
    ],
)
def test_only_what_would_end_alone_is_divided(
    hours: list[float], jobs: int, counts: dict[int, int]
) -> None:
    assert divide([length * HOUR_S for length in hours], jobs) == counts


@pytest.mark.parametrize("count", [2, 5, 12])
def test_pieces_lie_at_minute_marks_and_leave_nothing_out(count: int) -> None:
    found = pieces(count * HOUR_S / 2 + 100.0, count)
    assert found[0].start_s == 0.0
    assert found[-1].stop_s is None
    for piece, following in itertools.pairwise(found):
        assert piece.stop_s == following.start_s
        assert following.start_s % 60.0 == 0.0
        assert following.start_s > piece.start_s
