"""What the journal is given: a priority on every line, tracebacks among the errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from rainwatchd.service.journal import prefixed, told
from tests.detections import detection
from tests.live import PROGRAM

UNCAUGHT = """
import logging, threading
from rainwatchd.service.journal import log_to_stderr, to_journal
log_to_stderr(journal=to_journal())
logging.warning("first\\nsecond")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
1 / 0
"""


def journalled(log: Path, *command: str) -> list[str]:
    """Run with stderr going to `log`, which systemd would have named as its journal's end."""
    with log.open("wb") as file:
        stat = os.fstat(file.fileno())
        stream = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        subprocess.run(
            [sys.executable, *command], stderr=file, env=os.environ | stream, check=False
        )
    return log.read_text().splitlines()


def test_the_line_that_says_why_it_did_not_start_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("mqtt:\n  prot: 1\n")
    lines = journalled(tmp_path / "log", "-c", PROGRAM, "--config", str(config))
    assert len(lines) == 1
    assert lines[0].startswith("<3>rainwatchd: ")
    assert "unknown key mqtt.prot" in lines[0]


def test_every_line_of_a_traceback_is_an_error(tmp_path: Path) -> None:
    lines = journalled(tmp_path / "log", "-c", UNCAUGHT)
    assert lines[:2] == ["<4>first", "<4>second"]
    assert all(line.startswith("<3>") for line in lines[2:])
    assert sum("ZeroDivisionError" in line for line in lines) == 2


def test_a_terminal_is_no_journal_though_the_variable_was_inherited(tmp_path: Path) -> None:
    config = tmp_path / "x.yaml"
    config.write_text("mqtt:\n  prot: 1\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--config", str(config)],
        env=os.environ | {"JOURNAL_STREAM": "1:2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    assert done.stderr.startswith("rainwatchd: ")


@pytest.mark.parametrize(("text", "said"), [("", "<6>"), ("a\nb", "<6>a\n<6>b")])
def test_a_line_is_an_entry(text: str, said: str) -> None:
    assert prefixed(text, 6) == said


def test_an_event_is_told_with_its_clip_or_without() -> None:
    onset = detection(1)
    head = f"chainsaw onset, peak 0.95, -32 dBFS, event {onset.event_id}, "
    assert told(onset) == f"{head}no clip"
    assert told(msgspec.structs.replace(onset, clip="x.flac")) == f"{head}clip x.flac"
