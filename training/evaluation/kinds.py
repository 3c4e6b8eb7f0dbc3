"""What kind of engine, of other machine or of ambience a clip is, told by the words of its names.

One table serves any collection: the words of a clip's ``sub_label`` are looked up, and where
they say nothing those of its ``source``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from training.dataset import Clip

ENGINES: Mapping[str, frozenset[str]] = {
    "truck": frozenset({"truck", "trucks", "lorry"}),
    "bus": frozenset({"bus", "buses"}),
    "tractor": frozenset({"tractor", "excavator", "digger", "bulldozer", "loader", "crane"}),
    "motorbike": frozenset({"motorbike", "motorcycle", "moped", "scooter", "quad", "bikes"}),
    "boat": frozenset({"boat", "motorboat", "marine", "outboard", "ship"}),
    "idling": frozenset({"idle", "idling"}),
    "starting": frozenset({"start", "starter", "starting"}),
    "passing by": frozenset({"pass", "passby", "passing", "arriving", "slow", "stopping"}),
    "distant traffic": frozenset({"traffic", "distant", "street", "road", "highway"}),
    "car": frozenset({"car", "cars", "vehicle", "kart", "race"}),
}
"""Kind of engine -> words. A clip is of every kind that it has a word of: ``truck_start`` counts
as a truck and as a start."""

OTHER_ENGINE = "other engine"

CLEAR = ("truck", "bus", "tractor", "motorbike", "boat", "idling")
"""Kinds that a device should find as surely as a saw."""

PASSING = ("passing by", "distant traffic")
"""Kinds that rise and fall or never come near."""

MACHINES: Mapping[str, frozenset[str]] = {
    "helicopter": frozenset({"helicopter", "rotor"}),
    "aeroplane": frozenset(
        {"aircraft", "airplane", "aeroplane", "plane", "jet", "propeller", "ultralight"}
    ),
    "drone": frozenset({"drone"}),
    "tram": frozenset({"tram"}),
    "train": frozenset({"train", "locomotive", "subway"}),
    "garden machine": frozenset({"lawn", "mower", "blower", "hedge", "brush"}),
    "household machine": frozenset(
        {"vacuum", "washing", "shaver", "dryer", "blender", "conditioner", "coffee", "opener"}
        | {"kettle", "pepper"}
    ),
    "power tool": frozenset(
        {"drill", "drilling", "grinder", "jackhammer", "jigsaw", "circular", "power", "shearing"}
        | {"sharpener", "compressed"}
    ),
    "other machine": frozenset(
        {"machine", "factory", "garage", "hydraulics", "turbine", "roller", "lift", "wagon"}
    ),
}
"""Kind of machine that must raise no alert -> words; the first that fits counts."""

_REST: Mapping[str, frozenset[str]] = {
    "hand tool": frozenset(
        {"saw", "handsaw", "hacksaw", "axe", "hatchet", "hammer", "ratchet", "shovel", "trimmer"}
        | {"workshop", "nails", "scissors", "stapler"}
    ),
    "siren, horn or bell": frozenset(
        {"siren", "horn", "alarm", "whistle", "bell", "bells", "tick"}
    ),
    "shot or firework": frozenset({"gun", "gunshot", "gunshots", "shot", "fireworks", "explosion"}),
    "animal": frozenset(
        {"animal", "animals", "animalworld", "petz", "cat", "dog", "cow", "sheep", "pig", "horse"}
        | {"elephant", "bison", "wolf", "coyote", "fox", "leopard", "jaguar", "chicken"}
    ),
}

OTHER_SOUND = "people, music and other sounds"


def engine_kinds(clip: Clip) -> tuple[str, ...]:
    """Return every kind of `ENGINES` that the clip is of, or `OTHER_ENGINE` alone."""
    words = _words(clip.sub_label)
    return tuple(kind for kind, known in ENGINES.items() if known & words) or (OTHER_ENGINE,)


def machine_kind(clip: Clip) -> str:
    """Return the kind of a clip labelled ``other``: one of `MACHINES`, or what else it is."""
    for words in (_words(clip.sub_label), _words(clip.source)):
        for kind, known in {**MACHINES, **_REST}.items():
            if known & words:
                return kind
    return OTHER_SOUND


def kinds(clip: Clip) -> tuple[str, ...]:
    """Return what a clip counts as: kinds of an engine or of an ``other``, else its label."""
    if clip.label == "engine":
        return engine_kinds(clip)
    return (machine_kind(clip),) if clip.label == "other" else (clip.label,)


def group(clip: Clip) -> str:
    """Return the row of the figures to reach that a chainsaw or an engine belongs to.

    ``engine`` are those of `CLEAR` and those that no name tells more of, ``passing`` those of
    `PASSING`, whatever else they are, and ``engine, other`` the rest: cars and starts.
    """
    if clip.label != "engine":
        return clip.label
    own = engine_kinds(clip)
    if any(kind in PASSING for kind in own):
        return "passing"
    clear = own == (OTHER_ENGINE,) or any(kind in CLEAR for kind in own)
    return "engine" if clear else "engine, other"


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))
