from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.labelled import RATE_HZ, clip, write, write_tones
from training.dataset import Clip, DataError, read
from training.evaluation.streams import (
    LASTING_S,
    SLOT_S,
    Stream,
    event_streams,
    joined_stream,
    lone_streams,
)
from training.soundscape.snr import band_power


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return read(write_tones(tmp_path_factory.mktemp("tones")))


def of(clips: list[Clip], label: str) -> list[Clip]:
    return [clip for clip in clips if clip.label == label]


def stream(
    clips: list[Clip], label: str = "chainsaw", snr_db: float = 0.0, seed: int = 1, slots: int = 3
) -> Stream:
    beds = of(clips, "background")
    made = event_streams(
        of(clips, label), beds, ratios_db=[snr_db], slots=slots, rate_hz=RATE_HZ, seed=seed
    )
    return made[snr_db]


def test_one_event_stands_in_every_minute(clips: list[Clip]) -> None:
    made = stream(clips)
    assert made.duration_s == 3 * SLOT_S
    assert sum(block.size for block in made.blocks()) == 3 * SLOT_S * RATE_HZ
    for slot, truth in enumerate(made.truth):
        assert slot * SLOT_S < truth.onset_s < truth.offset_s < (slot + 1) * SLOT_S
        assert 12 <= truth.offset_s - truth.onset_s <= 25


@pytest.mark.parametrize("snr_db", [10.0, -15.0])
def test_the_ratio_is_exact_over_the_event(clips: list[Clip], snr_db: float) -> None:
    made = stream(clips, snr_db=snr_db)
    bed_alone = stream(clips, snr_db=-200.0)
    for slot, (mixed, bed) in enumerate(zip(made.blocks(), bed_alone.blocks(), strict=True)):
        truth = made.truth[slot]
        first = round((truth.onset_s - slot * SLOT_S) * RATE_HZ)
        last = first + round((truth.offset_s - truth.onset_s) * RATE_HZ)
        # A mix that would clip is turned down as a whole; that leaves the ratio alone.
        turned_down = np.abs(mixed[:first]).sum() / np.abs(bed[:first]).sum()
        event = mixed / np.float32(turned_down) - bed
        ratio = band_power(event[first:last], RATE_HZ) / band_power(bed[first:last], RATE_HZ)
        assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.05)
        assert np.abs(event[:first]).max() < 1e-4 and np.abs(event[last:]).max() < 1e-4
        assert np.abs(mixed).max() <= 1.0


def test_a_seed_decides_and_the_ratio_changes_nothing_but_the_gain(clips: list[Clip]) -> None:
    first, again = stream(clips), stream(clips)
    assert all(map(np.array_equal, first.blocks(), again.blocks()))
    assert stream(clips, snr_db=-10.0).truth == first.truth
    assert stream(clips, seed=2).truth != first.truth


