"""Evidence: the right sound, in a folder that stays within bounds."""

from __future__ import annotations

import io
import os
import shutil
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from rainwatchd.audio.ring import Gap, RingBuffer
from rainwatchd.clips.clips import Clips
from rainwatchd.clips.options import ClipOptions
from rainwatchd.clips.plan import Origin
from rainwatchd.clips.preview import preview
from rainwatchd.clips.store import ClipStore, Quota, clip_name
from rainwatchd.decision.events import Detection, Event, Identity, Phase
from rainwatchd.hearing.log_mel import MelSpec
from tests.broker import until
from tests.detections import detection

RATE_HZ = 8000
MEL = MelSpec(RATE_HZ, 512, 250, 40, 40.0, 4000.0)
LATE_S = 15.0
"""How late an event may be announced here."""


def counted(start: int, stop: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Samples whose value tells their index, exactly representable in 16 bits."""
    index = np.arange(start, stop)
    return ((index % 65536 - 32768) / 32768).astype(np.float32)


def index_of(sample: float) -> int:
    return round(sample * 32768) + 32768


class Harness:
    """Clips of a stream whose every sample is known."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.troubles: list[str | None] = []
        self.published: list[tuple[str, str]] = []
        self.corrections: list[Detection] = []
        chosen = ClipOptions(**({"min_free_bytes": 0} | options))
        self.history = RingBuffer(round(chosen.history_s(LATE_S) * RATE_HZ))
        self.clips = Clips(
            chosen,
            directory,
            self.history,
            MEL,
            origin=Origin(Identity("canopy-7", None, None, "tiny 1"), "d1ge57"),
            report=self.troubles.append,
            publish=lambda event_id, name: self.published.append((event_id, name)),
            correct=self.corrections.append,
        )
        self.clips.start()

    def hear(self, duration_s: float) -> None:
        position = self.history.written
        stop = position + round(duration_s * RATE_HZ)
        self.history.write(counted(position, stop))
        self.clips.advance(stop)

    def event(
        self, number: int, phase: Phase, start_s: float, end_s: float | None = None
    ) -> Detection:
        happened = Event(
            phase=phase,
            label="chainsaw",
            seq=0,
            start=round(start_s * RATE_HZ),
            end=None if end_s is None else round(end_s * RATE_HZ),
            score=0.9,
            peak_score=0.9,
            level_dbfs=-30.0,
            detected_at=self.history.written,
        )
        return self.clips.attach(happened, detection(number, phase))

    def whole_event(self, number: int, start_s: float, end_s: float) -> Detection:
        self.hear(start_s + 6 - self.history.written / RATE_HZ)
        self.event(number, "onset", start_s)
        self.hear(end_s + 8 - self.history.written / RATE_HZ)
        offset = self.event(number, "offset", start_s, end_s)
        self.hear(1.0)
        return offset

    def close(self) -> None:
        self.clips.close(self.history.written, 20.0)

    def files(self, pattern: str = "*.flac") -> list[Path]:
        return sorted(self.directory.glob(pattern))


Make = Callable[..., Harness]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Harness] = []

    def harness(**options: Any) -> Harness:
        made.append(Harness(tmp_path / "clips", **options))
        return made[-1]

    yield harness
    for one in made:
        one.close()


def test_a_clip_holds_the_event_with_what_came_before_and_after(make: Make) -> None:
    harness = make(pre_roll_s=1.0, post_roll_s=0.5)
    offset = harness.whole_event(1, start_s=3.0, end_s=6.0)
    harness.close()

    (path,) = harness.files()
    samples, rate_hz = soundfile.read(path, dtype="float32")
    assert path.name == offset.clip
    assert rate_hz == RATE_HZ
    assert index_of(samples[0]) == 2 * RATE_HZ
    assert samples.size == 4.5 * RATE_HZ
    np.testing.assert_array_equal(samples, counted(2 * RATE_HZ, round(6.5 * RATE_HZ)))


def test_the_file_says_what_it_is(make: Make) -> None:
    harness = make()
    offset = harness.whole_event(1, 10.0, 12.0)
    harness.close()

    with soundfile.SoundFile(harness.files()[0]) as file:
        assert (file.format, file.subtype) == ("FLAC", "PCM_16")
        assert (file.title, file.comment) == ("chainsaw", offset.event_id)


