"""What the README says is so."""

from __future__ import annotations

import argparse
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
from rainwatchd.replay.exports import command
from tests.broker import Broker, broker, until
from tests.detections import detection

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MESSAGES = (ROOT / "rainwatchd/alerts/README.md").read_text()
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "rainwatchd/alerts/README.md",
    "rainwatchd/post/README.md",
    "rainwatchd/replay/README.md",
    "rainwatchd/service/README.md",
    "training/README.md",
    "tests/benchmarks/README.md",
)

__all__ = ["broker"]


def block(page: str, language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert found
    return found[1]


def test_the_subscriber_prints_an_alert(tmp_path: Path, broker: Broker) -> None:
    address = f'"127.0.0.1", {broker.port}'
    script = block(MESSAGES, "python").replace('"broker.example.org"', address)
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
            return str(alert.start) in output.read_text()

        until(printed, "the alert to be printed")
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert f"{alert.start} chainsaw {alert.device_id}" in output.read_text()


def test_the_configuration_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "rainwatchd.yaml"
    path.write_text(block(README, "yaml"))
    assert config.load(path).mqtt.host == "broker.example.org"


def test_every_field_of_a_detection_is_explained() -> None:
    table = MESSAGES[MESSAGES.index("| field of a detection") :].split("\n\n")[0]
    explained = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()))
    assert explained == list(Detection.__struct_encode_fields__)


@pytest.mark.parametrize("page", PAGES)
def test_every_option_exists(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    known |= {f"--{key}" for key in config.defaults()}
    commands = re.findall(r"\brainwatchd (--[^`#\n]*)", (ROOT / page).read_text())
    used = {option for command in commands for option in re.findall(r"--[\w.-]+", command)}
    assert used or page != "README.md"
    assert used <= known


@pytest.mark.parametrize("page", PAGES)
def test_every_export_is_one(page: str) -> None:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    for words in re.findall(r"\brainwatchd export ([^`#\n]*)", (ROOT / page).read_text()):
        parser.parse_args(words.split())


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text())
    for path in links:
        assert path.startswith("https://") or (ROOT / page).parent.joinpath(path).exists(), path


def test_the_first_page_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([\w -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {name for names in targets for name in names.split()}
    used = set(re.findall(r"^(?:sudo )?make ([a-z-]+)", README, re.MULTILINE))
    assert {"demo", "test"} <= used <= known


def test_the_accuracy_is_what_was_measured() -> None:
    """The table is what ``python -m training evaluate`` prints at its end."""
    from training.commands.evaluate import read_rows
    from training.evaluation.tables import short

    models = ROOT / "rainwatchd" / "models"
    files = [
        models / "rainwatch.rows.json",
        models / "rainwatch-open.rows.json",
        ROOT / "training" / "baselines" / "results.json",
    ]
    if not files[0].exists():
        pytest.skip("the model that ships has not been measured by this evaluation")
    rows = [row for path in files if path.exists() for row in read_rows(path)]
    assert short(rows) in README
