"""The whole circle: alerts, a ranger's verdicts over a real broker, the card, a better model, its
thresholds, and the daemon that takes both into service."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from rainwatchd.audio.samples import Floats
from rainwatchd.cli import main
from tests.broker import Broker, Subscriber
from tests.circle import RANGER, Site, digest
from tests.fed_daemon import FedDaemon
from tests.sounds import HZ
from tests.training.commands.test_adapt import RATE_HZ, tones, tram, write_anchor, write_real
from training.__main__ import main as training
from training.adaptation.occasions import APART_S
from training.soundscape.snr import gain_for

TRAMS = 6


def quiet(seconds: float, seed: int) -> Floats:
    return (
        np.random.default_rng(seed).normal(0.0, 1e-3, round(seconds * RATE_HZ)).astype(np.float32)
    )


def night(path: Path, seed: int, saw_db: float | None = None, apart_s: float = 20.0) -> Path:
    """Trams, each of fifteen seconds, with quiet between them; with saws over them at a ratio."""
    parts = [quiet(12.0, seed)]
    for number in range(TRAMS):
        passing = np.tile(tram(seed + number), 3)
        if saw_db is not None:
            saw = np.tile(tones(HZ["chainsaw"], seed=seed + number), 3)
            passing += np.float32(gain_for(saw, passing, saw_db, RATE_HZ)) * saw
        parts.append(passing)
        parts.append(quiet(apart_s, seed + number))
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.concatenate(parts), RATE_HZ)
    return path


@pytest.mark.slow
def test_the_nuisance_is_silent_afterwards_and_the_saw_is_found(
    tiny_model: Path, tmp_path: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    model, serving = tmp_path / "tiny.onnx", tmp_path / "serving.onnx"
    for copy in (model, serving):
        copy.write_bytes(tiny_model.read_bytes())
    write_anchor(model)
    write_real(tmp_path / "real")
    ambience = tmp_path / "ambience"
    first = night(ambience / "20260513_010000.flac", 100, apart_s=APART_S + 5.0)
    saws = {
        saw_db: night(tmp_path / f"saws{saw_db:g}.flac", 500, saw_db) for saw_db in (0.0, -10.0)
    }

    daemon = FedDaemon(
        tmp_path,
        model=str(serving),
        mqtt={"port": broker.port, "backlog_rate_hz": 1000},
        clips={"min_free_bytes": 0, "publish": True},
    )
    try:
        with Subscriber(broker.port) as ranger:
            daemon.start()
            daemon.until_ready()
            site = Site(daemon, ranger)

            def found(saw_db: float) -> int:
                return sum(alert["class"] == "chainsaw" for alert in site.hear(saws[saw_db]))

            before = {saw_db: found(saw_db) for saw_db in saws}
            alerts = site.hear(first)
            assert [alert["class"] for alert in alerts] == ["engine"] * TRAMS
            _check_published(site, alerts)
            site.judge_false(alerts, "tram")
            verdicts = [label.last for label in site.labels().values() if label.last is not None]
            assert [(said.by, said.label) for said in verdicts] == [(RANGER, "tram")] * TRAMS

            adapted = tmp_path / "site.onnx"
            words = ["adapt", str(model), "--labels", str(site.card), "--out", str(adapted)]
            assert training([*words, "--real", str(tmp_path / "real")]) == 0, capsys.readouterr()
            assert f"{TRAMS} must raise no alert, 0 are real, of {TRAMS} occasions" in (
                capsys.readouterr().out
            )
            words = ["calibrate", str(ambience), "--model", str(adapted), "--jobs", "1"]
            assert main([*words, "--out", str(tmp_path / "calibration")]) == 0
            assert "promise: at most" in capsys.readouterr().out

            site.take_into_service(adapted, tmp_path / "calibration/decision.yaml")
            assert ranger.on("/status")[-1].json["model"] == "tiny+site 1"
            assert site.hear(night(tmp_path / "second.flac", 300)) == []
            assert site.last_good == digest(adapted)
            for saw_db, count in before.items():
                after = found(saw_db)
                assert after >= count
                assert after == TRAMS
            alone = [tones(HZ["chainsaw"], seed=number) for number in range(3)]
            saw = tmp_path / "saw.flac"
            soundfile.write(saw, np.concatenate([quiet(12.0, 7), *alone, quiet(20.0, 8)]), RATE_HZ)
            assert [alert["class"] for alert in site.hear(saw)] == ["chainsaw"]
            assert daemon.stop() == 0
            assert "Traceback" not in daemon.log
    finally:
        daemon.close()


def _check_published(site: Site, alerts: list[dict[str, Any]]) -> None:
    """Each alert's clip arrives, as sound."""
    for alert in alerts:
        topic = f"/clip/{alert['event_id']}"
        site.daemon.until(partial(site.ranger.on, topic), "a published clip")
        (message,) = site.ranger.on(topic)
        sound, rate_hz = soundfile.read(io.BytesIO(message.payload))
        assert sound.size / rate_hz == pytest.approx(10.0, abs=0.1)