def test_all_messages_of_an_event_name_the_same_clip(make: Make) -> None:
    harness = make()
    harness.hear(20)
    names = {
        harness.event(1, "onset", 10.0).clip,
        harness.event(1, "update", 10.0).clip,
        harness.event(1, "offset", 10.0, 15.0).clip,
    }

    assert names == {"20240512T000001.000Z_chainsaw_000000000001.flac"}


def test_names_sort_by_time_and_hold_no_separators() -> None:
    names = [
        clip_name("2024-05-12T06:00:00.000Z", "storm", "0" * 12),
        clip_name("2024-05-12T06:00:00.001Z", "chainsaw", "0" * 12),
        clip_name("2024-11-01T00:00:00.000Z", "../hand saw", "0" * 12),
    ]

    assert names == sorted(names)
    assert not any("/" in name or name.startswith(".") for name in names)


def test_a_long_event_keeps_its_beginning(make: Make) -> None:
    harness = make(pre_roll_s=2.0, max_duration_s=10.0)
    harness.hear(6)
    harness.event(1, "onset", 4.0)
    for _ in range(30):
        harness.hear(1)
    harness.event(1, "offset", 4.0, 35.0)
    harness.close()

    (path,) = harness.files()
    samples, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(samples, counted(2 * RATE_HZ, 12 * RATE_HZ))


def test_an_outage_takes_nothing_of_what_was_heard_before_it(make: Make) -> None:
    harness = make(pre_roll_s=2.0)
    harness.hear(12)
    harness.event(1, "onset", 6.0)
    harness.event(1, "offset", 6.0, 12.0)
    outage = Gap(12 * RATE_HZ, 600 * RATE_HZ)
    harness.clips.gap(outage)
    harness.history.skip(outage.length)
    harness.hear(5)
    harness.close()

    (path,) = harness.files()
    samples, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(samples, counted(4 * RATE_HZ, 12 * RATE_HZ))


