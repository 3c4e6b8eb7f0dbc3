"""A replay that publishes, on a real broker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile
from paho.mqtt import publish

from rainwatchd.cli import main
from rainwatchd.replay import publishing
from tests.broker import Broker, Subscriber, free_port, until
from tests.sounds import scene


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "x.wav"
    soundfile.write(path, scene(16000, ("chainsaw", 12.0), (None, 14.0)), 16000)
    return path


def test_a_replay_publishes_what_it_prints(
    tmp_path: Path, tiny_model: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(tmp_path)
    broker.start()
    try:
        with Subscriber(broker.port) as subscriber:
            arguments = [
                "--model",
                str(tiny_model),
                "--json",
                "--phases",
                "--mqtt",
                "--device_id",
                "ridge-3",
            ]
            address = ["--mqtt.host", "127.0.0.1", "--mqtt.port", str(broker.port)]
            assert main([*arguments, *address, "--file", str(recording)]) == 0
            printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            until(lambda: len(subscriber.received) >= 3, "detections and the end of the session")
            detections = [r for r in subscriber.received if r.topic.endswith("/detection")]
        assert {r.topic for r in detections} == {"rainwatch/ridge-3-replay/detection"}
        for line in printed:
            for key in ("start_s", "end_s", "file"):
                del line[key]
        assert [r.json for r in detections] == printed
        with Subscriber(broker.port) as late:
            # Retained messages come before whatever is published after the subscription.
            publish.single("marker", b"", hostname="127.0.0.1", port=broker.port)
            until(lambda: late.received and late.received[-1].topic == "marker", "the marker")
            assert [r for r in late.received if r.retained] == [], "no status is left behind"
    finally:
        broker.stop()


def test_a_broker_that_is_away_is_an_error_and_the_table_is_still_there(
    tiny_model: Path,
    recording: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_S", 0.5)
    address = ["--mqtt.host", "127.0.0.1", "--mqtt.port", str(free_port())]
    arguments = ["--model", str(tiny_model), "--mqtt", *address, "--file", str(recording)]
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert "chainsaw" in out
    assert err.splitlines()[-1].startswith("rainwatchd: 2 messages did not reach the broker: ")
    assert "nothing listens there" in err
