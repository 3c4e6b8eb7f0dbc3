from pathlib import Path

import numpy as np
import pytest

from tests.training.labelled import RATE_HZ, clip, write, write_tones
from training.dataset import (
    DataError,
    check_readable,
    digest,
    load,
    publishable,
    read,
    read_manifest,
    screened,
)
from training.dataset.split import joined_sessions

HEAD_USE = "path,recording,class,use"

SECOND = np.zeros(RATE_HZ) + 0.1


def manifest(folder: Path, *lines: str, head: str = "path,recording,class") -> Path:
    path = folder / "manifest.csv"
    path.write_text("\n".join((head, *lines)) + "\n")
    return path


def test_class_folders(tmp_path: Path) -> None:
    clips = read(write_tones(tmp_path))
    assert {clip.label for clip in clips} == {"background", "chainsaw", "engine", "storm"}
    assert len({clip.recording for clip in clips}) == len(clips) == 8
    assert {clip.duration_s for clip in clips} == {6.0, 20.0}


def test_esc50(tmp_path: Path) -> None:
    for name in ("1-100-A-41.wav", "1-100-B-41.wav", "2-900-A-10.wav", "2-901-A-40.wav"):
        write(tmp_path / "audio" / name, SECOND)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/esc50.csv").write_text(
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100-A-41.wav,1,41,chainsaw,True,100,A\n"
        "1-100-B-41.wav,1,41,chainsaw,True,100,B\n"
        "2-900-A-10.wav,2,10,rain,True,900,A\n"
        "2-901-A-40.wav,2,40,helicopter,True,901,A\n"
    )
    clips = read(tmp_path)
    assert [clip.label for clip in clips] == ["chainsaw", "chainsaw", "storm", "other"]
    assert clips[0].recording == clips[1].recording != clips[2].recording
    assert [clip.fold for clip in clips] == [1, 1, 2, 2]


def test_urbansound8k(tmp_path: Path) -> None:
    write(tmp_path / "audio/fold3/77-5-0-0.wav", SECOND)
    write(tmp_path / "audio/fold4/78-4-0-0.wav", SECOND)
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/UrbanSound8K.csv").write_text(
        "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
        "77-5-0-0.wav,77,0,4,1,3,5,engine_idling\n"
        "78-4-0-0.wav,78,0,4,1,4,4,drilling\n"
    )
    clips = read(tmp_path)
    assert [(clip.label, clip.recording, clip.fold) for clip in clips] == [
        ("engine", "freesound-77", 3),
        ("other", "freesound-78", 4),
    ]


def test_manifest(tmp_path: Path) -> None:
    path = manifest(tmp_path, "a.wav,first,chainsaw", 'b.wav,second,"other"')
    clips = read(tmp_path)
    assert clips == read_manifest(path)
    assert [(clip.path, clip.label, clip.use) for clip in clips] == [
        (tmp_path / "a.wav", "chainsaw", "train"),
        (tmp_path / "b.wav", "other", "train"),
    ]


@pytest.mark.parametrize(
    ("tags", "machine_like"),
    [
        ("Bird 0.77; Animal 0.75", 0.0),
        ("Animal 0.49; Fixed-wing aircraft, airplane 0.41; Vehicle 0.31", 0.41),
        ("Light engine (high frequency) 0.53; Chainsaw 0.50", 0.53),
        ("Carnatic music 0.90; Busy signal 0.80", 0.0),
        ("", 0.0),
    ],
)
def test_tags_say_how_much_a_clip_sounds_like_a_machine(
    tmp_path: Path, tags: str, machine_like: float
) -> None:
    head = "path,recording,class,audioset_tags"
    (clip,) = read(manifest(tmp_path, f'a.wav,a,background,"{tags}"', head=head))
    assert clip.machine_like == machine_like


def test_a_clip_for_non_commercial_models_is_read_and_trains_no_open_one(tmp_path: Path) -> None:
    path = manifest(tmp_path, "a.wav,a,engine,train-nc", "b.wav,b,engine,train", head=HEAD_USE)
    clips = read_manifest(path)
    assert [clip.use for clip in clips] == ["train-nc", "train"]
    assert [clip.recording for clip in publishable(clips)] == ["b"]
    assert [clip.recording for clip in publishable(clips, "non-commercial")] == ["a", "b"]


def test_an_engine_under_louder_speech_or_alarms_trains_nothing(tmp_path: Path) -> None:
    head = "path,recording,class,source,audioset_tags"
    path = manifest(
        tmp_path,
        'a.wav,idle,engine,us8k,"Vehicle 0.31; Idling 0.20; Speech 0.12"',
        'b.wav,talk,engine,us8k,"Speech 0.42; Vehicle 0.15"',
        'c.wav,beep,chainsaw,us8k,"Beep, bleep 0.26; Alarm clock 0.15"',
        'd.wav,dog,background,us8k,"Dog 0.80; Speech 0.30"',
        'e.wav,faint,engine,us8k,"Noise 0.10; Speech 0.05"',
        head=head,
    )
    assert [clip.recording for clip in screened(read_manifest(path))] == ["idle", "dog", "faint"]


