"""Rows of the collected data that are known to be wrong, each with the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from training.dataset.clip import Clip

LEFT_OUT: dict[str, str] = {}
"""Path in the manifest -> why the clip is not used at all."""

_JET = "a jet overhead: nobody can act on it, so it must not raise an alert"

RELABELLED: dict[str, tuple[str, str]] = {
    "antum_sounds/jet_ambience.ogg": ("other", _JET),
    "antum_sounds/jet_flyby.ogg": ("other", _JET),
    "antum_sounds/jet_land.ogg": ("other", _JET),
}
"""Path in the manifest -> the right label and why."""

_FREESOUND = re.compile(r"freesound-(\d+)$")
_SESSION_NUMBERS = 3
"""Freesound numbers uploads in order; neighbours of one class are one evening of one recordist."""


def sessions(clips: Sequence[Clip]) -> list[Clip]:
    """Give neighbouring Freesound uploads of one class one recording name.

    Freesound 118656, 118657 and 118658 are the same saw: held apart, the test would hear what
    training heard.
    """
    numbers = sorted(
        {(clip.label, int(m[1])) for clip in clips if (m := _FREESOUND.match(clip.recording))}
    )
    name: dict[str, str] = {}
    previous = ("", 0, "")
    for label, number in numbers:
        joins = previous[0] == label and number - previous[1] <= _SESSION_NUMBERS
        own = f"freesound-{number}"
        # Merged under the first number; a recording with clips of two classes keeps one name.
        name[own] = name.get(own, previous[2] if joins else own)
        previous = (label, number, name[own])
    return [replace(clip, recording=name.get(clip.recording, clip.recording)) for clip in clips]
