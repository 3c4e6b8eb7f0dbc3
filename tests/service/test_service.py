"""The unit and the installation: as systemd sees them, and the daemon under the unit's sandbox."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.broker import Broker, Subscriber, until
from tests.live import UNIT, LiveDaemon
from tests.microphone import RATE_HZ, SoundServer
from tests.sandbox import USER_ID

ROOT = Path(__file__).parents[2]
INSTALL = ROOT / "systemd/install.sh"
MOST_EXPOSURE = 15
"""Tenths, of systemd-analyze's 0 (safe) to 10 (exposed)."""


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    # An unknown key leaves the exit status at 0: only silence means that all is well.
    program = "ExecStart=/opt/rainwatchd/bin/rainwatchd"
    text = UNIT.read_text()
    assert program in text
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(program, "ExecStart=/bin/true"))
    verified = analyze("verify", unit)
    assert (verified.stdout, verified.returncode) == ("", 0)


def test_the_unit_is_hardly_exposed() -> None:
    judged = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", UNIT)
    assert judged.returncode == 0, judged.stdout


def python() -> str:
    """The system's Python where it can make environments: other users may run it."""
    for candidate in ("/usr/bin/python3", sys.executable):
        trial = [candidate, "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"]
        if Path(candidate).exists() and subprocess.run(trial, check=False).returncode == 0:
            return candidate
    raise RuntimeError("no Python here can make a virtual environment")


def run_install(
    step: str, root: Path, script: Path = INSTALL, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, step],
        env=os.environ | {"DESTDIR": str(root), "PYTHON": python()} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def install(step: str, root: Path, script: Path = INSTALL) -> str:
    done = run_install(step, root, script)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_32_bit_system_is_refused_in_one_line(tmp_path: Path) -> None:
    fake = tmp_path / "bin/getconf"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 32\n")
    fake.chmod(0o755)
    refused = run_install("install", tmp_path, PATH=f"{fake.parent}:{os.environ['PATH']}")
    assert refused.returncode == 1
    assert len(refused.stdout.splitlines()) == 1
    assert "32-bit" in refused.stdout
    assert not (tmp_path / "opt").exists()


def test_a_cold_slow_board_has_time_to_start() -> None:
    assert "TimeoutStartSec=180\n" in UNIT.read_text()


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A throw-away root with an installation; others may enter it, as pytest's own may not be."""
    folder = Path(tempfile.mkdtemp(prefix="rainwatchd-"))
    folder.chmod(0o755)
    assert "/etc/rainwatchd/rainwatchd.yaml" in install("install", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
def test_the_installation_is_whole(root: Path) -> None:
    config = root / "etc/rainwatchd/rainwatchd.yaml"
    assert config.read_text() == (ROOT / "configs/rainwatchd.yaml").read_text()
    assert (root / "etc/systemd/system/rainwatchd.service").read_text() == UNIT.read_text()
    program = root / "opt/rainwatchd/bin/rainwatchd"
    assert program.read_text().startswith("#!/opt/rainwatchd/bin/python")
    link = root / "usr/local/bin/rainwatchd"
    assert link.readlink() == Path("/opt/rainwatchd/bin/rainwatchd")
    assert "audio:" in (root / "etc/group").read_text()
    assert ":/var/lib/rainwatchd:/usr/sbin/nologin" in (root / "etc/passwd").read_text()


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build the sandbox")
def test_the_installed_daemon_works_under_the_restrictions_of_its_unit(
    root: Path, broker: Broker, tiny_model: Path
) -> None:
    folder = root / "run"
    for name in ("pulse", "state"):
        (folder / name).mkdir(parents=True)
    os.chown(folder / "state", USER_ID, USER_ID)
    model = folder / "model.onnx"
    shutil.copyfile(tiny_model, model)
    server = SoundServer(folder / "pulse")
    server.start()
    server.play_noise()
    environment = server.environment | {
        "HOME": str(folder / "state"),
        "PULSE_COOKIE": str(folder / "state/cookie"),
    }
    daemon = LiveDaemon(folder, environment, model=str(model), mqtt={"port": broker.port})
    (folder / "notify").chmod(0o777)
    sandbox = (sys.executable, "-m", "tests.sandbox", str(UNIT), str(daemon.state))
    installed = root / "opt/rainwatchd/bin"
    try:
        with Subscriber(broker.port) as subscriber:
            daemon.start(
                program=(*sandbox, str(installed / "python"), "-I", str(installed / "rainwatchd"))
            )
            daemon.until(lambda: daemon.heartbeats, "the first window", 60)
            at = np.arange(15 * RATE_HZ) / RATE_HZ
            server.play(0.1 * np.sin(2 * np.pi * 1000.0 * at))
            daemon.until(lambda: subscriber.detections, "the onset", 60)
            assert daemon.process is not None
            status = Path(f"/proc/{daemon.process.pid}/status").read_text()
            assert f"Uid:\t{USER_ID}\t{USER_ID}" in status
            assert "Seccomp:\t2" in status
            assert "NoNewPrivs:\t1" in status
            assert "CapBnd:\t0000000000000000" in status
            assert daemon.stop() == 0
            until(lambda: len(subscriber.states) == 2, "the farewell")
            assert subscriber.states == ["online", "offline"]
            clip = daemon.state / "clips" / subscriber.detections[0]["clip"]
            assert clip.stat().st_uid == USER_ID
            assert clip.stat().st_mode & 0o077 == 0
    finally:
        daemon.close()
        server.stop()


@pytest.mark.slow
def test_reinstalling_keeps_the_configuration_and_uninstalling_what_was_heard(root: Path) -> None:
    config = root / "etc/rainwatchd/rainwatchd.yaml"
    config.write_text("device_id: mine\n")
    recorded = root / "var/lib/rainwatchd/outbox.sqlite"
    recorded.parent.mkdir(parents=True)
    recorded.touch()
    install("install", root)
    assert config.read_text() == "device_id: mine\n"

    credential = root / "etc/credstore/rainwatchd-mqtt-password"
    credential.parent.mkdir()
    credential.touch()

    assert "password, /etc/credstore/rainwatchd-mqtt-password" in install("uninstall", root)
    assert credential.exists()
    assert not (root / "usr/local/bin/rainwatchd").is_symlink()
    assert config.exists()
    assert recorded.exists()
    assert not (root / "opt/rainwatchd").exists()
    assert not (root / "etc/systemd/system/rainwatchd.service").exists()
