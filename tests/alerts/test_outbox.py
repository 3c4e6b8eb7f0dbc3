"""The queue: nothing confirmed is lost, what is sent comes in order, the card is spared."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rainwatchd.alerts.ledger import MOST_CLIPS
from rainwatchd.alerts.outbox import REMOVE_AFTER_S, REMOVE_BATCH, RETRY_S, Outbox, OutboxOptions
from tests.detections import PHASES, detection, event


class Reports(list[str | None]):
    """What the outbox reported."""

    def __call__(self, trouble: str | None) -> None:
        self.append(trouble)


class Harness:
    """An outbox in a folder, with a clock that only moves when told to."""

    def __init__(self, directory: Path, max_bytes: int = 1 << 20) -> None:
        self.directory = directory
        self.now_s = 1000.0
        self.reports = Reports()
        self.max_bytes = max_bytes
        self.open()

    def open(self) -> None:
        options = OutboxOptions(max_bytes=self.max_bytes)
        self.outbox = Outbox(self.directory, options, self.reports, lambda: self.now_s)

    def reopen(self) -> None:
        """End the run in order and begin another."""
        self.outbox.close()
        self.open()

    def put(self, *events: int) -> None:
        for number in events:
            for message in event(number):
                self.outbox.put(message)

    def drain(self, window: int = 3) -> list[dict[str, Any]]:
        """Send everything, each message acknowledged at once."""
        sent = []
        while messages := self.outbox.take(window, set()):
            for message in messages:
                sent.append(msgspec.json.decode(message.payload))
                self.outbox.acknowledge(message.key)
        return sent

    def names(self) -> list[str]:
        """Drain, and name what came as ``7onset``."""
        return [f"{int(m['event_id'][-12:], 16)}{m['phase']}" for m in self.drain()]


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory, where the hundreds of syncs cost nothing: kill -9 spares it too."""
    memory = Path("/dev/shm")
    if memory.is_dir():
        with tempfile.TemporaryDirectory(prefix="rainwatchd-", dir=memory) as name:
            yield Path(name)
    else:
        yield tmp_path_factory.mktemp("outbox")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.outbox.close()


