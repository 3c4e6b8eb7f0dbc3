"""Kinds within the classes: what is common has its own, what is rare its class alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.labelled import clip
from training.dataset import Clip
from training.kinds import LABELS, Kinds, kinds_of


def _clips(label: str, sub_label: str, count: int) -> list[Clip]:
    return [
        replace(clip(f"{sub_label}/{number}", label), sub_label=sub_label)
        for number in range(count)
    ]


def test_common_kinds_get_their_own_and_rare_ones_share_a_first_word() -> None:
    helicopters = _clips("other", "aircraft_helicopter", 5)
    pistons = [_clips("other", f"aircraft_piston_{n}", 1)[0] for n in range(5)]
    sneezes = _clips("other", "sneeze", 4)
    kinds = kinds_of([*helicopters, *pistons, *sneezes])
    assert kinds.names == (*LABELS, "other", "other/aircraft", "other/aircraft_helicopter")
    assert kinds.names[kinds.of(helicopters[0])] == "other/aircraft_helicopter"
    assert kinds.names[kinds.of(pistons[0])] == "other/aircraft"
    assert kinds.names[kinds.of(sneezes[0])] == "other"


def test_clips_of_one_recording_count_once() -> None:
    again = [replace(saw, recording="one") for saw in _clips("chainsaw", "idle", 9)]
    assert kinds_of(again).names == (*LABELS, "other")


def test_kinds_add_up_to_classes_and_what_may_not_alert_is_background() -> None:
    kinds = Kinds((*LABELS, "other", "engine/truck"))
    scores = np.array([[0.1, 0.2, 0.1, 0.1, 0.3, 0.2]], np.float32)
    np.testing.assert_allclose(kinds.merged(scores), [[0.4, 0.2, 0.3, 0.1]], atol=1e-6)


def test_a_hardly_audible_saw_is_believed_less() -> None:
    kinds = Kinds((*LABELS, "other", "background/wind"))
    saw, wind = kinds.plain("chainsaw"), kinds.names.index("background/wind")
    doubted = kinds.target(saw, wind, -18.0)
    assert doubted[saw] == pytest.approx(0.6)
    assert doubted[wind] == pytest.approx(0.4)
    clear = kinds.target(saw, wind, 5.0)
    assert clear[saw] == clear.sum() == 1.0
    assert kinds.target(wind, wind, -18.0)[wind] == pytest.approx(1.0)
