"""What goes to the broker next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rainwatchd.alerts.delivery import (
    ACKNOWLEDGE_WITHIN_S,
    CLIP_WITHIN_S,
    LATE_S,
    REFUSED_FIRST_S,
    REFUSED_MAX_S,
    WINDOW,
    Delivery,
    Outgoing,
)
from rainwatchd.alerts.outbox import Outbox, OutboxOptions
from rainwatchd.alerts.topics import Topics
from tests.detections import detection, event

RATE_HZ = 10.0


class Harness:
    def __init__(self, directory: Path) -> None:
        self.now_s = 1000.0
        self.outbox = Outbox(directory, OutboxOptions(), lambda _: None, lambda: self.now_s)
        self.delivery = Delivery(self.outbox, Topics("canopy-7"), RATE_HZ, lambda: self.now_s)

    def due(self) -> list[Outgoing]:
        return self.delivery.due(100)

    def deliver(self) -> list[str]:
        """Deliver what is due; name it as ``7onset``."""
        names = []
        for outgoing in self.due():
            names.append(name(outgoing))
            self.delivery.delivered(outgoing.key)
        return names


def name(outgoing: Outgoing) -> str:
    message = msgspec.json.decode(outgoing.payload)
    return f"{int(message['event_id'][-12:], 16)}{message['phase']}"


def historical(outgoing: Outgoing) -> bool:
    marked: bool = msgspec.json.decode(outgoing.payload)["historical"]
    return marked


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    harness = Harness(tmp_path)
    yield harness
    harness.outbox.close()


def test_news_goes_at_once_and_unmarked(harness: Harness) -> None:
    for number in range(5):
        harness.outbox.put(detection(number))
    sent = harness.due()

    assert [name(outgoing) for outgoing in sent] == [f"{n}onset" for n in (4, 3, 2, 1, 0)]
    assert not any(map(historical, sent))


def test_backlog_is_marked_and_goes_at_a_bounded_rate(harness: Harness) -> None:
    for number in range(60):
        harness.outbox.put(detection(number))
    harness.now_s += LATE_S + 1
    sent = []
    for _ in range(50):
        for outgoing in harness.due():
            assert historical(outgoing)
            sent.append((harness.now_s, name(outgoing)))
            harness.delivery.delivered(outgoing.key)
        harness.now_s += 0.1

    took_s = sent[-1][0] - sent[0][0]
    assert len(sent) == pytest.approx(RATE_HZ * took_s + RATE_HZ, abs=2)
    assert [entry[1] for entry in sent[:3]] == ["59onset", "58onset", "57onset"]


def test_news_is_not_held_up_by_the_backlog(harness: Harness) -> None:
    for number in range(60):
        harness.outbox.put(detection(number))
    harness.now_s += LATE_S + 1
    while harness.deliver():
        pass
    harness.outbox.put(detection(99))

    assert harness.deliver() == ["99onset"]


def test_the_marked_message_differs_in_nothing_else(harness: Harness) -> None:
    original = detection(1)
    harness.outbox.put(original)
    harness.now_s += LATE_S + 1
    (outgoing,) = harness.due()

    assert outgoing.payload == msgspec.json.encode(
        msgspec.structs.replace(original, historical=True)
    )


@pytest.mark.parametrize("damaged", [b"{`schema", b"[]", b"\xff"])
def test_a_damaged_message_does_not_hold_up_the_others(harness: Harness, damaged: bytes) -> None:
    for number in range(3):
        harness.outbox.put(detection(number))
    disk = harness.outbox._disk
    assert disk is not None
    disk._db.execute("UPDATE messages SET payload = ? WHERE born = 2", (damaged,))
    harness.now_s += LATE_S + 1
    sent = []
    for _ in range(20):
        sent += harness.deliver()
        harness.now_s += 1

    assert sent == ["2onset", "0onset"]
    assert harness.outbox.depth == 0
    assert harness.outbox.dropped == 1


def test_one_message_of_an_event_is_under_way_at_a_time(harness: Harness) -> None:
    for message in event(1):
        harness.outbox.put(message)

    (onset,) = harness.due()
    assert harness.due() == []
    harness.delivery.delivered(onset.key)
    assert [name(outgoing) for outgoing in harness.due()] == ["1update"]


def test_what_is_under_way_is_bounded(harness: Harness) -> None:
    for number in range(3 * WINDOW):
        harness.outbox.put(detection(number))

    assert len(harness.delivery.due(2)) == 2, "by the broker"
    assert len(harness.due()) == WINDOW - 2
    assert harness.delivery.in_flight == WINDOW
    assert harness.due() == []


def test_after_a_lost_connection_everything_unacknowledged_goes_again(harness: Harness) -> None:
    for number in range(3):
        harness.outbox.put(detection(number))
    first = harness.due()
    harness.delivery.delivered(first[0].key)
    harness.delivery.disconnected()

    assert [outgoing.key for outgoing in harness.due()] == [o.key for o in first[1:]]


def test_an_answer_to_an_earlier_connection_is_ignored(harness: Harness) -> None:
    harness.outbox.put(detection(1))
    (outgoing,) = harness.due()
    harness.delivery.disconnected()
    harness.delivery.delivered(outgoing.key)

    assert harness.outbox.depth == 1


def test_a_silent_broker_is_found_out(harness: Harness) -> None:
    assert not harness.delivery.overdue
    harness.outbox.put(detection(1))
    harness.due()
    harness.now_s += ACKNOWLEDGE_WITHIN_S + 1
    assert harness.delivery.overdue


def test_refused_messages_stay_and_are_tried_ever_more_rarely(harness: Harness) -> None:
    for number in range(40):
        harness.outbox.put(detection(number))
    tries_s = []
    for _ in range(4000):
        for outgoing in harness.due():
            tries_s.append(harness.now_s)
            harness.delivery.refused(outgoing.key)
        harness.now_s += 1.0

    waits_s = [b - a for a, b in zip(tries_s[WINDOW:], tries_s[WINDOW + 1 :], strict=False)]
    assert harness.outbox.depth == 40
    assert waits_s[0] >= REFUSED_FIRST_S
    assert waits_s == sorted(waits_s)
    assert waits_s[-1] == pytest.approx(REFUSED_MAX_S, abs=1)
    # Once the broker takes one, the rest follows at once.
    harness.now_s += REFUSED_MAX_S
    (probe,) = harness.due()
    harness.delivery.delivered(probe.key)
    harness.now_s += 1.0
    assert len(harness.deliver()) > 1


def test_a_refusal_outlives_the_session_that_some_brokers_end_over_it(harness: Harness) -> None:
    harness.outbox.put(detection(1))
    (outgoing,) = harness.due()
    harness.delivery.refused(outgoing.key)
    harness.delivery.disconnected()

    assert harness.due() == []
    harness.now_s += 2 * REFUSED_FIRST_S
    assert [again.key for again in harness.due()] == [outgoing.key]


def test_one_message_that_is_always_refused_does_not_block_the_others(harness: Harness) -> None:
    for number in range(5):
        harness.outbox.put(detection(number))
    for _ in range(1000):
        for outgoing in harness.due():
            settle = harness.delivery.delivered
            if name(outgoing) == "4onset":
                settle = harness.delivery.refused
            settle(outgoing.key)
        harness.now_s += 1.0

    assert harness.outbox.depth == 1


def clips(outgoing: list[Outgoing]) -> list[tuple[str, bytes]]:
    return [(one.topic, one.payload) for one in outgoing]


def topic(number: int) -> str:
    return f"rainwatch/canopy-7/clip/{detection(number).event_id}"


def put_clips(harness: Harness, *numbers: int) -> None:
    """Queue clips that a folder holds."""
    harness.delivery.read_clip = lambda name: name.encode()
    for number in numbers:
        harness.outbox.put_clip(detection(number).event_id, f"{number}.flac")


def test_a_clip_goes_alone_and_only_when_no_alert_waits(harness: Harness) -> None:
    put_clips(harness, 1, 2)
    harness.outbox.put(detection(1))
    (alert,) = harness.due()
    assert name(alert) == "1onset"
    assert harness.due() == []
    harness.delivery.delivered(alert.key)
    newest = harness.due()
    assert clips(newest) == [(topic(2), b"2.flac")]
    assert harness.due() == []
    harness.outbox.put(detection(3))
    assert [name(one) for one in harness.due()] == ["3onset"], "an alert waits for no other clip"
    harness.delivery.delivered(newest[0].key)
    harness.delivery.delivered((detection(3).event_id, 0))
    assert clips(harness.due()) == [(topic(1), b"1.flac")]


def test_a_clip_that_was_evicted_is_forgotten(harness: Harness) -> None:
    put_clips(harness, 1, 2, 3)
    harness.delivery.read_clip = lambda name: None if name != "2.flac" else b"opus"
    assert clips(harness.due()) == [(topic(2), b"opus")]
    harness.delivery.delivered((detection(2).event_id + "/clip", 0))
    assert (harness.due(), harness.outbox.depth, harness.outbox.dropped) == ([], 0, 0)


def test_a_clip_that_the_broker_would_hang_up_over_is_given_up(harness: Harness) -> None:
    put_clips(harness, 1)
    harness.delivery.read_clip = lambda _: bytes(20_000)
    assert harness.delivery.due(100, 20_000) == []
    assert harness.outbox.depth == 0


def test_a_refused_clip_waits_and_holds_up_no_alert(harness: Harness) -> None:
    put_clips(harness, 1)
    (clip,) = harness.due()
    harness.delivery.refused(clip.key)
    harness.outbox.put(detection(2))
    assert harness.deliver() == ["2onset"]
    assert harness.due() == []
    harness.now_s += REFUSED_MAX_S + 1
    assert clips(harness.due()) == [(topic(1), b"1.flac")]


def test_a_slow_link_has_time_for_a_clip(harness: Harness) -> None:
    put_clips(harness, 1)
    harness.due()
    harness.now_s += ACKNOWLEDGE_WITHIN_S + 1
    assert not harness.delivery.overdue
    harness.now_s += CLIP_WITHIN_S
    assert harness.delivery.overdue


def test_a_clip_that_ends_every_session_is_given_up(harness: Harness) -> None:
    put_clips(harness, 1)
    for _ in range(3):
        assert len(harness.due()) == 1
        harness.delivery.disconnected()
    assert (harness.due(), harness.outbox.depth) == ([], 0)