def test_some_events_come_from_afar_and_have_no_highs(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0.0, 0.1, 30 * RATE_HZ)
    for label in ("engine", "background"):
        write(tmp_path / label / "noise.wav", noise)
    made = stream(read(tmp_path), "engine", snr_db=20.0, slots=12)
    assert {truth.far for truth in made.truth} == {True, False}
    brightness: dict[bool, list[float]] = {True: [], False: []}
    for slot, (truth, mixed) in enumerate(zip(made.truth, made.blocks(), strict=True)):
        first = round((truth.onset_s - slot * SLOT_S + 1) * RATE_HZ)
        power = np.abs(np.fft.rfft(mixed[first : first + 8 * RATE_HZ])) ** 2
        brightness[truth.far].append(power[power.size * 3 // 4 :].sum() / power.sum())
    assert max(brightness[True]) < min(brightness[False])


def test_short_clips_are_looped_without_a_seam(tmp_path: Path) -> None:
    steady = np.random.default_rng(5).normal(0.0, 0.1, RATE_HZ * 3 // 2)
    write(tmp_path / "engine" / "short.wav", steady)
    write(
        tmp_path / "background" / "hush.wav", np.random.default_rng(6).normal(0, 1e-3, 20 * RATE_HZ)
    )
    made = stream(read(tmp_path), "engine", snr_db=40.0, slots=1)
    (mixed,), (truth,) = list(made.blocks()), made.truth
    inside = mixed[round((truth.onset_s + 1) * RATE_HZ) : round((truth.offset_s - 1) * RATE_HZ)]
    level_db = [10 * np.log10(np.mean(part**2)) for part in np.array_split(inside, 100)]
    assert max(level_db) - min(level_db) < 3.0


def test_every_recording_has_its_turn_and_sources_alternate() -> None:
    many = [clip(f"many {n}", "engine", "many") for n in range(20)]
    few = [clip(f"few {n}", "engine", "few") for n in range(5)]
    bed = [replace(clip("bed", "background"), duration_s=60.0)]
    made = event_streams(many + few, bed, ratios_db=[0], slots=50, rate_hz=RATE_HZ, seed=1)[0]
    names = [truth.recording for truth in made.truth]
    assert len(set(names[:25])) == 25
    assert names[25:] == names[:25]
    assert sum(name.startswith("few") for name in names[:10]) == 5


def test_kinds_take_turns() -> None:
    trucks = [replace(clip(f"t{n}", "engine"), sub_label="truck_idle") for n in range(12)]
    boats = [replace(clip(f"b{n}", "engine"), sub_label="boat") for n in range(3)]
    bed = [replace(clip("bed", "background"), duration_s=60.0)]
    made = event_streams(trucks + boats, bed, ratios_db=[0], slots=6, rate_hz=RATE_HZ, seed=1)[0]
    assert sorted(truth.kinds[0] for truth in made.truth) == ["boat"] * 3 + ["truck"] * 3
    assert made.truth[0].kinds in {("boat",), ("truck", "idling")}


def test_a_short_recording_alone_lasts_and_a_long_one_stays(tmp_path: Path) -> None:
    noise = np.random.default_rng(4).normal(0.0, 0.1, 30 * RATE_HZ)
    write(tmp_path / "other" / "short.wav", noise[: 6 * RATE_HZ])
    write(tmp_path / "other" / "long.wav", noise)
    long, short = lone_streams(read(tmp_path), rate_hz=RATE_HZ)
    assert (long.truth[0].offset_s, short.truth[0].offset_s) == (30.0, 6.0)
    assert sum(block.size for block in long.blocks()) == 30 * RATE_HZ
    assert sum(block.size for block in short.blocks()) == LASTING_S * RATE_HZ == 15 * RATE_HZ


def test_silence_is_no_ambience(tmp_path: Path) -> None:
    write(tmp_path / "engine" / "a.wav", np.ones(RATE_HZ * 2) * 0.1)
    write(tmp_path / "background" / "zeros.wav", np.zeros(20 * RATE_HZ))
    with pytest.raises(DataError, match="silence"):
        list(stream(read(tmp_path), "engine").blocks())


def test_without_ambience_there_is_no_stream(clips: list[Clip]) -> None:
    with pytest.raises(DataError, match="add held-out recordings"):
        event_streams(of(clips, "chainsaw"), [], ratios_db=[0], slots=1, rate_hz=RATE_HZ, seed=1)


def test_joined_clips_stand_where_the_truth_says(clips: list[Clip]) -> None:
    made = joined_stream("ambience", clips, rate_hz=RATE_HZ)
    samples = np.concatenate(list(made.blocks()))
    assert samples.size == made.duration_s * RATE_HZ
    for truth in made.truth:
        part = samples[round(truth.onset_s * RATE_HZ) : round(truth.offset_s * RATE_HZ)]
        tonal = np.abs(np.fft.rfft(part)).max() / np.abs(np.fft.rfft(part)).mean() > 100
        assert tonal == (truth.label != "background")