def test_a_dropped_block_does_not_cut_the_end_of_a_clip(make: Make) -> None:
    harness = make(pre_roll_s=2.0, post_roll_s=5.0)
    harness.hear(13)
    harness.event(1, "onset", 6.0)
    harness.event(1, "offset", 6.0, 12.0)
    dropped = Gap(13 * RATE_HZ, RATE_HZ // 5)
    harness.clips.gap(dropped)
    harness.history.skip(dropped.length)
    harness.hear(10)
    harness.close()

    (path,) = harness.files()
    assert soundfile.info(path).duration == pytest.approx(13.0)


def test_an_event_known_as_late_as_can_be_has_its_whole_pre_roll(make: Make) -> None:
    harness = make(pre_roll_s=5.0, max_duration_s=3.0)
    harness.hear(40)
    harness.event(1, "onset", 40 - LATE_S)
    harness.clips.advance(40 * RATE_HZ)
    harness.close()

    (path,) = harness.files()
    samples, _ = soundfile.read(path, dtype="float32")
    first = round((35 - LATE_S) * RATE_HZ)
    np.testing.assert_array_equal(samples, counted(first, first + 3 * RATE_HZ))


def test_stopping_saves_what_is_there(make: Make) -> None:
    harness = make()
    harness.hear(12)
    harness.event(1, "onset", 6.0)
    harness.event(1, "offset", 6.0, 12.0)
    harness.close()

    (path,) = harness.files()
    assert soundfile.info(path).duration == pytest.approx(11.0)


def test_two_events_at_once_give_two_clips(make: Make) -> None:
    harness = make()
    harness.hear(10)
    for number in (1, 2):
        harness.event(number, "onset", 5.0)
        harness.event(number, "offset", 5.0, 8.0)
    harness.hear(5)
    harness.close()

    assert len(harness.files()) == 2


def test_nothing_half_written_is_left_or_taken_for_a_clip(make: Make, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    left = tmp_path / "clips" / ".20240512T000001.000Z_chainsaw_000000000001.flac.part"
    left.write_bytes(b"half")
    harness = make()
    harness.whole_event(1, 10.0, 12.0)
    harness.close()

    assert {path.suffix for path in (tmp_path / "clips").iterdir()} == {".flac", ".json"}


def test_beyond_the_quota_the_oldest_clips_go(make: Make) -> None:
    harness = make(max_bytes=40_000)
    for number in range(8):
        harness.whole_event(number, 20.0 * number + 10, 20.0 * number + 13)
        until(lambda: harness.clips.saved > number, "the clip")  # noqa: B023
    harness.close()

    names = [path.name for path in harness.files()]
    assert 1 <= len(names) < 8
    assert sum(path.stat().st_size for path in harness.files()) <= 40_000
    assert names[-1].startswith("20240512T000007"), "the newest is there"
    assert harness.troubles in ([], [None])


NAMES = [clip_name(f"2024-05-{day:02}T06:00:00.000Z", "storm", "0" * 12) for day in range(1, 11)]


def store(
    directory: Path, max_bytes: int, max_age_s: float, free_bytes: int, min_free_bytes: int = 0
) -> ClipStore:
    for age, name in enumerate(reversed(NAMES)):
        path = directory / name
        path.write_bytes(bytes(1000))

        os.utime(path, (2e9 - age * 86400,) * 2)
    (directory / "notes.txt").write_bytes(bytes(5000))

    def free(_path: Path) -> int:
        return free_bytes - 1000 * len(list(directory.glob("*.flac")))

    quota = Quota(max_bytes, max_age_s, min_free_bytes)
    return ClipStore(directory, quota, wall=lambda: 2e9, free_bytes=free)


def left(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.flac"))


def test_quota_by_bytes(tmp_path: Path) -> None:
    assert store(tmp_path, 5500, 1e9, 1 << 30).make_room(1000)
    assert left(tmp_path) == NAMES[-4:]


def test_quota_by_age(tmp_path: Path) -> None:
    assert store(tmp_path, 1 << 30, 2.5 * 86400, 1 << 30).make_room(1000)
    assert left(tmp_path) == NAMES[-3:]


def test_floor_of_free_space(tmp_path: Path) -> None:
    assert store(tmp_path, 1 << 30, 1e9, 20_000, min_free_bytes=12_500).make_room(1000)
    assert left(tmp_path) == NAMES[-6:]


def test_no_room_even_without_clips(tmp_path: Path) -> None:
    assert not store(tmp_path, 1 << 30, 1e9, 20_000, min_free_bytes=50_000).make_room(1000)
    assert left(tmp_path) == []
    assert (tmp_path / "notes.txt").exists(), "what is not a clip is never touched"


def test_what_is_larger_than_the_quota_costs_no_other_clip(tmp_path: Path) -> None:
    assert not store(tmp_path, 10_500, 1e9, 1 << 30).make_room(11_000)
    assert left(tmp_path) == sorted(NAMES)


def test_a_folder_that_was_removed_is_made_again(tmp_path: Path) -> None:
    keeper = store(tmp_path, 1 << 30, 1e9, 1 << 30)
    shutil.rmtree(tmp_path)
    assert keeper.make_room(1000)
    keeper.add(NAMES[0], b"x")
    assert left(tmp_path) == NAMES[:1]


def test_a_clip_of_unknown_age_does_not_expire(tmp_path: Path) -> None:
    keeper = store(tmp_path, 1 << 30, 86400.0 * 5, 1 << 30)

    os.utime(tmp_path / NAMES[0], (60.0, 60.0))
    keeper.make_room(0)
    assert NAMES[0] in left(tmp_path)


def test_a_full_disk_is_reported_and_detections_name_no_clip(make: Make) -> None:
    harness = make(min_free_bytes=1 << 60)
    first = harness.whole_event(1, 10.0, 12.0)
    harness.close()
    second = harness.event(2, "onset", 15.0)

    assert first.clip is None, "none is promised where there is no room for it"
    assert second.clip is None
    assert harness.clips.lost == 1
    assert harness.troubles[-1] is not None
    assert "clips.min_free_bytes" in harness.troubles[-1]


def test_a_folder_that_cannot_be_made_is_reported(make: Make, tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("in the way")
    harness = make()
    harness.whole_event(1, 10.0, 12.0)
    harness.close()

    assert harness.troubles[0] is not None
    assert str(tmp_path / "clips") in harness.troubles[0]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("odd")])
def test_a_clip_that_fails_after_it_was_named_is_taken_back(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    harness = make()
    monkeypatch.setattr(ClipStore, "add", fail)
    offset = harness.whole_event(1, 10.0, 12.0)
    harness.close()

    assert offset.clip is not None
    corrected = msgspec.structs.replace(offset, seq=offset.seq + 1, clip=None)
    assert harness.corrections == [corrected]


def test_a_clip_that_fails_while_its_event_lasts_is_named_no_more(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = make(max_duration_s=10.0)
    harness.hear(6)
    with monkeypatch.context() as patch:
        patch.setattr(ClipStore, "add", lambda *_: (_ for _ in ()).throw(OSError(5, "I/O")))
        assert harness.event(1, "onset", 4.0).clip is not None
        harness.hear(20)
        until(lambda: harness.clips.handled, "the first clip's failure")
    harness.whole_event(2, 30.0, 32.0)
    until(lambda: harness.clips.saved, "the second clip")
    assert harness.event(1, "offset", 4.0, 35.0).clip is None
    harness.close()

    assert len(harness.files()) == 1
    assert harness.corrections == []


def test_a_clip_that_is_not_written_in_time_is_taken_back(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(Clips, "_save", lambda *_: gate.wait(20))
    harness = make()
    offset = harness.whole_event(1, 10.0, 12.0)
    harness.clips.close(harness.history.written, 0.1)
    gate.set()

    assert [(told.event_id, told.clip) for told in harness.corrections] == [(offset.event_id, None)]


def test_slow_encoding_loses_clips_not_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:

    gate = threading.Event()
    monkeypatch.setattr(Clips, "_save", lambda *_: gate.wait(20))
    harness = make()
    for number in range(12):
        harness.whole_event(number, 20.0 * number + 10, 20.0 * number + 13)

    assert harness.clips.lost >= 6
    assert harness.troubles == ["encoding falls behind; a clip was left out"]
    gate.set()


def test_the_picture_shows_the_sound(make: Make) -> None:
    harness = make(spectrogram=True)
    harness.whole_event(1, 10.0, 12.0)
    harness.close()

    (path,) = harness.files("*.png")
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert path.stem == harness.files()[0].stem
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert height == MEL.n_mels
    assert width == pytest.approx(9 * RATE_HZ / MEL.hop_length, abs=5)
    at = data.index(b"IDAT")
    pixels = zlib.decompress(data[at + 4 : at + 4 + int.from_bytes(data[at - 4 : at], "big")])
    assert len(pixels) == height * (width + 1)
    assert max(pixels) == 255


def test_a_ranger_may_listen_to_ten_seconds(make: Make) -> None:
    harness = make(publish=True, pre_roll_s=4.0)
    offset = harness.whole_event(1, 10.0, 40.0)
    harness.close()

    assert harness.published == [(offset.event_id, offset.clip)]
    assert offset.clip is not None
    data = harness.clips.preview(offset.clip)
    assert data is not None
    info = soundfile.info(io.BytesIO(data))
    assert (info.format, info.subtype) == ("OGG", "OPUS")
    assert info.duration == pytest.approx(10.0, abs=0.1)
    assert len(data) < 60_000


def test_what_is_published_begins_with_the_sound(tmp_path: Path, make: Make) -> None:
    harness = make(publish=True, pre_roll_s=4.0)
    offset = harness.whole_event(1, 10.0, 40.0)
    harness.close()
    assert offset.clip is not None
    path = harness.directory / offset.clip
    samples, _ = soundfile.read(path, dtype="float32")
    soundfile.write(tmp_path / "own.flac", samples[4 * RATE_HZ : 14 * RATE_HZ], RATE_HZ)
    # Without a label the sound begins at once.
    np.testing.assert_array_equal(
        *(
            soundfile.read(io.BytesIO(opus or b""))[0]
            for opus in (preview(tmp_path / "own.flac"), harness.clips.preview(offset.clip))
        )
    )


@pytest.mark.parametrize("damage", ["gone", "cut", "foreign", "empty"])
def test_a_clip_that_is_gone_or_damaged_is_not_published(make: Make, damage: str) -> None:
    harness = make(publish=True)
    offset = harness.whole_event(1, 10.0, 20.0)
    harness.close()
    (path,) = harness.files()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes({"cut": b"fLaC\0", "foreign": bytes(999), "empty": b""}[damage])
    assert offset.clip is not None
    assert harness.clips.preview(offset.clip) is None


def test_without_leave_nothing_is_published(make: Make) -> None:
    harness = make()
    offset = harness.whole_event(1, 10.0, 20.0)
    harness.close()
    assert offset.clip is not None
    assert (harness.published, harness.clips.preview(offset.clip)) == ([], None)


@pytest.mark.parametrize("bad", [{"pre_roll_s": -1}, {"max_age_days": 0}, {"max_bytes": -1}])
def test_impossible_options_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, ClipOptions)
