from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.replay.plot.columns import Columns, Maxima


@settings(deadline=None)
@given(most=st.sampled_from([2, 4, 16]), sizes=st.lists(st.integers(-9, 40), max_size=8))
def test_merged_columns_keep_the_mean_power_of_their_frames(most: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    columns, heard = Columns(3, most), np.zeros((3, 0))
    for size in sizes:
        if size < 0:
            columns.skip(-size)
            heard = np.append(heard, np.full((3, -size), np.nan), axis=1)
        else:
            frames = rng.normal(size=(3, size)).astype(np.float32)
            columns.push(frames)
            heard = np.append(heard, 10.0 ** (frames.astype(np.float64) / 10.0), axis=1)
    levels = columns.levels_db
    assert levels.shape[1] <= most
    each = 1
    while -(-heard.shape[1] // each) > most:
        each *= 2
    assert columns.frames_each == each
    for column, first in enumerate(range(0, heard.shape[1], each)):
        cell = heard[:, first : first + each]
        cell = cell[:, ~np.isnan(cell[0])]
        if cell.shape[1]:
            expected = 10.0 * np.log10(cell.mean(axis=1))
            np.testing.assert_allclose(levels[:, column], expected, rtol=1e-9, atol=1e-9)
        else:
            assert np.isnan(levels[:, column]).all()


def test_maxima_of_minutes_become_those_of_more_minutes() -> None:
    maxima = Maxima(2, 4)
    for second in range(240):
        maxima.push(0, second, second / 1000)
        maxima.push(1, second, float("nan"))
    assert maxima.cell_s == 60.0
    np.testing.assert_allclose(maxima.cells[0], [0.059, 0.119, 0.179, 0.239])
    assert not maxima.cells[1].any()
    maxima.push(1, 250.0, 0.5)
    assert maxima.cell_s == 120.0
    np.testing.assert_allclose(maxima.cells, [[0.119, 0.239, 0.0], [0.0, 0.0, 0.5]])
