"""What is kept: events merged from messages, devices, incidents, pages, the clips' quota."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rainwatchd.decision.events import Detection, Status
from rainwatchd.post.messages import Feedback, Message, VoidError, milliseconds, read, text
from rainwatchd.post.options import Position, StorageOptions
from rainwatchd.post.records.clips import ClipFolder
from rainwatchd.post.records.incidents import distance_m
from rainwatchd.post.records.intake import Intake
from rainwatchd.post.records.queries import Filter, Queries, QueryError
from rainwatchd.post.records.registry import Registry
from rainwatchd.post.records.store import Store, StoreError
from rainwatchd.post.records.verdicts import Verdicts
from tests.detections import detection, event
from tests.post.said import health

NOON_MS = milliseconds("2024-05-12T12:00:00.000Z")


class Records:
    """All that is kept, at noon of the day of `tests.detections`."""

    def __init__(self, folder: Path) -> None:
        self.now_ms = NOON_MS
        self.store = Store(folder)
        registry = Registry(self.store, lambda: self.now_ms / 1000)
        self.verdicts = Verdicts(self.store, registry)
        self.intake = Intake(self.store, registry, self.verdicts)
        positions = {"canopy-9": Position(lat=1.0, lon=2.0)}
        self.queries = Queries(self.store, positions, 300.0, lambda: self.now_ms / 1000)
        self.folder = folder

    def hear(self, *messages: Any, retained: bool = False, on: str = "") -> None:
        with self.store.writing() as db:
            for message in messages:
                device_id, said = spoken(message, on)
                self.intake.take(db, device_id, said, retained)

    def one(self, number: int = 1) -> dict[str, Any]:
        found = self.queries.event(detection(number).event_id)
        assert found is not None
        return found

    def ids(self, **words: str) -> list[str]:
        return [found["event_id"] for found in self.queries.events(Filter.read(words))[0]]


def spoken(message: Any, on: str) -> tuple[str, Message]:
    """Send a message through the words that it has on the wire."""
    if isinstance(message, Feedback):
        return read(f"rainwatch/{on}/feedback/{message.event_id}", msgspec.json.encode(message))
    kind = type(message).__name__.lower()
    return read(f"rainwatch/{message.device_id}/{kind}", msgspec.json.encode(message))


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    kept = Records(tmp_path)
    yield kept
    kept.store.close()


def status(state: Any = "online", device_id: str = "canopy-7") -> Status:
    return Status(
        device_id=device_id,
        state=state,
        reasons=[] if state == "online" else ["microphone: gone"],
        version="0.1.0",
        model="tiny 1",
        model_digest="abc",
    )


def judgement(number: int, verdict: Any, at: str, by: str = "ana") -> Feedback:
    return Feedback(event_id=detection(number).event_id, verdict=verdict, label=None, by=by, at=at)


def test_an_event_is_what_its_last_message_says(records: Records) -> None:
    records.hear(*event(1))
    said = records.one()
    assert (said["phase"], said["seq"], said["end_reason"]) == ("offset", 2, "released")
    assert said["end"] == "2024-05-12T00:00:07.500Z"
    assert said["received"] == text(NOON_MS)


def test_order_and_repetition_of_messages_make_no_difference(records: Records) -> None:
    orders = [*itertools.permutations(range(3)), (2, 0, 2, 1, 0), (1, 1, 2, 2, 0, 0, 2)]
    for number, order in enumerate(orders):
        records.hear(*(event(number)[position] for position in order))
    for number in range(len(orders)):
        said, last = records.one(number), event(number)[2]
        assert {name: said[name] for name in ("seq", "phase", "start", "end")} == {
            name: getattr(last, name) for name in ("seq", "phase", "start", "end")
        }
    assert len(records.ids()) == len(orders)


def test_a_repeated_message_changes_nothing(records: Records) -> None:
    records.hear(*event(1))
    rev = records.store.rev
    records.hear(*event(1))
    assert records.store.rev == rev


def test_late_means_that_the_alert_came_late(records: Records) -> None:
    onset, _, offset = event(1)
    late = msgspec.structs.replace(offset, historical=True)
    records.hear(late)
    assert records.one()["historical"]
    records.hear(onset)
    assert not records.one()["historical"]


def test_another_device_cannot_change_an_event(records: Records) -> None:
    records.hear(detection(1))
    forged = msgspec.structs.replace(detection(1, "offset"), device_id="canopy-8")
    with pytest.raises(VoidError):
        records.hear(forged)
    assert records.one()["device_id"] == "canopy-7"
    assert records.one()["phase"] == "onset"


@pytest.mark.parametrize(
    "changes", [{"clock_synced": False}, {"start": "2031-01-01T00:00:00.000Z"}]
)
def test_an_event_whose_clock_is_wrong_is_listed_by_its_arrival(
    records: Records, changes: dict[str, Any]
) -> None:
    records.hear(msgspec.structs.replace(detection(1), **changes))
    assert records.one()["at"] == text(NOON_MS)


def test_an_event_whose_time_nobody_knows_is_listed_by_its_arrival(records: Records) -> None:
    """As of a replayed recording whose name tells no time."""
    replayed = msgspec.structs.replace(detection(1), start=None, end=None, clock_synced=False)
    records.hear(replayed)
    assert (records.one()["at"], records.one()["start"]) == (text(NOON_MS), "-")


def test_a_page_is_followed_by_the_next_without_gap_or_repetition(records: Records) -> None:
    # Some begin at the same moment.
    records.hear(*(detection(number) for number in range(25)))
    same = [
        msgspec.structs.replace(detection(number), start=detection(3).start)
        for number in range(25, 40)
    ]
    records.hear(*same)
    found: list[str] = []
    further: str | None = None
    while True:
        page, further = records.queries.events(Filter(), further, 7)
        found += [one["event_id"] for one in page]
        if further is None:
            break
    assert len(found) == len(set(found)) == 40
    assert found[0] == detection(24).event_id


def test_events_that_come_between_two_pages_are_not_seen_twice(records: Records) -> None:
    records.hear(*(detection(number) for number in range(6)))
    first, further = records.queries.events(Filter(), None, 3)
    records.hear(detection(9))
    second, end = records.queries.events(Filter(), further, 3)
    assert end is None
    assert len({one["event_id"] for one in first + second}) == 6


def test_filters(records: Records) -> None:
    engine = msgspec.structs.replace(detection(2), label="engine", device_id="canopy-8")
    records.hear(detection(1), engine, detection(3))
    records.hear(judgement(3, "false", "2024-05-12T10:00:00.000Z"), on="canopy-7")
    one, two, three = (detection(number).event_id for number in (1, 2, 3))
    assert records.ids() == [three, two, one]
    assert records.ids(device="canopy-8") == [two]
    assert records.ids(device="nobody") == []
    assert records.ids(**{"class": "chainsaw"}) == [three, one]
    assert records.ids(verdict="none") == [two, one]
    assert records.ids(verdict="false", device="canopy-7") == [three]
    assert records.ids(since="2024-05-12T00:00:02Z") == [three, two]
    assert records.ids(until="2024-05-12T00:00:02.000Z") == [two, one]
    assert records.queries.classes() == ["chainsaw", "engine"]


@pytest.mark.parametrize(
    "words", [{"verdict": "perhaps"}, {"since": "yesterday"}, {"until": "9" * 400}]
)
def test_a_filter_that_means_nothing_is_refused(words: dict[str, str]) -> None:
    with pytest.raises(QueryError, match=next(iter(words))):
        Filter.read(words)


def test_the_last_verdict_by_time_counts(records: Records) -> None:
    records.hear(detection(1))
    records.hear(judgement(1, "true", "2024-05-12T10:00:00.000Z"), on="canopy-7")
    records.hear(judgement(1, "unsure", "2024-05-12T09:00:00.000Z", "ben"), on="canopy-7")
    said = records.one()
    assert said["verdict"]["verdict"] == "true"
    assert [one["by"] for one in said["verdicts"]] == ["ana", "ben"]
    with records.store.writing() as db:
        assert records.verdicts.judge(db, said["event_id"], "false", "engine", "eva")
    assert records.one()["verdict"] == {
        "verdict": "false",
        "class": "engine",
        "by": "eva",
        "at": text(NOON_MS),
        "delivered": False,
    }


def test_a_verdict_may_come_before_its_event(records: Records) -> None:
    records.hear(judgement(1, "true", "2024-05-12T10:00:00.000Z"), on="canopy-7")
    records.hear(detection(1))
    assert records.one()["verdict"]["verdict"] == "true"


def test_a_verdict_for_another_device_is_none_of_this_events(records: Records) -> None:
    records.hear(detection(1))
    records.hear(judgement(1, "true", "2024-05-12T10:00:00.000Z"), on="canopy-8")
    assert records.one()["verdict"] is None


def near(number: int, device_id: str, lat: float, lon: float) -> Detection:
    return msgspec.structs.replace(detection(number), device_id=device_id, lat=lat, lon=lon)


def test_devices_near_each_other_that_hear_the_same_at_once_make_one_incident(
    records: Records,
) -> None:
    records.hear(
        near(10, "a", -3.1, -60.0),
        near(40, "b", -3.11, -60.0),  # 1.1 km, 30 s
        near(45, "far", -3.2, -60.0),  # 11 km
        near(130, "late", -3.1, -60.0),
        msgspec.structs.replace(near(50, "c", -3.1, -60.0), label="storm"),
    )
    incidents = {one["device_id"]: one["incident"] for one in records.queries.events(Filter())[0]}
    first = detection(10).event_id
    assert incidents == {"a": first, "b": first, "far": None, "late": None, "c": None}
    assert len(records.ids(incident=first)) == 2


def test_an_event_between_two_incidents_joins_them(records: Records) -> None:
    records.hear(near(10, "a", -3.10, -60.0), near(11, "b", -3.10, -60.001))
    records.hear(near(20, "c", -3.13, -60.0), near(21, "d", -3.13, -60.001))
    assert len({one["incident"] for one in records.queries.events(Filter())[0]}) == 2
    records.hear(near(15, "e", -3.115, -60.0))
    assert len({one["incident"] for one in records.queries.events(Filter())[0]}) == 1


def test_a_backlog_by_clocks_that_were_not_set_is_no_incident(records: Records) -> None:
    """All of it is listed by its arrival, which says nothing of when it was."""
    late = {"clock_synced": False, "historical": True}
    records.hear(
        msgspec.structs.replace(detection(1), device_id="a", **late),
        msgspec.structs.replace(detection(2), device_id="b", **late),
        msgspec.structs.replace(detection(3), device_id="c", clock_synced=False),
        msgspec.structs.replace(detection(4), device_id="d", clock_synced=False),
    )
    incidents = {one["device_id"]: one["incident"] for one in records.queries.events(Filter())[0]}
    now = detection(3).event_id
    assert incidents == {"a": None, "b": None, "c": now, "d": now}


def test_distance() -> None:
    # A degree of latitude, and the antipode.
    assert distance_m(0, 0, 1, 0) == pytest.approx(111_195, rel=1e-4)
    assert distance_m(0, 0, 0, 180) == pytest.approx(20_015_087, rel=1e-4)
    assert distance_m(-3.1, -60, -3.1, -60) == 0


def the_device(records: Records, device_id: str = "canopy-7") -> dict[str, Any]:
    found = records.queries.device(device_id)
    assert found is not None
    return found


def test_a_device_is_silent_when_nothing_is_heard_or_it_is_offline(records: Records) -> None:
    records.hear(status(), health(time_ms=NOON_MS))
    assert not the_device(records)["silent"]
    records.now_ms += 301_000
    assert the_device(records)["silent"]
    records.hear(health(time_ms=records.now_ms))
    assert not the_device(records)["silent"]
    records.hear(status("offline"))
    assert the_device(records)["silent"]
    assert the_device(records)["reasons"] == ["microphone: gone"]


def test_what_the_broker_kept_is_no_sign_of_life(records: Records) -> None:
    records.hear(status(), retained=True)
    assert the_device(records)["last_heard"] is None
    records.hear(health(time_ms=NOON_MS - 7_200_000), retained=True)
    assert the_device(records)["last_heard"] == text(NOON_MS - 7_200_000)
    assert the_device(records)["silent"]


def test_silent_devices_come_first(records: Records) -> None:
    records.hear(status(device_id="b"), status("degraded", "c"), status("offline", "d"))
    records.hear(health("e", NOON_MS - 3_600_000))
    order = [one["device_id"] for one in records.queries.devices()]
    assert order == ["d", "e", "c", "b"]


def test_devices_are_read_in_pages(records: Records) -> None:
    records.hear(*(status(device_id=name) for name in "ecadb"))
    pages: list[str] = []
    further: str | None = ""
    while further is not None:
        page, further = records.queries.devices_from(further, 2)
        pages.append("".join(one["device_id"] for one in page))
    assert pages == ["ab", "cd", "e"]


def test_a_device_hangs_where_it_says_or_where_the_configuration_says(records: Records) -> None:
    records.hear(detection(1), status(device_id="canopy-9"), status(device_id="canopy-8"))
    places = {one["device_id"]: (one["lat"], one["lon"]) for one in records.queries.devices()}
    assert places == {"canopy-7": (-3.1, -60.0), "canopy-9": (1.0, 2.0), "canopy-8": (None, None)}


def test_a_week_is_kept_by_the_hour(records: Records) -> None:
    hour_ms = 3_600_000
    for hour in (0, *range(3 * 24, 10 * 24)):
        records.now_ms = NOON_MS + hour * hour_ms
        records.hear(
            health(time_ms=records.now_ms, temperature_c=30.0, level_dbfs=-50.0),
            health(time_ms=records.now_ms + 60_000, temperature_c=None, level_dbfs=-40.0),
        )
    with records.store.writing() as db:
        records.intake.prune(db, 100)
    week = the_device(records)["week"]
    assert len(week) == 7 * 24
    assert week[-1] == {
        "at": text(records.now_ms),
        "messages": 2,
        "level_dbfs": -45.0,
        "temperature_c": 30.0,
        "disk_free_bytes": 12_300_000_000,
        "outbox_depth": 3,
        "real_time_factor": 0.2,
    }


def test_the_oldest_events_go_first(records: Records) -> None:
    records.hear(*(detection(number) for number in range(120)))
    with records.store.writing() as db:
        assert records.intake.prune(db, 100) == 20
    assert detection(19).event_id not in records.ids()
    assert len(records.queries.events(Filter(), None, 200)[0]) == 100


def clip_folder(
    records: Records, max_bytes: int = 1 << 20, disk_bytes: int = 1 << 40
) -> ClipFolder:
    def free_bytes(folder: Path) -> int:
        return disk_bytes - sum(path.stat().st_size for path in folder.iterdir())

    options = StorageOptions(clips_max_bytes=max_bytes, clips_min_free_bytes=1000)
    return ClipFolder(records.folder / "clips", options, records.store, records.intake, free_bytes)


def keep_clips(records: Records, clips: ClipFolder, numbers: Iterable[int], size: int) -> None:
    for number in numbers:
        records.now_ms += 1
        opus = b"OggS" + bytes(size - 4)
        clips.make_room(size)
        clips.write(detection(number).event_id, opus)
        with records.store.writing() as db:
            topic = f"rainwatch/canopy-7/clip/{detection(number).event_id}"
            records.intake.take(db, *read(topic, opus), False)


def kept_clips(clips: ClipFolder, numbers: Iterable[int]) -> list[int]:
    return [number for number in numbers if clips.path(detection(number).event_id).exists()]


def test_sounds_without_a_verdict_go_before_judged_ones_the_oldest_first(records: Records) -> None:
    clips = clip_folder(records)
    records.hear(*(detection(number) for number in range(6)))
    keep_clips(records, clips, range(3), 300_000)
    records.hear(judgement(0, "false", "2024-05-12T10:00:00.000Z"), on="canopy-7")
    keep_clips(records, clips, range(3, 6), 300_000)
    assert kept_clips(clips, range(6)) == [0, 4, 5]
    assert [records.one(number)["clip"] for number in range(6)] == [
        True,
        False,
        False,
        False,
        True,
        True,
    ]


def test_sounds_give_way_on_a_full_disk(records: Records) -> None:
    keep_clips(records, clip_folder(records), range(3), 1000)
    full = clip_folder(records, disk_bytes=4500)
    full.make_room(1000)
    assert kept_clips(full, range(3)) == [1, 2]


def test_sounds_that_a_killed_run_did_not_note_are_removed(records: Records) -> None:
    clips = clip_folder(records)
    keep_clips(records, clips, range(2), 1000)
    clips.write(detection(7).event_id, b"OggS")
    (records.folder / "clips" / ".x.opus.part").touch()
    clips.tidy()
    assert len(list((records.folder / "clips").iterdir())) == 2


def test_no_name_leads_out_of_the_folder(records: Records) -> None:
    for name in ("../post.db", "a/b", "", "." * 36):
        with pytest.raises(ValueError, match="no event id"):
            clip_folder(records).path(name)


def test_a_second_post_on_the_same_folder_is_refused(records: Records) -> None:
    with pytest.raises(StoreError, match="another rainwatch-post"):
        Store(records.folder)


def test_a_damaged_file_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "post.db").write_bytes(b"not a database" * 1000)
    store = Store(tmp_path)
    assert store.rev == 0
    store.close()
    assert (tmp_path / "post.db.damaged-1").read_bytes().startswith(b"not a")


def test_damage_that_shows_later_ends_with_a_new_file(tmp_path: Path) -> None:
    kept = Records(tmp_path)
    kept.hear(*(detection(number) for number in range(50)))
    kept.store.close()
    db = sqlite3.connect(tmp_path / "post.db")
    found = "SELECT rootpage FROM sqlite_schema WHERE name = 'events_class'"
    page = db.execute(found).fetchone()[0]
    db.close()
    with (tmp_path / "post.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xaa" * 4096)
    kept = Records(tmp_path)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        kept.hear(detection(60))
    kept.store.close()
    kept = Records(tmp_path)
    kept.hear(detection(60))
    assert kept.ids() == [detection(60).event_id]
    kept.store.close()
    assert (tmp_path / "post.db.damaged-1").exists()


def test_what_is_being_written_is_not_yet_told(records: Records) -> None:
    with records.store.writing() as db:
        records.intake.take(db, *spoken(detection(1), ""), False)
        assert records.queries.events_after(0, 10) == ([], 0)
        assert records.store.rev == 0
    assert records.store.rev > 0
    assert len(records.queries.events_after(0, 10)[0]) == 1


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "post.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="version is 99"):
        Store(tmp_path)
    assert not list(tmp_path.glob("*damaged*"))
