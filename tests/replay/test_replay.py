from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rainwatchd.audio.options import AudioOptions
from rainwatchd.config.options import Config
from rainwatchd.hearing.analysis import Analysis
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.window import Window
from rainwatchd.replay.replay import Found, Heard, Item, Replay, Scored
from tests.audio.files.test_triggered import left_out, write
from tests.sounds import scene
from tests.tiny_model import LABELS

SCENE = ((None, 10.0), ("chainsaw", 12.0), (None, 15.0), ("engine", 10.0), (None, 12.0))


@pytest.fixture(scope="module")
def classifier(tiny_model: Path) -> Classifier:
    return Classifier(tiny_model)


def hear(path: Path, classifier: Classifier, config: Config | None = None) -> list[Item]:
    return list(Replay(config or Config(), "ridge-3").hear(path, classifier))


def found(items: list[Item]) -> list[Found]:
    return [item for item in items if isinstance(item, Found)]


def test_a_scene_is_told_in_order(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "scene.wav"
    soundfile.write(path, scene(16000, *SCENE), 16000)
    items = hear(path, classifier)
    assert [(item.detection.phase, item.detection.label) for item in found(items)] == [
        ("onset", "chainsaw"),
        ("offset", "chainsaw"),
        ("onset", "engine"),
        ("offset", "engine"),
    ]
    saw, engine = (item for item in found(items) if item.detection.phase == "offset")
    assert saw.start_s == pytest.approx(10.0, abs=2.0)
    assert saw.end_s == pytest.approx(22.0, abs=3.0)
    assert engine.start_s == pytest.approx(37.0, abs=2.0)
    assert engine.end_s == pytest.approx(47.0, abs=3.0)
    assert (saw.detection.device_id, saw.detection.model) == ("ridge-3", "tiny 1")
    last = items[-1]
    assert isinstance(last, Heard)
    assert (last.duration_s, last.failure) == (59.0, None)
    assert last.peaks is not None
    assert [round(peak) for peak in last.peaks] == [1, 1, 1, 0]


def test_peaks_are_the_highest_scores(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "scene.wav"
    soundfile.write(path, scene(16000, *SCENE), 16000)
    items = hear(path, classifier)
    scores = np.array([item.scores for item in items if isinstance(item, Scored)])
    last = items[-1]
    assert isinstance(last, Heard)
    assert last.peaks == tuple(scores.max(axis=0).tolist())
    assert scores.shape == (56, len(LABELS))


@pytest.mark.parametrize(
    ("name", "rate_hz", "channels"),
    [("a.wav", 44100, 2), ("b.flac", 48000, 1), ("c.ogg", 22050, 2), ("d.mp3", 44100, 1)],
)
def test_rate_channels_and_format_change_no_detection(
    tmp_path: Path, classifier: Classifier, name: str, rate_hz: int, channels: int
) -> None:
    plain, other = tmp_path / "plain.wav", tmp_path / name
    soundfile.write(plain, scene(16000, *SCENE), 16000)
    sound = scene(rate_hz, *SCENE)
    with soundfile.SoundFile(other, "w", rate_hz, channels) as file:
        for block in np.array_split(np.tile(sound[:, np.newaxis], channels), 100):
            file.write(block)
    expected, got = found(hear(plain, classifier)), found(hear(other, classifier))
    assert [item.detection.label for item in got] == [item.detection.label for item in expected]
    for one, two in zip(expected, got, strict=True):
        assert two.start_s == pytest.approx(one.start_s, abs=1.0)
        assert (two.end_s is None) == (one.end_s is None)
        if one.end_s is not None:
            assert two.end_s == pytest.approx(one.end_s, abs=1.0)


def test_one_channel_can_be_heard_alone(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "x.wav"
    saw = scene(16000, ("chainsaw", 12.0))
    soundfile.write(path, np.stack((np.zeros_like(saw), saw), axis=1), 16000)
    for channel, labels in ((1, []), (2, ["chainsaw", "chainsaw"])):
        config = Config(audio=AudioOptions(channel=channel))
        heard = found(hear(path, classifier, config))
        assert [item.detection.label for item in heard] == labels


def test_an_event_that_lasts_to_the_end_ends_there(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, scene(16000, (None, 5.0), ("chainsaw", 10.3)), 16000)
    last = found(hear(path, classifier))[-1]
    assert last.detection.end_reason == "end_of_stream"
    assert last.end_s == pytest.approx(15.3, abs=1e-6)


def test_a_clip_shorter_than_a_window_still_has_its_scores(
    tmp_path: Path, classifier: Classifier
) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, scene(16000, ("chainsaw", 2.0)), 16000)
    scored, heard = hear(path, classifier)
    assert isinstance(scored, Scored)
    assert (scored.start_s, scored.end_s, scored.progress) == (0.0, 2.0, 1.0)
    assert isinstance(heard, Heard)
    assert heard.peaks == scored.scores
    assert scored.scores[LABELS.index("chainsaw")] > 0.9


def test_what_precedes_the_damage_is_heard(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, scene(16000, ("chainsaw", 20.0)), 16000)
    path.write_bytes(path.read_bytes()[: 44 + 2 * 16000 * 12])
    items = hear(path, classifier)
    assert [item.detection.phase for item in found(items)] == ["onset", "offset"]
    heard = items[-1]
    assert isinstance(heard, Heard)
    assert heard.duration_s == 12.0
    assert heard.failure is not None
    assert "cut short" in heard.failure


def test_an_unreadable_file_is_one_failure(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "gone.wav"
    assert hear(path, classifier) == [
        Heard(str(path), 0.0, None, f"{path}: No such file or directory")
    ]


class Follower:
    """Notes what it is shown."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.windows: list[bool] = []
        self.items: list[Item] = []
        self.finished = False

    def observe(self, analysis: Analysis, window: Window) -> None:
        self.windows.append(self.classifier.scores(analysis.log_mel) == window.scores)

    def take(self, item: Item) -> None:
        self.items.append(item)

    def finish(self) -> None:
        self.finished = True
        raise OSError(28, "No space left on device", "x.png")


def test_a_follower_sees_each_window_with_its_frames(
    tmp_path: Path, classifier: Classifier
) -> None:
    path = tmp_path / "20240512_060000.wav"
    soundfile.write(path, scene(16000, ("engine", 8.0)), 16000)
    follower, begun = Follower(classifier), []

    def follow(recording: Path, start: datetime | None) -> Follower:
        begun.append((recording, start))
        return follower

    *items, last = Replay(Config(), "x", follow=follow).hear(path, classifier)
    assert begun == [(path, datetime(2024, 5, 12, 6, 0, 0, tzinfo=UTC))]
    assert follower.windows == [True] * 5
    assert follower.items[:-1] == items
    assert isinstance(last, Heard)
    assert (follower.finished, last.failure) == (True, "x.png: No space left on device")


def test_the_time_in_the_name_is_the_time_of_the_detection(
    tmp_path: Path, classifier: Classifier
) -> None:
    path = tmp_path / "20240512_060000.WAV"
    soundfile.write(path, scene(16000, ("chainsaw", 12.0)), 16000)
    onset = found(hear(path, classifier))[0]
    assert onset.detection.start == "2024-05-12T06:00:00.000Z"
    assert not onset.detection.clock_synced


def test_a_time_that_nothing_tells_is_unknown(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, scene(16000, ("chainsaw", 12.0)), 16000)
    onset, offset = (item.detection for item in found(hear(path, classifier)))
    assert (onset.start, onset.end, offset.start, offset.end) == (None, None, None, None)
    assert offset.duration_s > 8.0
    assert onset.event_id == offset.event_id


def test_a_local_time_is_counted_from_utc(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / "RIDGE_20240512_060000.wav"
    soundfile.write(path, scene(16000, ("chainsaw", 12.0)), 16000)
    for offset, start, assumed in (
        (None, "2024-05-12T06:00:00.000Z", True),
        (timedelta(hours=10), "2024-05-11T20:00:00.000Z", False),
    ):
        items = list(Replay(Config(), "x", utc_offset=offset).hear(path, classifier))
        assert found(items)[0].detection.start == start
        heard = items[-1]
        assert isinstance(heard, Heard)
        assert heard.assumed_utc == assumed


def test_what_a_trigger_left_out_is_a_gap_in_time(tmp_path: Path, classifier: Classifier) -> None:
    saw = (scene(16000, ("chainsaw", 15.36)) * 32767).astype("<i2").tobytes()
    path = tmp_path / "20240512_060000T.WAV"
    write(path, left_out(37500), saw, left_out(37500), saw, left_out(1000), saw[: 2 * 16384])
    items = hear(path, classifier)
    first, second = (item for item in found(items) if item.detection.phase == "offset")
    assert first.detection.start == "2024-05-12T06:10:00.000Z"
    assert first.end_s == pytest.approx(615.36, abs=1.0)
    assert first.detection.end_reason == "gap"
    assert second.start_s == pytest.approx(600 + 15.36 + 600, abs=1e-3)
    heard = items[-1]
    assert isinstance(heard, Heard)
    assert heard.duration_s == pytest.approx(2 * 615.36 + 16 + 1.024)
    windows = [item for item in items if isinstance(item, Scored)]
    sounding = [(600.0, 615.36), (1215.36, 1230.72), (1246.72, 1247.744)]
    for window in windows:
        # None straddles a gap; one shorter than a window is still heard.
        assert sum(start <= window.end_s <= end + 1e-3 for start, end in sounding) == 1
    assert windows[-1].scores[LABELS.index("chainsaw")] > 0.9
    progress = [window.progress for window in windows]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0


def test_gaps_shorter_than_a_window_keep_the_time(tmp_path: Path, classifier: Classifier) -> None:
    piece = (scene(16000, (None, 1.024)) * 32767).astype("<i2").tobytes()
    saw = (scene(16000, ("chainsaw", 15.36)) * 32767).astype("<i2").tobytes()
    path = tmp_path / "20240512_060000T.WAV"
    write(path, *[piece, left_out(64)] * 20, saw)
    onset, _ = found(hear(path, classifier))
    assert onset.start_s == pytest.approx(20 * 2.048, abs=1e-3)


def test_a_name_that_is_no_text_can_be_reported(tmp_path: Path, classifier: Classifier) -> None:
    path = tmp_path / os.fsdecode(b"saw\xff\n.wav")
    soundfile.write(os.fsencode(path), scene(16000, ("chainsaw", 12.0)), 16000)
    items = hear(path, classifier)
    assert found(items)
    assert all(item.file.endswith("saw\ufffd\ufffd.wav") for item in items)
