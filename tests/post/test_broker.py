"""Post and devices at the broker as it is shipped: who may what, and what is kept for a post."""

from __future__ import annotations

import msgspec
import pytest

from tests.broker import Broker, Subscriber, until
from tests.detections import detection, event
from tests.post.running import Publisher, RunningPost


def listening(broker: Broker, user: str) -> Subscriber:
    return Subscriber(broker.port, user, f"secret of {user}")


def test_the_access_list_lets_each_say_its_own(fleet_broker: Broker, north: RunningPost) -> None:
    def say(user: str, topic: str, number: int) -> None:
        with Publisher(fleet_broker.port, user, f"secret of {user}") as publisher:
            said = msgspec.structs.replace(detection(number), device_id=topic)
            publisher.say(f"rainwatch/{topic}/detection", msgspec.json.encode(said))
            publisher.sent()

    say("canopy-8", "canopy-7", 1)
    say("viewer", "viewer", 2)
    say("viewer", "canopy-7", 3)
    say("post-north", "post-north", 4)
    say("post-north", "canopy-7", 5)
    say("canopy-7", "canopy-7", 6)
    until(north.events, "the one alert that is allowed")
    assert [one["event_id"] for one in north.events()] == [detection(6).event_id]


def test_a_viewer_hears_and_a_device_hears_only_what_is_for_it(
    fleet_broker: Broker, north: RunningPost
) -> None:
    with (
        listening(fleet_broker, "viewer") as viewer,
        listening(fleet_broker, "canopy-7") as device,
        listening(fleet_broker, "canopy-8") as other,
        Publisher(fleet_broker.port, "canopy-7", "secret of canopy-7") as publisher,
    ):
        publisher.detect(detection(1))
        until(north.events, "the alert")
        path = f"/events/{detection(1).event_id}/verdict"
        assert north.post(path, {"verdict": "true"}).status == 200
        until(lambda: device.on(f"/feedback/{detection(1).event_id}"), "the verdict")
        until(lambda: viewer.detections, "the alert at the viewer")
    assert [message.topic.split("/")[2] for message in device.received] == ["feedback"]
    assert not other.received


@pytest.mark.slow
def test_a_week_away_is_caught_up(fleet_broker: Broker, north: RunningPost) -> None:
    """Of sixty devices with five alerts a day each, within the shipped limits of the broker."""
    alerts, sounds = range(2100), range(0, 2100, 7)
    opus = b"OggS" + bytes(30_000)
    assert north.stop() == 0
    with Publisher(fleet_broker.port, "canopy-7", "secret of canopy-7") as publisher:
        for number in alerts:
            publisher.detect(*event(number))
            if number in sounds:
                publisher.say(f"rainwatch/canopy-7/clip/{detection(number).event_id}", opus)
        publisher.sent()
    # A broker that is restarted in the meantime, as by an update, forgets nothing.
    fleet_broker.stop()
    fleet_broker.start()
    north.start()
    north.until_ready()
    last = f"/events/{detection(alerts[-1]).event_id}"
    until(lambda: north.get(last).json.get("phase") == "offset", "the last alert", 120)
    found = north.events()
    assert [one["event_id"] for one in reversed(found)] == [
        detection(number).event_id for number in alerts
    ]
    assert {one["phase"] for one in found} == {"offset"}
    assert sum(one["clip"] for one in found) == len(sounds)
