"""``--check`` against real parts that work, and each of them broken."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from rainwatchd.alerts.broker.mqtt import MqttOptions
from rainwatchd.audio.capture.microphone import restart_portaudio
from rainwatchd.cli import main
from rainwatchd.config.options import Config
from rainwatchd.config.trials import Finding
from rainwatchd.service.commands import check as check_module
from rainwatchd.service.commands.check import check
from tests.broker import Broker, Subscriber, free_port, running
from tests.microphone import SoundServer


def findings(config: Config) -> dict[str, Finding]:
    return {finding.part: finding for finding in check(config)}


@pytest.fixture
def config(tmp_path: Path, tiny_model: Path) -> Config:
    """Everything is as it should be, but there is neither a microphone nor a broker."""
    mqtt = MqttOptions(host="127.0.0.1", port=free_port())
    return Config(
        device_id="canopy-7", model=str(tiny_model), state_directory=str(tmp_path), mqtt=mqtt
    )


@pytest.mark.slow
def test_all_is_well(
    tmp_path: Path,
    tiny_model: Path,
    broker: Broker,
    sound_server: SoundServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sound_server.play_noise()
    restart_portaudio()
    settings = ["--mqtt.port", str(broker.port), "--state_directory", str(tmp_path / "state")]
    with Subscriber(broker.port) as subscriber:
        assert main(["--check", "--device_id", "x", "--model", str(tiny_model), *settings]) == 0
        # The daemon of that name may be running: nothing may be said in its place.
        assert subscriber.received == []
    lines = capsys.readouterr().out.splitlines()
    parts = [line.split()[1] for line in lines]
    assert parts == ["config", "model", "microphone", "broker", "disk", "clock"]
    assert all(line.startswith("ok ") for line in lines)
    assert "self-test passed" in lines[1]
    assert re.search(r"at \d+ Hz, -5\d dBFS$", lines[2])


@pytest.mark.slow
def test_the_microphones_are_listed(
    sound_server: SoundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    restart_portaudio()
    assert main(["--list-devices"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^'pulse': \d+ channels, \d+ Hz$", listed, re.MULTILINE)
    assert listed.count(", the default") == 1


@pytest.mark.slow
def test_a_mute_microphone_is_found_out(config: Config, sound_server: SoundServer) -> None:
    restart_portaudio()
    found = findings(config)["microphone"]
    assert not found.passed
    assert "nothing but zeros; is it muted" in found.said


def test_each_part_says_what_is_wrong_and_how_to_mend_it(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    options = {
        "--model": str(tmp_path / "absent.onnx"),
        "--audio.device": "usb:9-9",
        "--mqtt.host": "127.0.0.1",
        "--mqtt.port": str(config.mqtt.port),
        "--state_directory": str(tmp_path / "file/state"),
    }
    arguments = [word for option in options.items() for word in option]
    assert main(["--check", *arguments]) == 1
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()}
    for part, said in {
        "model": "absent.onnx: No such file",
        "microphone": "no microphone",
        "broker": "nothing listens there; check mqtt.port and that the broker runs",
        "disk": "Not a directory; alerts would be kept in memory only",
    }.items():
        assert lines[part].startswith("FAIL")
        assert said in lines[part]


def test_nothing_is_made_where_nothing_was(config: Config, tmp_path: Path) -> None:
    absent = msgspec.structs.replace(config, state_directory=str(tmp_path / "var/lib/rainwatchd"))
    found = findings(absent)["disk"]
    assert found.passed
    assert "will be made at the start" in found.said
    assert list(tmp_path.iterdir()) == []


def test_a_rule_that_the_model_lacks_fails_the_model(tiny_model: Path) -> None:
    wrong = Config(model=str(tiny_model), decision={"volcano": {"span_s": 1.0}})
    found = next(finding for finding in check(wrong) if finding.part == "model")
    assert not found.passed
    assert "no such alert" in found.said


def test_a_clock_that_was_never_set_is_said(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = time.gmtime(1_000_000)
    monkeypatch.setattr(time, "gmtime", lambda *_: boot)
    found = findings(config)["clock"]
    assert not found.passed
    assert "the clock shows 1970: it was never set" in found.said


def test_a_password_is_never_shown(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    options = {
        "--mqtt.port": str(broker.port),
        "--mqtt.user": "me",
        "--mqtt.password_file": str(secret),
        "--state_directory": str(tmp_path),
    }
    main(["--check", *(word for option in options.items() for word in option)])
    assert "hunter2" not in "".join(capsys.readouterr())


def test_the_password_is_found_where_the_unit_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", passwords, "me", "hunter2"], check=True)
    directory = tmp_path / "broker"
    directory.mkdir()
    with running(directory, f"password_file {passwords}") as broker:
        mqtt = MqttOptions(host="127.0.0.1", port=broker.port, user="me")
        config = Config(state_directory=str(tmp_path), mqtt=mqtt)
        refused = findings(config)["broker"]
        assert not refused.passed
        assert "mqtt.user is me, without a password" in refused.said
        credential = tmp_path / "credential"
        credential.write_text("hunter2\n")
        monkeypatch.setattr(check_module, "CREDENTIAL", credential)
        assert findings(config)["broker"].passed
        # As on the way to a broker elsewhere: not in the clear.
        exposed = Config(mqtt=MqttOptions(host="broker.example.org", user="me"))
        assert "plain text" in findings(exposed)["broker"].said
