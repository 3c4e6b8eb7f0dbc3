from dataclasses import replace

import numpy as np
import pytest

from rainwatchd.hearing.model_spec import DecisionRule
from tests.training.labelled import RATE_HZ, one_class, scored, write
from training.dataset import Clip, read
from training.evaluation.reach import (
    FULL_SCALE_DB,
    MACHINES,
    at_distance,
    mean_spectrum,
    reach_streams,
    recall_at,
)
from training.soundscape.outdoors import a_weighted_power


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    folder = tmp_path_factory.mktemp("field")
    rng = np.random.default_rng(3)
    for number, tilt in enumerate((0.0, 0.7)):
        noise = rng.normal(0.0, 0.02, 6 * RATE_HZ)
        noise[1:] += tilt * noise[:-1]
        write(folder / "chainsaw" / f"{number}.wav", noise)
        write(folder / "background" / f"{number}.wav", rng.normal(0.0, 0.001, 20 * RATE_HZ))
    return read(folder)


def level_db_a(samples: np.ndarray) -> float:
    return float(10 * np.log10(2 * a_weighted_power(samples, RATE_HZ)) + FULL_SCALE_DB)


def test_the_saw_is_as_loud_as_stated_and_falls_with_distance(clips: list[Clip]) -> None:
    saws = [clip for clip in clips if clip.label == "chainsaw"]
    spectra = {"saw": mean_spectrum(saws, RATE_HZ)}
    streams = reach_streams(clips, spectra, rate_hz=RATE_HZ, events=2, seed=1)
    assert {place[0] for place in streams} == {"saw"}
    (near, *_), (far, *_) = (list(streams["saw", metres, 35].blocks()) for metres in (100, 1000))
    truth = streams["saw", 100, 35].truth[0]
    first, last = (round(at_s * RATE_HZ) for at_s in (truth.onset_s, truth.offset_s))
    assert level_db_a(near[: first - 1]) == pytest.approx(36.0, abs=0.7)
    # 110 - 40 for 100 m, some dB for leaves and air; at 1000 m 20 more, and the highs are gone.
    assert 55.0 < level_db_a(near[first:last]) < 68.0
    assert level_db_a(far[first:last]) < level_db_a(near[first:last]) - 20.0


def test_recordings_get_the_stated_octaves(clips: list[Clip]) -> None:
    saws = [clip for clip in clips if clip.label == "chainsaw"]
    wanted = mean_spectrum(saws, RATE_HZ)
    apart = [mean_spectrum([saw], RATE_HZ) for saw in saws]
    assert np.abs(apart[0] - apart[1]).max() > 3.0
    made = reach_streams(clips, {"saw": wanted}, rate_hz=RATE_HZ, events=2, seed=1)
    stream = made["saw", 50, 35]
    levels = []
    for block in stream.blocks():
        event = block[8 * RATE_HZ : 28 * RATE_HZ]
        power = np.abs(np.fft.rfft(event)) ** 2
        octaves = [power[20 * hz : 40 * hz].sum() for hz in (200, 400, 800)]
        levels.append(10 * np.log10(np.array(octaves) / power.sum()))
    np.testing.assert_allclose(levels[0], levels[1], atol=1.5)


def test_distance_takes_the_highs_first() -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.1, 4 * RATE_HZ).astype(np.float32)
    power = np.abs(np.fft.rfft(at_distance(noise, 500.0, RATE_HZ))) ** 2
    low, high = power[400:2000].mean(), power[24000:28000].mean()
    assert 10 * np.log10(low / high) > 25.0


def test_without_a_machine_or_a_bed_there_is_no_range(clips: list[Clip]) -> None:
    spectra = {machine.name: np.zeros(8) for machine in MACHINES}
    saws = [clip for clip in clips if clip.label == "chainsaw"]
    assert not reach_streams(saws, spectra, rate_hz=RATE_HZ, events=1, seed=1)
    cars = [replace(clip, label="engine", sub_label="car") for clip in saws]
    assert not reach_streams(cars, spectra, rate_hz=RATE_HZ, events=1, seed=1)


def test_what_is_found_is_counted_by_place(clips: list[Clip]) -> None:
    found = scored(one_class([0.0] * 10 + [0.9] * 20), [("chainsaw", 10.0, 30.0)])
    missed = scored(one_class([0.0] * 30), [("chainsaw", 10.0, 30.0)])
    places = {("saw", 100, 35): found, ("saw", 500, 35): missed}
    made = recall_at([places], [{"chainsaw": DecisionRule()}])
    assert [share.value for share in made.values()] == [1.0, 0.0]
