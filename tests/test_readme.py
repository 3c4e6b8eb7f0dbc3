"""What the README says is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from rainwatchd import cli
from rainwatchd.alerts.topics import Topics
from rainwatchd.config import options as config
from rainwatchd.decision.events import Detection
from tests.broker import Broker, broker, until
from tests.detections import detection

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

__all__ = ["broker"]


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def test_the_subscriber_prints_an_alert(tmp_path: Path, broker: Broker) -> None:
    address = f'"127.0.0.1", {broker.port}'
    script = block("python").replace('"broker.example.org"', address)
    assert address in script
    output = tmp_path / "output"
    with output.open("w") as out:
        process = subprocess.Popen([sys.executable, "-u", "-c", script], stdout=out)
    try:
        alert = detection(1)
        topic, payload = Topics(alert.device_id).detection, msgspec.json.encode(alert)
        publish = ["mosquitto_pub", "-p", str(broker.port), "-V", "5", "-q", "1", "-t", topic, "-s"]

        def printed() -> bool:
            # Repeated, as the subscriber may not be there yet; it would keep a first message.
            subprocess.run(publish, input=payload, check=True)
            return alert.start in output.read_text()

        until(printed, "the alert to be printed")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert f"{alert.start} chainsaw {alert.device_id}" in output.read_text()


def test_the_configuration_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "rainwatchd.yaml"
    path.write_text(block("yaml"))
    assert config.load(path).mqtt.host == "broker.example.org"


def test_every_field_of_a_detection_is_explained() -> None:
    table = README[README.index("| field of a detection") :].split("\n\n")[0]
    explained = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()))
    assert explained == list(Detection.__struct_encode_fields__)


def test_every_option_exists(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    known |= {f"--{key}" for key in config.defaults()}
    lines = [line for line in README.splitlines() if "rainwatchd " in line]
    used = {option for line in lines for option in re.findall(r"(?<=\s)--[\w.-]+", line)}
    assert used
    assert used <= known


def test_every_file_and_make_target_exists() -> None:
    for path in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / path).exists(), path
    targets = set(re.findall(r"^([\w ]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {name for names in targets for name in names.split()}
    used = set(re.findall(r"^(?:sudo )?make ([a-z]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= used <= known
