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

from tests.broker import Broker, Subscriber
from tests.live import LiveDaemon
from tests.microphone import RATE_HZ, SoundServer
from tests.sandbox import USER_ID

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "systemd/rainwatchd.service"
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


@pytest.mark.slow
def test_install_keeps_a_configuration_and_uninstall_keeps_what_was_heard(tmp_path: Path) -> None:
    def run(step: str) -> str:
        return subprocess.run(
            [INSTALL, step],
            env=os.environ | {"DESTDIR": str(tmp_path), "PYTHON": sys.executable},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    config = tmp_path / "etc/rainwatchd/rainwatchd.yaml"
    said = run("install")
    assert "/etc/rainwatchd/rainwatchd.yaml" in said
    assert config.read_text() == (ROOT / "configs/rainwatchd.yaml").read_text()
    assert (tmp_path / "etc/systemd/system/rainwatchd.service").read_text() == UNIT.read_text()
    program = tmp_path / "opt/rainwatchd/bin/rainwatchd"
    assert program.read_text().startswith("#!/opt/rainwatchd/bin/python")
    python = tmp_path / "opt/rainwatchd/bin/python"
    version = subprocess.run(
        [python, "-I", program, "--help"], capture_output=True, text=True, check=True
    )
    assert "--check" in version.stdout
    passwd = (tmp_path / "etc/passwd").read_text()
    assert passwd.startswith("rainwatchd:")
    assert "audio:" in (tmp_path / "etc/group").read_text()

    config.write_text("device_id: mine\n")
    recorded = tmp_path / "var/lib/rainwatchd/outbox.sqlite"
    recorded.parent.mkdir(parents=True)
    recorded.touch()
    run("install")
    assert config.read_text() == "device_id: mine\n"

    assert "kept" in run("uninstall")
    assert config.exists()
    assert recorded.exists()
    assert not (tmp_path / "opt/rainwatchd").exists()
    assert not (tmp_path / "etc/systemd/system/rainwatchd.service").exists()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, as pytest's own may not be."""
    folder = Path(tempfile.mkdtemp(prefix="rainwatchd-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build the sandbox")
def test_the_daemon_works_under_the_restrictions_of_its_unit(
    open_folder: Path, broker: Broker, tiny_model: Path
) -> None:
    for name in ("pulse", "state"):
        (open_folder / name).mkdir()
    os.chown(open_folder / "state", USER_ID, USER_ID)
    model = open_folder / "model.onnx"
    shutil.copyfile(tiny_model, model)
    server = SoundServer(open_folder / "pulse")
    server.start()
    server.play_noise()
    environment = server.environment | {
        "HOME": str(open_folder / "state"),
        "PULSE_COOKIE": str(open_folder / "state/cookie"),
        "PYTHONPATH": str(ROOT),
    }
    daemon = LiveDaemon(open_folder, environment, model=str(model), mqtt={"port": broker.port})
    (open_folder / "notify").chmod(0o777)
    sandbox = (sys.executable, "-m", "tests.sandbox", str(UNIT), str(daemon.state))
    try:
        with Subscriber(broker.port) as subscriber:
            daemon.start(wrapper=sandbox)
            daemon.until_heartbeat()
            at = np.arange(15 * RATE_HZ) / RATE_HZ
            server.play(0.1 * np.sin(2 * np.pi * 1000.0 * at))
            daemon.until(lambda: subscriber.detections, "the onset")
            status = Path(f"/proc/{daemon.process.pid}/status").read_text()  # type: ignore[union-attr]
            assert f"Uid:\t{USER_ID}\t{USER_ID}" in status
            assert "Seccomp:\t2" in status
            assert "NoNewPrivs:\t1" in status
            assert "CapBnd:\t0000000000000000" in status
            assert daemon.stop() == 0
            assert subscriber.states == ["online", "offline"]
            clip = daemon.state / "clips" / subscriber.detections[0]["clip"]
            assert clip.stat().st_uid == USER_ID
            assert clip.stat().st_mode & 0o077 == 0
            assert "degraded" not in daemon.log
    finally:
        daemon.close()
        server.stop()
