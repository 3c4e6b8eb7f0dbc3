"""What is held out together: clips of one animal, machine or night."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from rainwatchd.clips.labels import Label, Verdict, encode
from tests.tiny_model import LABELS, SPEC
from training.adaptation.features import Heard
from training.adaptation.labels import BACKGROUND, Labelled, read_labels
from training.adaptation.trial import Example, divided

LABEL = Label(
    event_id="018f6a00-0000-7000-8000-000000000001",
    label="engine",
    start="2024-05-12T06:00:00.000Z",
    sound_s=(5.0, 25.0),
    peak_score=0.9,
    verdicts=[Verdict(verdict="false", label=None, by="Ana", at="2024-05-12T07:00:00.000Z")],
    device_id="canopy-7",
    model="tiny 1",
    model_digest="",
    sample_rate_hz=SPEC.sample_rate_hz,
)


def write_clip(path: Path, seed: int | None = None, **known: object) -> None:
    """A second of noise, with a label if anything is known of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = sum(map(ord, str(path))) if seed is None else seed
    noise = np.random.default_rng(own).normal(0.0, 0.1, SPEC.sample_rate_hz)
    soundfile.write(path, noise, SPEC.sample_rate_hz)
    if known:
        label = msgspec.structs.replace(LABEL, **known)
        path.with_suffix(".json").write_bytes(encode(label))


def together(folder: Path) -> list[list[str]]:
    """Names of the recordings by occasion."""
    occasions: dict[str, list[str]] = {}
    for one in read_labels(folder, LABELS).recordings:
        occasions.setdefault(one.occasion, []).append(one.path.stem)
    return sorted(occasions.values())


def test_clips_of_one_device_that_follow_each_other_are_one_occasion(tmp_path: Path) -> None:
    for name, clock in {"a": "06:00:00", "b": "06:03:15", "c": "06:06:40", "d": "07:00:00"}.items():
        write_clip(tmp_path / f"{name}.flac", start=f"2024-05-12T{clock}.000Z")
    write_clip(tmp_path / "e.flac", device_id="canopy-8", start="2024-05-12T06:00:30.000Z")
    # b begins 175 s after a has ended, c 185 s after b.
    assert together(tmp_path) == [["a", "b"], ["c"], ["d"], ["e"]]


def test_peaks_of_a_recording_without_a_time_are_told_apart_by_their_place(tmp_path: Path) -> None:
    places = {"1": ("one.wav", 60.0), "2": ("one.wav", 120.0), "3": ("one.wav", 4000.0)}
    for name, place in {**places, "4": ("two.wav", 60.0)}.items():
        write_clip(tmp_path / f"{name}.flac", start=None, device_id="replay", cut_from=place)
    write_clip(tmp_path / "5.flac", start=None)
    write_clip(tmp_path / "6.flac", start=None)
    assert together(tmp_path) == [["1", "2"], ["3"], ["4"], ["5"], ["6"]]


def test_in_class_folders_names_with_a_time_and_folders_tell(tmp_path: Path) -> None:
    other = tmp_path / "other"
    for name in ("20240512_060000", "20240512_060100", "20240512_080000", "tram"):
        write_clip(other / f"{name}.wav")
    for name in ("night/cow1", "night/cow2"):
        write_clip(other / f"{name}.wav")
    assert together(tmp_path) == [
        ["20240512_060000", "20240512_060100"],
        ["20240512_080000"],
        ["cow1", "cow2"],
        ["tram"],
    ]


def test_a_copy_is_no_other_occasion(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.flac", seed=1, start="2024-05-12T06:00:00.000Z")
    write_clip(tmp_path / "other/copy.flac", seed=1)
    assert together(tmp_path) == [["a", "copy"]]


def examples(*sizes: tuple[str, int]) -> list[Example]:
    """Recordings of a label, so many to an occasion."""
    nothing = Heard(np.zeros(0), np.zeros(0), np.zeros((0, 0, 0)), None)
    return [
        Example(Labelled(Path(f"{place}-{number}"), label, None, occasion=str(place)), nothing)
        for place, (label, count) in enumerate(sizes)
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("sizes", "dealt"),
    [
        # An occasion each: thirds of each kind.
        ([(BACKGROUND, 1)] * 6 + [("engine", 1)] * 3, [(2, 1)] * 3),
        # One long night beside short ones.
        (
            [(BACKGROUND, 1), (BACKGROUND, 4), (BACKGROUND, 2), (BACKGROUND, 1)],
            [(2, 0)] * 2 + [(4, 0)],
        ),
        ([(BACKGROUND, 3), (BACKGROUND, 2)], [(2, 0), (3, 0)]),
    ],
)
def test_no_occasion_is_in_two_parts(
    sizes: Sequence[tuple[str, int]], dealt: Sequence[tuple[int, int]]
) -> None:
    parts = divided(examples(*sizes))
    occasions = [{example.labelled.occasion for example in part} for part in parts]
    assert sum(map(len, occasions)) == len(sizes)
    counts = [
        (sum(one.quiet for one in part), sum(not one.quiet for one in part)) for part in parts
    ]
    assert sorted(counts) == dealt
