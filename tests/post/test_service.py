"""The post's unit and installation: as systemd sees them, and the post under the unit's sandbox."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.broker import Broker, until
from tests.detections import detection
from tests.post.running import Publisher, RunningPost
from tests.sandbox import USER_ID
from tests.service.test_service import MOST_EXPOSURE, analyze, install

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd/rainwatch-post.service"
INSTALL = ROOT / "systemd/install-post.sh"


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    program = "ExecStart=/opt/rainwatch-post/bin/rainwatch-post"
    text = UNIT.read_text()
    assert program in text
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(program, "ExecStart=/bin/true"))
    verified = analyze("verify", unit)
    assert (verified.stdout, verified.returncode) == ("", 0)


def test_the_unit_is_hardly_exposed() -> None:
    judged = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", UNIT)
    assert judged.returncode == 0, judged.stdout


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A throw-away root with an installation; others may enter it, as pytest's own may not be."""
    folder = Path(tempfile.mkdtemp(prefix="rainwatch-post-"))
    folder.chmod(0o755)
    # Compiling what is installed would take longer than all that is tested.
    with patch.dict(os.environ, {"PIP_NO_COMPILE": "1"}):
        assert "/etc/rainwatchd/rainwatch-post.yaml" in install("install", folder, INSTALL)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can build the sandbox")
def test_the_installed_post_works_under_the_restrictions_of_its_unit(
    root: Path, broker: Broker
) -> None:
    assert (root / "usr/local/bin/rainwatch-post").is_symlink()
    assert "rainwatch-post" in (root / "etc/passwd").read_text()
    post = RunningPost(root / "run", broker.port)
    post.state.mkdir(parents=True)
    os.chown(post.state, USER_ID, USER_ID)
    installed = root / "opt/rainwatch-post/bin"
    sandbox = (sys.executable, "-m", "tests.sandbox", str(UNIT), str(post.state))
    post.start(
        program=(*sandbox, str(installed / "python"), "-I", str(installed / "rainwatch-post"))
    )
    try:
        post.until_ready()
        assert post.get("/").status == 200
        with Publisher(broker.port) as devices:
            devices.say(f"rainwatch/canopy-7/clip/{detection(1).event_id}", b"OggS....")
            devices.detect(detection(1))
            until(lambda: [one["clip"] for one in post.events()] == [True], "the alert")
        assert post.process is not None
        status = Path(f"/proc/{post.process.pid}/status").read_text()
        assert f"Uid:\t{USER_ID}\t{USER_ID}" in status
        assert "Seccomp:\t2" in status
        for path in post.state.rglob("*"):
            assert path.stat().st_uid == USER_ID
            assert path.stat().st_mode & 0o077 == 0, path
        assert post.stop() == 0
    finally:
        post.close()


@pytest.mark.slow
def test_uninstalling_keeps_what_was_recorded(root: Path) -> None:
    recorded = root / "var/lib/rainwatch-post/post.db"
    recorded.parent.mkdir(parents=True, exist_ok=True)
    recorded.touch()
    assert "kept" in install("uninstall", root, INSTALL)
    assert recorded.exists()
    assert (root / "etc/rainwatchd/rainwatch-post.yaml").exists()
    assert not (root / "opt/rainwatch-post").exists()
    assert not (root / "usr/local/bin/rainwatch-post").is_symlink()
