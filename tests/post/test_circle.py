"""From the samples of a microphone to the answer of a ranger: device, broker, access list, post."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import yaml

from tests.broker import Broker, Subscriber, until
from tests.detections import detection
from tests.post.running import Publisher, RunningPost
from tests.sounds import scene

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"
USERS = ("canopy-7", "canopy-8", "post-north", "viewer")


def password_file(folder: Path, user: str) -> str:
    path = folder / f"{user}.password"
    path.write_text(f"secret of {user}\n")
    return str(path)


@pytest.fixture
def fleet_broker(tmp_path: Path) -> Iterator[Broker]:
    """The shipped mosquitto.conf and mosquitto.acl, on loopback without TLS."""
    folder = tmp_path / "broker"
    folder.mkdir()
    passwords = folder / "passwd"
    passwords.touch()
    for user in USERS:
        subprocess.run(
            ["mosquitto_passwd", "-b", passwords, user, f"secret of {user}"],
            check=True,
            capture_output=True,
        )
    places = {
        "password_file": passwords,
        "acl_file": CONFIGS / "mosquitto.acl",
        "persistence_location": f"{folder}/",
    }
    lines = []
    for line in (CONFIGS / "mosquitto.conf").read_text().splitlines():
        key = line.partition(" ")[0]
        if key in {"listener", "certfile", "keyfile", "set_tcp_nodelay", "max_queued_messages"}:
            continue
        lines.append(f"{key} {places[key]}" if key in places else line)
    broker = Broker(folder, "\n".join(lines))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def north(tmp_path: Path, fleet_broker: Broker) -> Iterator[RunningPost]:
    folder = tmp_path / "post"
    folder.mkdir()
    login = {"user": "post-north", "password_file": password_file(folder, "post-north")}
    post = RunningPost(folder, fleet_broker.port, name="north", mqtt=login)
    post.start()
    try:
        post.until_ready()
        yield post
    finally:
        post.close()


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
def test_from_sound_to_the_answer_of_a_ranger(
    tmp_path: Path, fleet_broker: Broker, north: RunningPost, tiny_model: Path
) -> None:
    home = tmp_path / "device"
    home.mkdir()
    sound = scene(16_000, (None, 2.0), ("chainsaw", 9.0), (None, 8.0))
    soundfile.write(home / "saw.wav", sound, 16_000)
    (home / "playlist").write_text(f"{home / 'saw.wav'}\n")
    settings = {
        "device_id": "canopy-7",
        "model": str(tiny_model),
        "state_directory": str(home / "state"),
        "lat": -3.1,
        "lon": -60.0,
        "mqtt": {
            "host": "127.0.0.1",
            "port": fleet_broker.port,
            "user": "canopy-7",
            "password_file": password_file(home, "canopy-7"),
        },
        "clips": {"publish": True, "min_free_bytes": 0},
    }
    (home / "rainwatchd.yaml").write_text(yaml.safe_dump(settings))
    with (home / "log").open("wb") as log:
        arguments = [str(home / "playlist"), str(home / "rainwatchd.yaml")]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.post.simulated", *arguments],
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        with listening(fleet_broker, "canopy-7") as device, north.live() as page:
            until(lambda: page.events, "the onset on the page", 60)
            assert page.events[0]["phase"] == "onset"
            until(lambda: any(one["clip"] for one in north.events()), "the sound", 60)
            said = next(one for one in north.events() if one["clip"])
            samples, rate_hz = soundfile.read(_saved(north, said["event_id"], tmp_path))
            assert samples.size > 5 * rate_hz
            assert np.abs(samples).max() > 0.1
            path = f"/events/{said['event_id']}/verdict"
            assert north.post(path, {"verdict": "true"}).status == 200
            until(lambda: device.on(f"/feedback/{said['event_id']}"), "the verdict at the device")
            state = north.get("/devices/canopy-7").json
            assert (state["state"], state["silent"], state["lat"]) == ("online", False, -3.1)
        # A battery takes no leave: the broker tells.
        process.send_signal(signal.SIGKILL)
        until(lambda: north.get("/devices/canopy-7").json["silent"], "the silent device")
    finally:
        process.kill()
        process.wait()


def _saved(post: RunningPost, event_id: str, folder: Path) -> Path:
    path = folder / "clip.opus"
    path.write_bytes(post.get(f"/clips/{event_id}").content)
    return path
