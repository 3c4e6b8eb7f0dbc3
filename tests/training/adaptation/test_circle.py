"""The whole circle: alerts, a ranger's verdicts over a real broker, the card, a better model, its
thresholds, and the device that takes both into service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from rainwatchd.alerts.feedback import Feedback, FeedbackDesk
from rainwatchd.alerts.mqtt import MqttOptions
from rainwatchd.alerts.outbox import Outbox, OutboxOptions
from rainwatchd.alerts.topics import Topics
from rainwatchd.alerts.uplink import Uplink
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.cli import main
from rainwatchd.clips.labels import decode
from rainwatchd.config.options import Config, load
from rainwatchd.decision.events import Detection
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.service.health import Meter
from rainwatchd.service.listener import Listener
from rainwatchd.service.model_store import ModelStore
from tests.broker import Broker, Subscriber, until
from tests.sounds import HZ
from tests.training.commands.test_adapt import RATE_HZ, tones, tram, write_anchor, write_real
from training.__main__ import main as training
from training.adaptation.anchor import anchor_of
from training.soundscape.snr import gain_for

TRAMS = 6


def quiet(seconds: float, seed: int) -> Floats:
    return (
        np.random.default_rng(seed).normal(0.0, 1e-3, round(seconds * RATE_HZ)).astype(np.float32)
    )


def night(seed: int, saw_db: float | None = None) -> Floats:
    """Trams, each of fifteen seconds, with quiet between them; with saws over them at a ratio."""
    parts = [quiet(12.0, seed)]
    for number in range(TRAMS):
        passing = np.tile(tram(seed + number), 3)
        if saw_db is not None:
            saw = np.tile(tones(HZ["chainsaw"], seed=seed + number), 3)
            passing += np.float32(gain_for(saw, passing, saw_db, RATE_HZ)) * saw
        parts.append(passing)
        parts.append(quiet(20.0, seed + number))
    return np.concatenate(parts)


class Device:
    """What listens on the device, fed as fast as it can hear."""

    def __init__(
        self, folder: Path, config: Config, classifier: Classifier, uplink: Uplink
    ) -> None:
        self.ring = RingBuffer(15 * RATE_HZ)
        self.listener = Listener(
            msgspec.structs.replace(config, state_directory=str(folder), device_id="canopy-7"),
            classifier,
            RATE_HZ,
            meter=Meter(),
            report_clips=lambda _: None,
            report_sound=lambda _: None,
            publish_clip=lambda *_: None,
            correct=lambda _: None,
        )
        self.listener.start(self.ring, 0, 0)
        self._uplink = uplink

    def hear(self, sound: Floats, outbox: Outbox) -> list[Detection]:
        found: list[Detection] = []
        for first in range(0, sound.size, 4000):
            self.ring.write(sound[first : first + 4000])
            for item in self.ring:
                found += self.listener.hear(item)
        found += self.listener.finish()
        for detection in found:
            outbox.put(detection)
        self._uplink.wake()
        return [detection for detection in found if detection.phase == "onset"]


def saws_over_trams(device: Device, saw_db: float, outbox: Outbox) -> int:
    """Count the saws that are found over trams."""
    return sum(onset.label == "chainsaw" for onset in device.hear(night(500, saw_db), outbox))


@pytest.mark.slow
def test_the_nuisance_is_silent_afterwards_and_the_saw_is_found(
    tiny_model: Path, tmp_path: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    state, model = tmp_path / "state", tmp_path / "model.onnx"
    model.write_bytes(tiny_model.read_bytes())
    write_anchor(model)
    write_real(tmp_path / "real")
    topics = Topics("canopy-7")
    outbox = Outbox(state, OutboxOptions(), lambda _: None)
    options = MqttOptions(host="127.0.0.1", port=broker.port)
    uplink = Uplink(options, topics, outbox, b"", lambda _: None)
    serving = Classifier(model)
    device = Device(state, Config(), serving, uplink)

    desk = FeedbackDesk(device.listener.judge)
    uplink.subscribe(topics.feedback, desk.take, qos=1)
    with Subscriber(broker.port) as ranger:
        uplink.start()
        assert len(device.hear(night(100), outbox)) == TRAMS

        def onsets() -> list[dict[str, Any]]:
            return [one for one in ranger.detections if one["phase"] == "onset"]

        until(lambda: len(onsets()) == TRAMS, "all alerts")
        post = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        post.connect("127.0.0.1", broker.port)
        post.loop_start()
        for onset in onsets():
            feedback = Feedback(
                event_id=onset["event_id"],
                verdict="false",
                label="tram",
                by="Ana",
                at="2026-05-12T07:00:00.000Z",
            )
            topic = f"rainwatch/canopy-7/feedback/{onset['event_id']}"
            post.publish(topic, msgspec.json.encode(feedback), qos=1)
        until(lambda: desk.counts["taken"] == TRAMS, f"the verdicts; {desk.counts}")
        post.disconnect()
        post.loop_stop()
    uplink.stop(5.0, b"")
    outbox.close()

    card = state / "clips"
    verdicts = [decode(path.read_bytes()).last for path in card.glob("*.json")]
    assert [verdict.by for verdict in verdicts if verdict] == ["Ana"] * TRAMS

    adapted = tmp_path / "site.onnx"
    words = ["adapt", str(model), "--labels", str(card), "--out", str(adapted)]
    words += ["--real", str(tmp_path / "real")]
    assert training(words) == 0, capsys.readouterr()
    ambience = tmp_path / "ambience"
    ambience.mkdir()
    soundfile.write(ambience / "20260513_010000.wav", night(200), RATE_HZ)
    words = ["calibrate", str(ambience), "--model", str(adapted), "--jobs", "1"]
    assert main([*words, "--out", str(tmp_path / "calibration")]) == 0
    assert "promise: at most" in capsys.readouterr().out

    # Into service as any model: renamed over the old one, tried, and taken.
    adapted.replace(model)
    renewed = ModelStore(state).renew(model, serving)
    assert renewed is not None
    assert renewed.name == "tiny+site 1"
    config = load(tmp_path / "calibration/decision.yaml", {"model": str(model)})
    later = Outbox(tmp_path / "later", OutboxOptions(), lambda _: None)
    assert Device(tmp_path / "later", config, renewed, uplink).hear(night(300), later) == []
    for saw_db in (0.0, -10.0):
        before = saws_over_trams(Device(tmp_path / "old", Config(), serving, uplink), saw_db, later)
        after = saws_over_trams(Device(tmp_path / "new", config, renewed, uplink), saw_db, later)
        assert after >= before
        assert after == TRAMS
    saw_alone = [tones(HZ["chainsaw"], seed=number) for number in range(3)]
    saws = np.concatenate([quiet(12.0, 7), *saw_alone, quiet(20.0, 8)])
    (saw,) = Device(tmp_path / "last", config, renewed, uplink).hear(saws, later)
    assert saw.label == "chainsaw"
    later.close()
    assert anchor_of(model).exists()