def test_an_unwatched_recorder_is_neither_believed_nor_drawn_as_a_hard_negative(
    tmp_path: Path,
) -> None:
    head = "path,recording,class,source,audioset_tags"
    path = manifest(
        tmp_path,
        'a.wav,jet,background,humboldt_v6da,"Jet engine 0.40; Vehicle 0.38"',
        'b.wav,insect,background,humboldt_v6da,"Helicopter 0.29; Insect 0.20"',
        'c.wav,pond,background,other_place,"Helicopter 0.40"',
        head=head,
    )
    kept = screened(read_manifest(path))
    assert [(clip.recording, clip.machine_like) for clip in kept] == [
        ("insect", 0.0),
        ("pond", 0.4),
    ]


def test_neighbouring_uploads_are_one_recording_but_only_within_a_class() -> None:
    clips = [
        clip("freesound-118656", "chainsaw"),
        clip("freesound-118657", "chainsaw"),
        clip("freesound-118658", "storm"),
        clip("freesound-165823", "chainsaw"),
    ]
    names = [clip.recording for clip in joined_sessions(clips)]
    assert names[0] == names[1]
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("head", "line", "message"),
    [
        ("path,class", "a.wav,engine", "column recording missing"),
        ("path,recording,class", "a.wav,,engine", "line 2: recording is empty"),
        ("path,recording,class", "a.wav,a,hovercraft", "line 2: class 'hovercraft' is unknown"),
        ("path,recording,class,use", "a.wav,a,engine,sell", "line 2: use is 'sell'"),
        ("path,recording,class,duration_s", "a.wav,a,engine,long", "line 2: duration_s and fold"),
    ],
)
def test_a_bad_manifest_is_refused_with_its_line(
    tmp_path: Path, head: str, line: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_manifest(manifest(tmp_path, line, head=head))


def test_a_manifest_without_rows_or_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no rows"):
        read_manifest(manifest(tmp_path))
    (tmp_path / "noise.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match="cannot be read"):
        read_manifest(tmp_path / "noise.csv")


def test_a_folder_without_classes_is_refused_with_what_to_make(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    with pytest.raises(DataError, match="no class folders; make background, chainsaw"):
        read(tmp_path)
    (tmp_path / "chainsaw").mkdir()
    with pytest.raises(DataError, match="chainsaw: no recordings"):
        read(tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "absent")


def test_a_manifest_needs_no_lengths_and_may_name_files_anywhere(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere/a.wav", SECOND)
    path = manifest(tmp_path, f"{tmp_path}/elsewhere/a.wav,first,engine")
    (only,) = read(path)
    assert only.duration_s == 1.0
    assert only.path == tmp_path / "elsewhere/a.wav"


@pytest.mark.parametrize(
    "content",
    [
        b"filename,fold,category,src_file\n",
        b"filename,fold,category,src_file\n1-100-A-41.wav,1\n",
        b"filename,fold,category,src_file\n\xe9.wav,1,rain,7\n",
        b"filename,fold,category,src_file\n" + b"x" * 200_000 + b",1,rain,7\n",
    ],
)
def test_a_damaged_table_of_a_collection_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/esc50.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"esc50.csv: .*; fetch the file again"):
        read(tmp_path)


def test_unreadable_clips_are_counted_and_named(tmp_path: Path) -> None:
    names = [f"{number}.wav" for number in range(5)]
    for name in names:
        (tmp_path / name).write_bytes(b"not sound")
    clips = read_manifest(manifest(tmp_path, *(f"{name},{name},engine" for name in names)))
    with pytest.raises(DataError, match=r"0\.wav: cannot be read as sound.*\(and 2 more\)"):
        check_readable(clips)
    with pytest.raises(DataError, match=r"0\.wav: cannot be read as sound"):
        load(clips[0], RATE_HZ)


def test_samples_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), RATE_HZ, subtype="FLOAT")
    (clip,) = read_manifest(manifest(tmp_path, "nan.wav,nan,engine"))
    with pytest.raises(DataError, match="not numbers"):
        load(clip, RATE_HZ)


def test_load_averages_channels_and_converts_the_rate(tmp_path: Path) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    write(tmp_path / "stereo.wav", np.stack([tone, 0 * tone], axis=1), 44100)
    (stereo,) = read_manifest(manifest(tmp_path, "stereo.wav,a,engine"))
    samples = load(stereo, RATE_HZ)
    assert samples.dtype == np.float32
    assert samples.shape == (RATE_HZ,)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)
    assert np.abs(samples - expected)[500:-500].max() < 1e-3


def test_the_digest_follows_content_and_label_but_not_place_or_order(tmp_path: Path) -> None:
    first, second = read(write_tones(tmp_path / "a", 1))[:2]
    again = read(write_tones(tmp_path / "b", 1))[:2]
    assert digest([first, second]) == digest(again[::-1])
    write(again[0].path, SECOND)
    assert digest([first, second]) != digest(again)
