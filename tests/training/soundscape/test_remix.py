"""Windows mixed from log-mel layers: as if mixed as sound, at the ratio that was drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.log_mel import FLOOR_DB, LogMel, MelSpec
from training.dataset import read
from training.soundscape.examples import Examples, make_examples
from training.soundscape.mixer import LABELS, MACHINES, Recipe
from training.soundscape.remix import Remix
from training.soundscape.snr import gain_for

RECORDINGS = Path(__file__).parents[2] / "recordings"
MEL = MelSpec(16000, 2048, 1000, 64, 40.0, 4000.0)
FRAMES = 62
PLAIN = replace(Recipe(), partial=0.0, distractor=1.0)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    home = tmp_path_factory.mktemp("examples")
    return make_examples(home, read(RECORDINGS), MEL, FRAMES, Recipe(), count=60, seed=1)


def _all(examples: Examples) -> np.ndarray:
    return np.arange(len(examples.log_mel))


def test_one_generator_state_gives_the_same_windows(examples: Examples) -> None:
    remix = Remix(examples, MEL, Recipe(), FRAMES)
    first, again = (remix.batch(_all(examples), np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    other, _ = remix.batch(_all(examples), np.random.default_rng(5))
    assert not np.array_equal(first[0], other)


def test_windows_are_cut_from_anywhere_in_an_example(examples: Examples) -> None:
    remix = Remix(examples, MEL, PLAIN, FRAMES // 2)
    ready = np.flatnonzero(~examples.apart)[:1]
    drawn = [remix.batch(ready, np.random.default_rng(seed))[0] for seed in range(4)]
    assert {window.shape for window in drawn} == {(1, 64, FRAMES // 2)}
    assert not np.array_equal(drawn[0], drawn[1])


def test_every_window_is_finite_and_every_target_sums_to_one(examples: Examples) -> None:
    remix = Remix(examples, MEL, Recipe(), FRAMES)
    log_mel, target = remix.batch(_all(examples), np.random.default_rng(1))
    assert log_mel.shape == (60, 64, FRAMES)
    assert log_mel.dtype == np.float32
    assert np.isfinite(log_mel).all()
    np.testing.assert_allclose(target.sum(axis=1), 1.0, atol=1e-6)
    events = examples.target.argmax(axis=1)
    np.testing.assert_array_equal(target.argmax(axis=1), events)


def test_a_fainter_draw_leaves_less_of_the_event(examples: Examples) -> None:
    saws = np.flatnonzero(examples.apart & (examples.target[:, LABELS.index("chainsaw")] == 1.0))

    def excess_db(snr_db: float) -> float:
        recipe = replace(PLAIN, snr_db=(snr_db, snr_db))
        log_mel, target = Remix(examples, MEL, recipe, FRAMES).batch(saws, np.random.default_rng(3))
        # A few stand over silence, where nothing is faint.
        assert (target[:, 1].mean() < 0.8) == (snr_db < -10.0)
        return float(np.mean(log_mel))

    assert excess_db(20.0) > excess_db(0.0) + 5.0 > excess_db(-18.0) + 5.0


def test_a_recording_that_is_held_out_is_in_no_window(examples: Examples) -> None:
    names = {str(name) for name in examples.event_of.ravel()} - {""}
    held_out = sorted(names)[::2]
    remix = Remix(examples, MEL, Recipe(), FRAMES, examples.without(held_out))
    log_mel: NDArray[np.float16] = examples.log_mel.copy()
    event: NDArray[np.float16] = examples.event.copy()
    for layer, names_of in ((log_mel, examples.bed_of), (event, examples.event_of)):
        for row, names_in in enumerate(names_of):
            if set(names_in) & set(held_out):
                layer[row] = np.nan
    kept = replace(examples, log_mel=log_mel, event=event)
    spoiled = Remix(kept, MEL, Recipe(), FRAMES, examples.without(held_out))
    assert 0 < len(spoiled) < len(examples.apart)
    for seed in range(3):
        chosen = np.arange(len(spoiled))
        windows, _ = spoiled.batch(chosen, np.random.default_rng(seed))
        assert np.isfinite(windows).all()
        np.testing.assert_array_equal(windows, remix.batch(chosen, np.random.default_rng(seed))[0])


def test_other_machines_may_be_classes_of_their_own(examples: Examples) -> None:
    remix = Remix(examples, MEL, PLAIN, FRAMES, machines=True)
    _, target = remix.batch(_all(examples), np.random.default_rng(1))
    assert target.shape == (60, 4 + len(MACHINES))
    np.testing.assert_allclose(target.sum(axis=1), 1.0, atol=1e-6)
    assert examples.machine.any()
    named = target[:, 4:].max(axis=1) > 0.0
    assert named.any()
    np.testing.assert_array_equal(
        target[named, 4:].argmax(axis=1) + 1, examples.machine[np.flatnonzero(named)]
    )


def test_adding_powers_is_close_to_adding_sound() -> None:
    # Noise over noise: their cross terms vanish on average.
    rng = np.random.default_rng(2)
    bed = rng.standard_normal(65536).astype(np.float32) * np.float32(0.03)
    event = np.convolve(rng.standard_normal(65536), np.hanning(32), "same").astype(np.float32)
    layers = np.stack([_log_mel(bed), _log_mel(event)])
    silent = np.full_like(layers[0], FLOOR_DB)
    examples = Examples(
        log_mel=np.stack([layers[0], layers[0]]).astype(np.float16),
        event=np.stack([layers[1], silent]).astype(np.float16),
        apart=np.array([True, True]),
        target=np.eye(4, dtype=np.float32)[[1, 0]],
        snr_db=np.full(2, np.nan, np.float32),
        machine=np.zeros(2, np.int8),
        bed_of=np.full((2, 2), "bed"),
        event_of=np.full((2, 2), "event"),
    )
    for snr_db in (-6.0, 0.0, 12.0):
        gain = np.float32(gain_for(event, bed, snr_db, 16000))
        as_sound = _log_mel(bed + gain * event).mean(axis=1)
        remix = Remix(examples, MEL, Recipe(snr_db=(snr_db, snr_db), partial=0.0), FRAMES)
        drawn = [remix.batch(np.array([0]), np.random.default_rng(n))[0][0] for n in range(60)]
        # The median over draws takes the microphone's response, the noise and the masks out.
        ours = np.median([window.mean(axis=1) - window.mean() for window in drawn], axis=0)
        assert np.abs(ours - (as_sound - as_sound.mean())).mean() < 1.5


def _log_mel(samples: Floats) -> Floats:
    return LogMel(MEL).push(samples)[:, :FRAMES]
