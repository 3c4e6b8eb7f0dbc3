from pathlib import Path

import numpy as np
import pytest

from tests.sounds import scene
from tests.training.labelled import one_class, scored, suite
from training.baselines.article import ArticleListener
from training.baselines.compare import best_row
from training.baselines.picture import RATE_HZ, SIDE, computed, drawn
from training.baselines.yamnet import YamnetListener
from training.dataset import DataError, load, read_manifest
from training.soundscape.library import default_data


def test_the_computed_picture_is_the_drawn_one(tmp_path: Path) -> None:
    tone = scene(RATE_HZ, (None, 2.0), ("chainsaw", 3.0))
    by_file = drawn(tone, tmp_path / "picture.png")
    by_sums = computed(tone)
    assert by_file.shape == by_sums.shape == (SIDE, SIDE, 3)
    # matplotlib blends the outermost row and column with the paper.
    assert np.array_equal(by_file[1:, 1:], by_sums[1:, 1:])


def test_the_better_reading_of_a_listeners_scores_is_taken() -> None:
    labels = ("chainsaw", "chainsaw, wide", "engine")
    truth = [("chainsaw", 60.0 * n + 10, 60.0 * n + 30.0) for n in range(10)]
    rows = [[0.01, 0.9 if n % 60 in range(10, 28) else 0.1, 0.02] for n in range(600)]
    events = {("chainsaw", 0.0): scored(rows, truth, labels)}
    quiet = scored([[0.01, 0.1, 0.02]] * 600, [("background", 0.0, 603.0)], labels)
    row = best_row("peer", suite(events, quiet))
    assert row.recall["chainsaw +0 dB"].value == 1.0
    assert row.land_alarms == {"chainsaw": 0}
    assert "chainsaw, wide" in row.setting


def test_a_listener_that_cannot_tell_finds_nothing_within_the_allowance() -> None:
    truth = [("chainsaw", 60.0 * n + 10, 60.0 * n + 30.0) for n in range(10)]
    rng = np.random.default_rng(1)
    loud = scored(one_class(rng.uniform(size=600)), truth)
    quiet = scored(one_class(rng.uniform(size=5000)), [("background", 0.0, 5003.0)])
    row = best_row("peer", suite({("chainsaw", 0.0): loud}, quiet))
    assert row.land_alarms["chainsaw"] == 0
    assert row.recall["chainsaw +0 dB"].value < 0.7


def test_yamnet_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="YAMNet is not there"):
        YamnetListener(tmp_path)


@pytest.mark.shared
def test_yamnet_hears_a_chainsaw() -> None:
    folder = default_data().parents[1] / "weights" / "yamnet"
    if not folder.exists():
        pytest.skip("needs the weights in ../shared")
    listener = YamnetListener(folder)
    (saw,) = [c for c in read_manifest(default_data()) if c.path.name == "008_4-169127-B.ogg"]
    samples = load(saw, listener.rate_hz)
    windows = list(listener.windows([samples[:30000], samples[30000:]]))
    assert [window.start for window in windows] == [8000 * n for n in range(len(windows))]
    column = listener.labels.index("chainsaw")
    assert np.mean([window.scores[column] for window in windows]) > 0.8


@pytest.mark.shared
@pytest.mark.slow
def test_the_articles_pipeline_learns_and_listens() -> None:
    weights = sorted((default_data().parents[1] / "weights").glob("mobilenet*.h5"))
    if not weights:
        pytest.skip("needs the weights in ../shared")
    clips = [c for c in read_manifest(default_data()) if c.source == "esc10"]
    few = [c for label in ("background", "chainsaw", "storm") for c in clips if c.label == label][
        :12
    ]
    few += [c for c in clips if c.label == "chainsaw"][:12]
    listener = ArticleListener(few, weights[0], seed=1)
    saw = load(few[-1], listener.rate_hz)
    (window, *_) = listener.windows([saw, saw])
    assert len(window.scores) == 4
    assert sum(window.scores) == pytest.approx(1.0, abs=1e-4)
    assert window.end - window.start == 5 * listener.rate_hz
