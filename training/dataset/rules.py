"""What is known to be wrong or doubled in the collected recordings, each with the reason.

Found by YAMNet's scores along every clip, spectrograms, and a search for matching constellations
of spectral peaks (Wang 2003) between all pairs of clips.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from training.dataset.clip import Clip

_STREET = "a city street: the traffic in it is real, so neither an alert nor its absence is right"
_SYNTHETIC = "a synthetic loop in which nothing is heard as a vehicle (YAMNet at most 0.22)"

LEFT_OUT = {
    "alarm_clock/city.ogg": _STREET,
    "blanket/city.ogg": _STREET,
    "noice/electric_car_0.ogg": "recorded inside a moving car: a vehicle, yet not its engine",
    "noice/electric_car_1.ogg": "recorded inside a moving car: a vehicle, yet not its engine",
    "tuxpaint/vehicles_emergency_firetruck.ogg": "the fire engine itself is heard (YAMNet 0.75)",
    "automobiles_pck/beetle_engine.ogg": _SYNTHETIC,
    "dustracing2d/carEngine.ogg": _SYNTHETIC,
    "supertuxkart/sfx_engine_large.ogg": _SYNTHETIC,
    "supertuxkart/sfx_engine_small.ogg": _SYNTHETIC,
    "trigger_rally/engine.flac": _SYNTHETIC,
}
"""Path in the manifest -> why the clip is not used at all."""

_JET = "a jet overhead: nobody can act on it, so it must not raise an alert"

RELABELLED = {
    "antum_sounds/jet_ambience.ogg": ("other", _JET),
    "antum_sounds/jet_flyby.ogg": ("other", _JET),
    "antum_sounds/jet_land.ogg": ("other", _JET),
}
"""Path in the manifest -> the right label and why."""

_SAME_SOUND = (
    ("freesound-19898", "opensfx/56_chainsaw"),
    ("freesound-28314", "freesound-30322"),
    ("freesound-151080", "freesound-151085"),
    (
        "0ad/day_temperate_11",
        "0ad/day_temperate_12",
        "0ad/day_temperate_13",
        "0ad/day_temperate_14",
        "0ad/day_temperate_gen_01",
        "0ad/day_temperate_gen_02",
        "0ad/day_temperate_gen_03",
        "0ad/wind_11",
    ),
    ("0ad/day_tropical_10", "0ad/day_tropical_11"),
    ("0ad/rain_11", "0ad/rain_12"),
    ("0ad/river_raging_21", "0ad/waterfall_31"),
    ("0ad/windleaves_10", "0ad/windleaves_11"),
    ("automobiles_pck/buggy_engine", "automobiles_pck/coupe_engine"),
    ("megaglest/autumn_sunny_day", "relaxing_sounds/birds"),
    ("megaglest/dark_forest_rain", "supertuxkart/sfx_rain"),
    ("megaglest/desert2_day", "megaglest/desert2_night"),
    ("megaglest/winter_forest_wind", "megaglest/winter_wind"),
    ("opensfx/25_truck_start_pull_away", "opensfx/26_truck_start_pull_away_horn"),
    ("opensfx/52_wind", "opensfx/57_heavy_wind"),
    ("rigs_of_rods/default_pistonprop_hipower", "rigs_of_rods/default_pistonprop_lopower"),
    ("searchandrescue/sounds_thunder_faint", "searchandrescue/sounds_thunder_moderate"),
    ("torcs/sound_ford1b", "torcs/sound_ford2c"),
    ("widelands/animals_crickets1_00", "widelands/animals_crickets2_00"),
)
"""Recordings that hold the same sound, in part or at another level, under several names."""

_FREESOUND = re.compile(r"freesound-(\d+)$")
_SESSION_NUMBERS = 3
"""Freesound numbers uploads in order; neighbours of one class are one evening of one recordist."""


def joined_recordings(clips: Sequence[Clip]) -> list[Clip]:
    """Give clips that hold the same sound one recording name, so that no split parts them.

    Besides the known pairs these are neighbouring Freesound uploads of one class: 118656, 118657
    and 118658 are the same saw, and held apart the test would hear what training heard.
    """
    numbers = sorted(
        {(clip.label, int(m[1])) for clip in clips if (m := _FREESOUND.match(clip.recording))}
    )
    name = {other: group[0] for group in _SAME_SOUND for other in group}
    previous = ("", 0, "")
    for label, number in numbers:
        joins = previous[0] == label and number - previous[1] <= _SESSION_NUMBERS
        own = f"freesound-{number}"
        # Merged under the first number; a recording with clips of two classes keeps one name.
        name[own] = name.get(own, previous[2] if joins else own)
        previous = (label, number, name[own])
    return [replace(clip, recording=name.get(clip.recording, clip.recording)) for clip in clips]
