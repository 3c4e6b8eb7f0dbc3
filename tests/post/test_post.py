"""The post between a real broker and a browser's requests: nothing is lost, whatever breaks."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rainwatchd.decision.events import Detection, Status
from tests.broker import Broker, Subscriber, until
from tests.detections import detection, event
from tests.post.running import Publisher, RunningPost, running
from tests.schemas import validator

PERSISTENT = "allow_anonymous true\npersistence true\nautosave_on_changes true\nautosave_interval 1"


@pytest.fixture
def post(tmp_path: Path, broker: Broker) -> Iterator[RunningPost]:
    with running(tmp_path / "post", broker.port) as started:
        yield started


@pytest.fixture
def devices(broker: Broker) -> Iterator[Publisher]:
    with Publisher(broker.port) as publisher:
        yield publisher


def many(start: int, stop: int) -> list[Detection]:
    return [phase for number in range(start, stop) for phase in event(number)]


def ids(numbers: range) -> set[str]:
    return {detection(number).event_id for number in numbers}


def test_an_alert_is_told_to_open_pages_and_kept(post: RunningPost, devices: Publisher) -> None:
    with post.live() as page:
        until(lambda: page.named("hello"), "the page to be greeted")
        devices.detect(detection(1))
        until(lambda: page.events, "the alert on the page")
        devices.detect(*event(1)[1:])
        until(lambda: page.events[-1]["phase"] == "offset", "the end of the event")
        until(lambda: page.named("devices"), "the device on the page")
    hello = page.named("hello")[0]
    assert (hello["role"], hello["passwords"], hello["broker"]) == ("ranger", False, None)
    assert post.get("/events").json["events"] == [page.events[-1]]
    assert post.stop() == 0


def test_a_page_that_was_cut_off_is_told_what_it_missed(
    post: RunningPost, devices: Publisher
) -> None:
    with post.live() as page:
        devices.detect(detection(1))
        until(lambda: page.ids, "the alert")
    devices.detect(detection(2), detection(3))
    until(lambda: len(post.events()) == 3, "the alerts")
    with post.live(**{"Last-Event-ID": page.ids[-1]}) as again:
        until(lambda: len(again.events) == 2, "what was missed")
        assert not again.named("reset")
    with post.live(**{"Last-Event-ID": "999999"}) as confused:
        until(lambda: confused.named("reset"), "the wish to begin anew")


def test_sound_arrives_and_is_played_in_parts(post: RunningPost, devices: Publisher) -> None:
    opus = b"OggS" + bytes(range(256)) * 40
    devices.say(f"rainwatch/canopy-7/clip/{detection(1).event_id}", opus)
    devices.detect(detection(1))
    until(lambda: [one["clip"] for one in post.events()] == [True], "the clip")
    path = f"/clips/{detection(1).event_id}"
    whole = post.get(path)
    assert whole.content == opus
    assert whole.headers["Content-Type"] == "audio/ogg"
    part = post.get(path, Range="bytes=4-9")
    assert (part.status, part.content) == (206, opus[4:10])
    assert post.get(f"/clips/{detection(2).event_id}").status == 404
    assert post.get("/clips/..%2fpost.db").status == 404


def test_a_verdict_reaches_the_device_once_the_broker_is_there(
    tmp_path: Path, broker: Broker, devices: Publisher
) -> None:
    with running(tmp_path / "post", broker.port) as post:
        devices.detect(detection(1))
        until(post.events, "the alert")
        broker.kill()
        until(lambda: post.get("/about").json["broker"], "the loss of the broker to be noticed")
        said = post.post(
            f"/events/{detection(1).event_id}/verdict", {"verdict": "false", "class": "engine"}
        )
        assert said.status == 200
        assert not said.json["verdict"]["delivered"]
        post.kill()
        broker.start()
        with Subscriber(broker.port) as device:
            post.start()
            post.until_ready()
            until(lambda: device.on(f"/feedback/{detection(1).event_id}"), "the verdict")
            feedback = device.on(f"/feedback/{detection(1).event_id}")[0]
            until(lambda: post.events()[0]["verdict"]["delivered"], "the verdict to be ticked off")
    assert feedback.topic.startswith("rainwatch/canopy-7/")
    assert not feedback.retained
    validator("feedback").validate(feedback.json)
    assert (feedback.json["verdict"], feedback.json["class"]) == ("false", "engine")
    assert feedback.json["by"] == "hut"


def test_two_posts_know_of_each_others_verdicts(
    tmp_path: Path, broker: Broker, post: RunningPost, devices: Publisher
) -> None:
    with running(tmp_path / "other", broker.port, name="ridge") as other:
        devices.detect(detection(1))
        until(lambda: post.events() and other.events(), "the alert at both")
        other.post(f"/events/{detection(1).event_id}/verdict", {"verdict": "true"})
        until(lambda: post.events()[0]["verdict"], "the other's verdict")
    assert post.events()[0]["verdict"]["by"] == "ridge"


def test_what_came_while_the_post_was_away_is_caught_up(
    tmp_path: Path, broker: Broker, devices: Publisher
) -> None:
    with running(tmp_path / "post", broker.port) as post:
        assert post.stop() == 0
        devices.detect(*many(0, 500))
        devices.sent()
        post.start()
        post.until_ready()
        until(lambda: len(post.events()) == 500, "everything")
        assert {one["phase"] for one in post.events()} == {"offset"}


def test_nothing_is_lost_when_the_post_is_killed_at_any_moment(
    tmp_path: Path, broker: Broker, devices: Publisher
) -> None:
    rng = random.Random(7)
    messages = many(0, 400)
    with running(tmp_path / "post", broker.port) as post:

        def publish() -> None:
            for message in messages:
                devices.detect(message)
                time.sleep(0.002)

        publishing = threading.Thread(target=publish)
        publishing.start()
        for _ in range(4):
            post.until_serving()
            time.sleep(rng.uniform(0.0, 0.3))
            post.kill()
            post.start()
        publishing.join()
        devices.sent()
        post.until_serving()
        until(lambda: len(post.events()) == 400, "everything")
        until(lambda: {one["phase"] for one in post.events()} == {"offset"}, "every end")
        assert {one["event_id"] for one in post.events()} == ids(range(400))


def test_nothing_is_lost_when_the_broker_dies_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder, f"{PERSISTENT}\npersistence_location {folder}/\n")
    broker.start()
    try:
        with running(tmp_path / "post", broker.port) as post:
            with Publisher(broker.port) as devices:
                devices.detect(*many(0, 50))
                devices.sent()
            broker.stop()
            until(lambda: post.get("/about").json["broker"], "the loss to be noticed")
            # A broker that nobody was told of a loss by: it may have what isn't acknowledged.
            broker.start()
            until(lambda: post.get("/about").json["broker"] is None, "the broker to be back")
            with Publisher(broker.port) as devices:
                devices.detect(*many(50, 100))
                devices.sent()
            until(lambda: len(post.events()) == 100, "everything")
    finally:
        broker.stop()


def test_a_frozen_post_loses_nothing(post: RunningPost, devices: Publisher) -> None:
    assert post.process is not None
    post.process.send_signal(signal.SIGSTOP)
    devices.detect(*many(0, 200))
    devices.sent()
    post.process.send_signal(signal.SIGCONT)
    until(lambda: len(post.events()) == 200, "everything")


def test_a_full_disk_holds_messages_back_and_loses_none(
    tmp_path: Path, broker: Broker, devices: Publisher
) -> None:
    with running(tmp_path / "post", broker.port) as post:
        clips = post.state / "clips"
        clips.rmdir()
        clips.write_text("in the way, as a full disk is")
        devices.say(f"rainwatch/canopy-7/clip/{detection(1).event_id}", b"OggS....")
        devices.detect(detection(1))
        until(lambda: "disk full" in str(post.get("/about").json["broker"]), "the trouble")
        clips.unlink()
        clips.mkdir()
        until(lambda: [one["clip"] for one in post.events()] == [True], "event and clip")


def test_hostile_messages_do_no_harm(post: RunningPost, devices: Publisher) -> None:
    rng = random.Random(3)
    for number in range(200):
        kind = rng.choice(
            ["detection", "status", "health", "spectrum", "clip/x", "feedback/y", "z"]
        )
        devices.say(f"rainwatch/evil-{number}/{kind}", rng.randbytes(rng.randrange(200)))
    devices.say("rainwatch/<script>/detection", msgspec.json.encode(detection(1)))
    devices.say("rainwatch/canopy-7/clip/" + detection(1).event_id, b"OggS" + bytes(10_000_000))
    devices.detect(detection(1))
    until(post.events, "the one honest alert")
    assert [one["device_id"] for one in post.get("/devices").json["devices"]] == ["canopy-7"]
    assert post.log.count("passed over") == 1


def test_markup_in_a_message_is_never_a_page(post: RunningPost, devices: Publisher) -> None:
    markup = "<script>alert(1)</script>"
    devices.detect(msgspec.structs.replace(detection(1), label=markup, model=markup))
    until(post.events, "the alert")
    for path in ("/events", f"/events/{detection(1).event_id}", "/about"):
        answer = post.get(path)
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert post.events()[0]["class"] == markup


def test_a_spectrum_is_asked_for_and_told_only_while_somebody_looks(
    post: RunningPost, broker: Broker, devices: Publisher
) -> None:
    column: dict[str, Any] = {
        "schema": 1,
        "device_id": "canopy-7",
        "at": "2024-05-12T10:00:00.000Z",
        "step_s": 1.0,
        "floor_db": -90.0,
        "low_hz": 40.0,
        "high_hz": 5000.0,
        "bands": "AAEC" * 20,
    }
    online = Status(device_id="canopy-7", state="online", version="1", model="m", model_digest="d")
    devices.say("rainwatch/canopy-7/status", msgspec.json.encode(online))
    until(lambda: post.get("/devices/canopy-7").status == 200, "the device")
    assert post.get("/devices/canopy-8/spectrum").status == 404
    with Subscriber(broker.port) as device, post.live("/devices/canopy-7/spectrum") as look:
        until(lambda: device.on("/look"), "the device to be asked")
        devices.say("rainwatch/canopy-8/spectrum", msgspec.json.encode(column), qos=0)
        devices.say("rainwatch/canopy-7/spectrum", msgspec.json.encode(column), qos=0)
        until(lambda: look.received, "the spectrum")
        assert not device.on("/look")[0].retained
    del column["schema"], column["device_id"]
    assert look.received == [("spectrum", column)]


def test_a_port_that_is_taken_is_named(tmp_path: Path, post: RunningPost) -> None:
    done = RunningPost(tmp_path / "second", 1, listen={"port": post.port}).run()
    assert done.returncode == 1
    assert f"port {post.port}: Address already in use" in done.stderr