@contextmanager
def full_disk(directory: Path) -> Iterator[None]:
    """Let no file of this process grow, as a full disk would; reads and overwriting go on."""
    size = max(path.stat().st_size for path in directory.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_each_event_comes_in_order_and_the_newest_event_first(harness: Harness) -> None:
    harness.put(1, 2, 3)

    names = harness.names()
    assert names[:3] == ["3onset", "2onset", "1onset"]
    for number in (1, 2, 3):
        assert [n for n in names if n.startswith(str(number))] == [f"{number}{p}" for p in PHASES]
    assert harness.outbox.depth == 0


def test_what_is_added_after_the_offset_comes_last_of_its_event(harness: Harness) -> None:
    harness.put(1, 2)
    offset = event(1)[2]
    harness.outbox.put(msgspec.structs.replace(offset, seq=offset.seq + 1, clip=None))

    sent = [(int(m["event_id"][-12:], 16), m["seq"]) for m in harness.drain(window=1)]
    assert sent == [(2, 0), (2, 1), (2, 2), (1, 0), (1, 1), (1, 2), (1, 3)]


def test_the_next_message_of_an_event_waits_for_the_one_before(harness: Harness) -> None:
    harness.put(1)
    first = harness.outbox.take(10, set())

    assert [message.seq for message in first] == [0]
    assert harness.outbox.take(10, {first[0].event_id}) == []
    assert [message.seq for message in harness.outbox.take(10, set())] == [0], "not acknowledged"
    harness.outbox.acknowledge(first[0].key)
    assert [message.seq for message in harness.outbox.take(10, set())] == [1]


def test_what_was_queued_survives_a_restart_and_what_was_acknowledged_does_not(
    harness: Harness,
) -> None:
    harness.put(1, 2)
    for message in harness.outbox.take(1, set()):
        harness.outbox.acknowledge(message.key)
    harness.reopen()

    assert harness.outbox.depth == 5
    assert harness.names()[0] == "2update"
    harness.reopen()
    assert harness.outbox.depth == 0


def test_backlog_is_late_and_news_is_not(harness: Harness) -> None:
    harness.put(1)
    harness.reopen()
    harness.put(2)
    new, old = harness.outbox.take(2, set())

    assert (harness.outbox.late(new, 30), harness.outbox.late(old, 30)) == (False, True)
    harness.now_s += 31
    assert harness.outbox.late(new, 30)


def test_an_event_that_a_killed_run_left_open_is_ended(tmp_path: Path) -> None:
    killed = Harness(tmp_path)
    killed.put(1)
    killed.outbox.put(detection(2, "onset"))
    killed.drain()
    killed.outbox.put(detection(2, "update"))
    killed.outbox._disk.close()  # type: ignore[union-attr]

    again = Harness(tmp_path)
    sent = [message for message in again.drain() if message["event_id"].endswith("2")]
    assert [(m["phase"], m["seq"]) for m in sent] == [("update", 1), ("offset", 2)]
    assert sent[-1]["end_reason"] == "interrupted"
    assert sent[-1]["end"] == "2024-05-12T00:00:08.500Z"
    again.reopen()
    assert again.drain() == [], "and only once"
    again.outbox.close()


CONFIRMING = """
import sys
from pathlib import Path
from rainwatchd.alerts.outbox import Outbox, OutboxOptions
from tests.detections import event
outbox = Outbox(Path(sys.argv[1]), OutboxOptions(), lambda trouble: None)
for number in range(int(sys.argv[2]), 10**6):
    for message in event(number):
        outbox.put(message)
        print(f"{message.event_id} {message.seq}", flush=True)
        for sent in outbox.take(1, set()) if number % 3 == 0 else ():
            outbox.acknowledge(sent.key)
            print(f"{sent.event_id} {sent.seq} acknowledged", flush=True)
"""


def test_nothing_confirmed_is_lost_by_kill_9(tmp_path: Path) -> None:
    moments = random.Random(7)
    confirmed: set[str] = set()
    acknowledged: set[str] = set()
    for run in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", CONFIRMING, str(tmp_path), str(run * 10**5)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(moments.randrange(5, 60))]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.wait()
        for line in lines:
            name, _, was_acknowledged = line.strip().partition(" acknowledged")
            (acknowledged if line.strip().endswith("acknowledged") else confirmed).add(name)
            del was_acknowledged

    harness = Harness(tmp_path, 64 << 20)
    left = {f"{m['event_id']} {m['seq']}" for m in harness.drain(16)}
    harness.outbox.close()
    assert len(confirmed) > 50
    assert confirmed - acknowledged <= left, "every confirmed message is there"
    unknown = {key for key in left - confirmed if not key.endswith((" 1", " 2"))}
    assert len(unknown) <= 6, "at most the one that each kill caught before it was confirmed"


def test_when_full_updates_go_first_then_the_oldest_whole_events(tmp_path: Path) -> None:
    harness = Harness(tmp_path, max_bytes=65536)
    harness.put(*range(100))
    names = harness.names()

    assert harness.outbox.dropped > 0
    assert not [name for name in names if "update" in name]
    kept = sorted({int(name.removesuffix("onset").removesuffix("offset")) for name in names})
    assert kept == list(range(100 - len(kept), 100)), "the newest are kept"
    assert len(names) == 2 * len(kept), "no event is cut in half"
    assert len(kept) > 30
    harness.outbox.close()


def test_the_file_stays_within_the_quota(tmp_path: Path) -> None:
    harness = Harness(tmp_path, max_bytes=65536)
    harness.put(*range(200))
    harness.outbox.close()

    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * 65536


@pytest.mark.parametrize("damage", ["garbage", "truncated", "holes", "foreign", "newer"])
def test_a_damaged_file_is_moved_aside_and_reported(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "outbox.sqlite"
    before = Harness(tmp_path)
    before.put(*range(40))
    before.outbox.close()
    whole = path.read_bytes()
    if damage == "garbage":
        path.write_bytes(random.Random(1).randbytes(50_000))
    elif damage == "truncated":
        path.write_bytes(whole[: len(whole) * 2 // 3])
    elif damage == "holes":
        path.write_bytes(whole[:4096] + bytes(len(whole) - 8192) + whole[-4096:])
    elif damage == "foreign":
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE birds (name)")
        other.close()
    else:
        with sqlite3.connect(path) as newer:
            newer.execute("PRAGMA user_version = 99")
        newer.close()
    damaged = path.read_bytes()

    harness = Harness(tmp_path)
    harness.put(100)
    assert len(harness.drain()) == 3
    harness.outbox.close()
    (aside,) = tmp_path.glob("outbox.damaged-*.sqlite")
    assert aside.read_bytes() == damaged
    assert harness.reports == [f"{path} was damaged; it was moved aside to {aside.name}"]


def test_damage_while_running_costs_no_new_event(harness: Harness) -> None:
    harness.put(1)
    harness.reopen()
    path = harness.directory / "outbox.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + os.urandom(path.stat().st_size - 4096))
    harness.outbox._disk._db.execute("PRAGMA shrink_memory")  # type: ignore[union-attr]
    for number in range(2, 40):
        harness.put(number)

    assert {name for name in harness.names() if "onset" in name} >= {
        f"{number}onset" for number in range(2, 40)
    }
    assert len(list(harness.directory.glob("outbox.damaged-*.sqlite"))) == 1


def test_a_full_disk_costs_nothing_while_memory_lasts(harness: Harness) -> None:
    harness.put(1)
    harness.outbox.put(detection(2, "onset"))
    with full_disk(harness.directory):
        for number in range(3, 200):
            harness.put(number)
        harness.outbox.put(detection(2, "offset"))
        assert harness.reports[-1] is not None
        assert "alerts are kept in memory only" in harness.reports[-1]
        assert harness.outbox.depth == 3 + 1 + 197 * 3 + 1
        order = [name for name in harness.names() if name in ("2onset", "2offset")]
    assert order == ["2onset", "2offset"], "the onset on disk goes before the offset in memory"
    harness.now_s += RETRY_S
    harness.outbox.tend()
    assert harness.reports[-1] is None
    harness.reopen()
    assert harness.drain() == []


def test_what_was_kept_in_memory_returns_to_the_disk(harness: Harness) -> None:
    harness.put(1)
    with full_disk(harness.directory):
        for number in range(2, 100):
            harness.put(number)
        harness.outbox.put(detection(100, "onset"))
        harness.now_s += RETRY_S
        harness.outbox.tend()
        assert harness.reports[-1] is not None
    harness.now_s += RETRY_S
    harness.outbox.tend()
    assert harness.reports[-1] is None
    killed = Path(harness.directory, "killed")
    killed.mkdir()
    for name in ("outbox.sqlite", "outbox.sqlite-wal"):
        (killed / name).write_bytes((harness.directory / name).read_bytes())

    after = Harness(killed)
    names = after.names()
    assert {name for name in names if "onset" in name} == {f"{n}onset" for n in range(1, 101)}
    assert names[0] == "100onset"
    assert "100offset" in names, "it was open when the run was killed"
    after.outbox.close()


def test_events_that_ended_while_the_disk_was_full_are_not_ended_again(harness: Harness) -> None:
    for number in range(1, 30):
        harness.outbox.put(detection(number, "onset"))
    with full_disk(harness.directory):
        for number in range(30, 200):
            harness.put(number)
        for number in range(1, 30):
            harness.outbox.put(detection(number, "offset"))
    harness.now_s += RETRY_S
    harness.outbox.tend()
    harness.reopen()

    offsets = [message for message in harness.drain() if message["phase"] == "offset"]
    assert len(offsets) == 199
    assert {message["end_reason"] for message in offsets} == {"released"}


def test_a_place_that_cannot_be_written_is_reported_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    harness = Harness(tmp_path / "state")
    harness.put(1, 2)

    assert harness.reports[-1] is not None
    assert "File exists" in harness.reports[-1]
    assert harness.outbox.depth == 6
    (tmp_path / "state").unlink()
    harness.now_s += RETRY_S
    harness.outbox.tend()
    assert harness.reports[-1] is None
    harness.reopen()
    assert harness.names()[:2] == ["2onset", "1onset"]
    harness.outbox.close()


def test_memory_is_bounded_while_the_disk_fails(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    harness = Harness(tmp_path / "state", max_bytes=65536)
    harness.put(*range(200))

    assert harness.outbox.dropped > 0
    assert harness.names()[0] == "199onset"
    harness.outbox.close()


def test_a_second_daemon_on_the_same_file_is_told_so(harness: Harness) -> None:
    harness.put(1)
    second = Harness(harness.directory)

    assert second.reports[-1] is not None
    assert "locked" in second.reports[-1]
    assert second.outbox.depth == 0
    second.outbox.close()
    assert len(harness.drain()) == 3


def writes(directory: Path) -> int:
    """Bytes that the write-ahead log has grown to: what commits have written."""
    return (directory / "outbox.sqlite-wal").stat().st_size


def test_acknowledgements_cost_no_write_of_their_own(harness: Harness) -> None:
    harness.put(*range(10))
    before = writes(harness.directory)
    taken = harness.outbox.take(10, set())
    for message in taken:
        harness.outbox.acknowledge(message.key)
    harness.outbox.tend()
    assert writes(harness.directory) == before

    harness.now_s += REMOVE_AFTER_S
    harness.outbox.tend()
    assert writes(harness.directory) > before
    assert len(taken) < REMOVE_BATCH


def test_nothing_is_written_while_nothing_happens(harness: Harness) -> None:
    harness.put(1)
    harness.drain()
    harness.now_s += REMOVE_AFTER_S
    harness.outbox.tend()
    before = writes(harness.directory)
    for _ in range(100):
        harness.now_s += 60
        harness.outbox.tend()
        harness.outbox.take(16, set())

    assert writes(harness.directory) == before


def test_an_event_of_another_version_in_the_journal_is_left_alone(harness: Harness) -> None:
    harness.outbox.put(detection(1, "onset"))
    disk = harness.outbox._disk
    assert disk is not None
    disk._db.execute("UPDATE open_events SET payload = ?", (b'{"schema": "detection/2"}',))
    harness.reopen()

    assert [message["phase"] for message in harness.drain()] == ["onset"]


def test_a_damaged_open_event_does_not_keep_the_outbox_from_opening(harness: Harness) -> None:
    harness.outbox.put(detection(1, "onset"))
    disk = harness.outbox._disk
    assert disk is not None
    (payload,) = disk._db.execute("SELECT payload FROM open_events").fetchone()
    damaged = payload.replace(b'"start":"2', b'"start":"r')
    assert damaged != payload
    disk._db.execute("UPDATE open_events SET payload = ?", (damaged,))
    harness.reopen()

    assert [message["phase"] for message in harness.drain()] == ["onset"]


actions = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5)),
        st.tuples(st.just("acknowledge"), st.integers(0, 5)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=40,
)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions)
def test_whatever_happens_each_event_arrives_whole_and_in_order(
    tmp_path: Path, steps: list[tuple[str, int]]
) -> None:
    harness = Harness(Path(tempfile.mkdtemp(dir=tmp_path)))
    pending = {number: list(event(number)) for number in range(6)}
    put, sent = [], []
    for action, argument in steps:
        if action == "put" and pending[argument]:
            put.append(pending[argument].pop(0))
            harness.outbox.put(put[-1])
        elif action == "acknowledge":
            for message in harness.outbox.take(argument, set()):
                sent.append(message.key)
                harness.outbox.acknowledge(message.key)
        elif action == "wait":
            harness.now_s += argument
            harness.outbox.tend()
        elif action == "reopen":
            harness.reopen()
            # What is open now is ended by the outbox itself.
            pending = {
                number: rest if len(rest) in (0, 3) else [] for number, rest in pending.items()
            }
    sent += [(message["event_id"], message["seq"]) for message in harness.drain()]
    harness.outbox.close()

    assert len(sent) == len(set(sent)), "none twice"
    assert {(message.event_id, message.seq) for message in put} <= set(sent)
    for event_id in {key[0] for key in sent}:
        assert [key[1] for key in sent if key[0] == event_id] == sorted(
            key[1] for key in sent if key[0] == event_id
        )


def test_closing_writes_what_memory_holds_or_says_what_is_lost(harness: Harness) -> None:
    harness.put(1)
    with full_disk(harness.directory):
        harness.put(*range(2, 60))
    assert harness.outbox.close() == 0
    harness.open()
    assert harness.outbox.depth == 59 * 3

    with full_disk(harness.directory):
        harness.put(*range(60, 120))
        assert harness.outbox.close() > 0
    harness.open()


def references(harness: Harness) -> list[str]:
    return [m.payload.decode() for m in harness.outbox.take(1000, set()) if m.refers]


def test_references_to_clips_come_last_newest_first_across_runs(harness: Harness) -> None:
    harness.put(1)
    for number in (1, 2):
        harness.outbox.put_clip(detection(number).event_id, f"{number}.flac")
    harness.reopen()
    harness.outbox.put_clip(detection(3).event_id, "3.flac")
    harness.put(4)
    harness.reopen()

    assert references(harness) == ["3.flac", "2.flac", "1.flac"]
    first = [message.refers for message in harness.outbox.take(1000, set())]
    assert first == [False, False, True, True, True]
    harness.outbox.put(detection(5))
    assert harness.outbox.take(1, set())[0].event_id == detection(5).event_id
    harness.outbox.acknowledge((detection(3).event_id + "/clip", 0))
    harness.reopen()
    assert references(harness) == ["2.flac", "1.flac"]


def test_references_to_clips_are_bounded_and_the_first_to_go(harness: Harness) -> None:
    for number in range(MOST_CLIPS + 5):
        harness.outbox.put_clip(detection(number).event_id, f"{number}.flac")
    names = references(harness)
    assert (len(names), names[0], names[-1]) == (MOST_CLIPS, f"{MOST_CLIPS + 4}.flac", "5.flac")

    harness.max_bytes = 65536
    harness.reopen()
    harness.put(*range(200))
    assert references(harness) == []
    assert harness.outbox.depth > 0


def test_an_outbox_of_references_alone_numbers_events_as_ever(harness: Harness) -> None:
    harness.outbox.put_clip(detection(1).event_id, "1.flac")
    harness.reopen()
    harness.put(2)
    (onset, clip) = harness.outbox.take(9, set())
    assert (onset.born > 0, clip.refers) == (True, True)
