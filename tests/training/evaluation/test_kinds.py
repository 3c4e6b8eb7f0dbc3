from dataclasses import replace

import pytest

from tests.training.labelled import clip
from training.evaluation.kinds import OTHER_ENGINE, OTHER_SOUND, group, kinds


@pytest.mark.parametrize(
    ("sub_label", "wanted", "counted_as"),
    [
        ("truck_start_pull_away", ("truck", "starting"), "engine"),
        ("old_bus_start", ("bus", "starting"), "engine"),
        ("motorcycle_idle", ("motorbike", "idling"), "engine"),
        ("motorbike_pass_by", ("motorbike", "passing by"), "passing"),
        ("Distant traffic hum", ("distant traffic",), "passing"),
        ("car-start", ("starting", "car"), "engine, other"),
        ("compressor", (OTHER_ENGINE,), "engine"),
        ("business", (OTHER_ENGINE,), "engine"),
    ],
)
def test_an_engine_is_told_by_the_words_of_its_name(
    sub_label: str, wanted: tuple[str, ...], counted_as: str
) -> None:
    engine = replace(clip("a", "engine"), sub_label=sub_label)
    assert kinds(engine) == wanted
    assert group(engine) == counted_as


@pytest.mark.parametrize(
    ("sub_label", "source", "wanted"),
    [
        ("aircraft_helicopter", "field", "helicopter"),
        ("aircraft_prop", "field", "aeroplane"),
        ("hand_saw", "field", "hand tool"),
        ("coffee_grinder", "kitchen", "household machine"),
        ("gnu", "animalworld", "animal"),
        ("other", "electric_drill", "power tool"),
        ("applause", "field", OTHER_SOUND),
    ],
)
def test_what_must_raise_no_alert_is_told_likewise(
    sub_label: str, source: str, wanted: str
) -> None:
    other = replace(clip("a", "other"), sub_label=sub_label, source=source)
    assert kinds(other) == (wanted,)
