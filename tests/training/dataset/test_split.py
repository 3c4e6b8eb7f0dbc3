import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.labelled import clip
from training.dataset import Clip, DataError, folds, split_by_recording
from training.soundscape.library import default_data

clips_of_recordings = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(["background", "chainsaw", "engine"]),
        st.sampled_from(["field", "archive"]),
        st.one_of(st.none(), st.integers(1, 5)),
    ),
    min_size=60,
    max_size=200,
).map(
    lambda rows: (
        [
            clip(f"{label} {number}", label, source, fold=fold)
            for number, label, source, fold in rows
        ]
        + [
            clip(f"more {label} {n}", label)
            for label in ("background", "chainsaw", "engine")
            for n in range(5)
        ]
    )
)

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


@settings(max_examples=50, deadline=None)
@given(clips_of_recordings, st.integers(0, 1000))
def test_no_recording_is_on_two_sides(clips: list[Clip], seed: int) -> None:
    parts = split_by_recording(clips, SHARES, seed)
    names = [{clip.recording for clip in part} for part in parts.values()]
    assert not names[0] & names[1] and not names[0] & names[2] and not names[1] & names[2]
    assert sorted(map(id, (c for part in parts.values() for c in part))) == sorted(map(id, clips))
    for training, held_out in folds(clips, 5, seed):
        assert not {c.recording for c in training} & {c.recording for c in held_out}


@settings(max_examples=25, deadline=None)
@given(clips_of_recordings, st.integers(0, 1000))
def test_every_clip_is_held_out_once(clips: list[Clip], seed: int) -> None:
    held_out = [clip for _, part in folds(clips, 5, seed) for clip in part]
    assert sorted(map(id, held_out)) == sorted(map(id, clips))


def test_parts_have_their_share_of_every_class_and_source() -> None:
    clips = [
        clip(f"{source} {label} {number}", label, source)
        for label in ("background", "chainsaw")
        for source in ("field", "archive")
        for number in range(40)
    ]
    parts = split_by_recording(clips, SHARES, 3)
    for label in ("background", "chainsaw"):
        for source in ("field", "archive"):
            counts = {
                name: sum(c.label == label and c.source == source for c in part)
                for name, part in parts.items()
            }
            assert 27 <= counts["train"] <= 29
            assert 5 <= counts["validation"] <= 7


def test_a_seed_decides() -> None:
    clips = [clip(str(number), "engine") for number in range(30)]
    assert split_by_recording(clips, SHARES, 1) == split_by_recording(clips, SHARES, 1)
    assert split_by_recording(clips, SHARES, 1) != split_by_recording(clips, SHARES, 2)


def test_a_collection_keeps_its_own_folds() -> None:
    clips = [clip(str(number), "engine", fold=number % 5 + 1) for number in range(20)]
    for number, (_, held_out) in enumerate(folds(clips, 5, 1), start=1):
        assert {clip.fold for clip in held_out} == {number}


def test_every_part_hears_every_class_even_when_there_are_as_few_recordings_as_parts() -> None:
    clips = [clip(str(number), "chainsaw") for number in range(3)]
    assert all(len(part) == 1 for part in split_by_recording(clips, SHARES, 1).values())


def test_too_few_recordings_are_refused_by_name() -> None:
    clips = [clip("only", "chainsaw"), clip("only", "chainsaw")]
    with pytest.raises(DataError, match="class chainsaw has 1 recording, too few for 3 parts"):
        split_by_recording(clips, SHARES, 1)


@pytest.mark.shared
def test_the_collected_recordings_divide_into_folds() -> None:
    from training.dataset import read_manifest

    if not default_data().exists():
        pytest.skip("needs the labelled recordings in ../shared")
    clips = [clip for clip in read_manifest(default_data()) if clip.use == "train"]
    for training, held_out in folds(clips, 3, 1):
        assert not {c.recording for c in training} & {c.recording for c in held_out}
        assert sum(c.label == "chainsaw" for c in held_out) >= 10
