"""Leaving out of training what another tagger hears something else in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from training.dataset.clip import Clip

_EVENTS = ("chainsaw", "engine")
_LEAST_FOREIGN = 0.1
"""A tagger that is less sure than this of speech or music says nothing."""

_UNWATCHED = ("humboldt_v6da",)
"""Recorders that nobody stood beside: a machine may have passed."""

_LIKELY_MACHINE = 0.35


def screened(clips: Iterable[Clip]) -> list[Clip]:
    """Return the clips to learn from.

    Left out are saws and engines under louder speech, music, alarms or clatter, and minutes of
    unwatched recorders that may hold a real machine. What is left of those is not taken for a
    hard negative either: insects there are called aircraft often enough, faint aircraft too.
    """
    kept = []
    for clip in clips:
        if clip.label in _EVENTS and clip.foreign >= max(_LEAST_FOREIGN, clip.machine_like):
            continue
        if clip.source in _UNWATCHED and clip.label == "background":
            if clip.machine_like >= _LIKELY_MACHINE:
                continue
            kept.append(replace(clip, machine_like=0.0))
        else:
            kept.append(clip)
    return kept
