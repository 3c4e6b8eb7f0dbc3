from __future__ import annotations

import numpy as np
import pytest

from rainwatchd.audio.channels import check_channel, to_mono
from rainwatchd.errors import AudioError


def test_one_channel_or_the_mean() -> None:
    block = np.array([[1.0, 2.0, 6.0], [0.0, -1.0, 4.0]], np.float32)
    np.testing.assert_array_equal(to_mono(block, 2), [2.0, -1.0])
    np.testing.assert_array_equal(to_mono(block, None), [3.0, 1.0])


def test_a_single_channel_is_left_alone() -> None:
    block = np.array([[0.25], [-1.0]], np.float32)
    np.testing.assert_array_equal(to_mono(block, None), [0.25, -1.0])


def test_the_mean_stays_single_precision_and_leaves_the_block_alone() -> None:
    block = np.ones((4, 2), np.float32)
    assert to_mono(block, None).dtype == np.float32
    np.testing.assert_array_equal(block, 1.0)


def test_a_channel_that_is_not_there_is_named() -> None:
    check_channel(2, 2, "x.wav")
    check_channel(None, 1, "x.wav")
    with pytest.raises(AudioError, match=r"x\.wav has 2 channels, no channel 3"):
        check_channel(3, 2, "x.wav")
    with pytest.raises(AudioError, match=r"x\.wav has 1 channel, no channel 2"):
        check_channel(2, 1, "x.wav")
