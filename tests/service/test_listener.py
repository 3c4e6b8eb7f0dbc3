"""From ring items to detections, and from one model to the next."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.clips.options import ClipOptions
from rainwatchd.config.options import Config
from rainwatchd.decision.events import Detection
from rainwatchd.errors import ConfigError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.service.health import Meter
from rainwatchd.service.listener import Listener
from tests.tiny_model import SPEC, write_tiny_model

RATE_HZ = 22_050


def sound(duration_s: float, saw_from_s: float, saw_to_s: float) -> np.ndarray:
    samples = np.random.default_rng(4).normal(0, 0.003, round(duration_s * RATE_HZ))
    first, last = round(saw_from_s * RATE_HZ), round(saw_to_s * RATE_HZ)
    samples[first:last] += 0.1 * np.sin(2 * np.pi * 1000.0 * np.arange(last - first) / RATE_HZ)
    return samples.astype(np.float32)


class Ear:
    """A ring, a meter, and one listener after another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ring = RingBuffer(15 * RATE_HZ)
        self.meter = Meter()
        self.said: list[str | None] = []
        self.position = self.seam = 0

    def listener(self, model: Path, **settings: object) -> Listener:
        config = msgspec.convert(
            {"state_directory": str(self.folder), "clips": {"save": False}, **settings}, Config
        )
        listener = Listener(
            config,
            Classifier(model),
            RATE_HZ,
            meter=self.meter,
            report_clips=lambda _: None,
            report_sound=self.said.append,
            publish_clip=lambda *_: None,
            correct=lambda _: None,
        )
        listener.start(self.ring, self.position, self.seam)
        return listener

    def hear(self, listener: Listener, samples: np.ndarray) -> list[Detection]:
        found: list[Detection] = []
        for at in range(0, samples.size, 4410):
            self.ring.write(samples[at : at + 4410])
            for item in self.ring:
                found += listener.hear(item)
                self.position = item.end
                if isinstance(item, Gap):
                    self.seam = item.end
        return found


@pytest.fixture
def ear(tmp_path: Path) -> Ear:
    return Ear(tmp_path)


def test_a_change_of_model_loses_no_window(ear: Ear, tiny_model: Path, tmp_path: Path) -> None:
    samples = sound(30, 20, 28)
    old = ear.listener(tiny_model)
    ear.hear(old, samples[: 12 * RATE_HZ])
    assert ear.meter.windows == 8
    # With another window: nothing of the old stream fits.
    spec = msgspec.structs.replace(SPEC, version="2", window_s=3.0)
    write_tiny_model(tmp_path / "newer.onnx", spec)
    new = ear.listener(tmp_path / "newer.onnx")
    found = ear.hear(new, samples[12 * RATE_HZ :])
    # As many as one model would have heard in the 30 s.
    assert ear.meter.windows == 26
    assert [detection.phase for detection in found] == ["onset"]
    assert found[0].model == "tiny 2"
    assert found[0].duration_s == pytest.approx(4.5, abs=2)


def test_what_lies_before_a_gap_does_not_reach_the_next_model(ear: Ear, tiny_model: Path) -> None:
    old = ear.listener(tiny_model)
    ear.hear(old, sound(8, 0, 8))
    ear.ring.skip(RATE_HZ)
    ear.hear(old, sound(1, 0, 0))
    before = ear.meter.windows
    new = ear.listener(tiny_model)
    ear.hear(new, sound(2, 0, 0))
    # One second since the gap and two new ones fill no window of four.
    assert ear.meter.windows == before
    ear.hear(new, sound(2, 0, 0))
    assert ear.meter.windows > before


def test_an_open_event_ends_with_its_listener(ear: Ear, tiny_model: Path) -> None:
    listener = ear.listener(tiny_model)
    assert [d.phase for d in ear.hear(listener, sound(12, 2, 12))] == ["onset"]
    ended = list(listener.finish())
    assert [(d.phase, d.end_reason) for d in ended] == [("offset", "stopped")]


def test_a_long_gap_ends_an_event(ear: Ear, tiny_model: Path) -> None:
    listener = ear.listener(tiny_model)
    ear.hear(listener, sound(12, 2, 12))
    ear.ring.skip(30 * RATE_HZ)
    ended = ear.hear(listener, sound(1, 0, 0))
    assert [(d.phase, d.end_reason) for d in ended] == [("offset", "gap")]
    assert ear.meter.gaps == 1


def test_what_the_model_cannot_do_is_refused_before_anything_starts(
    ear: Ear, tiny_model: Path
) -> None:
    with pytest.raises(ConfigError, match="step_s is 30; allowed with this model"):
        ear.listener(tiny_model, step_s=30)
    with pytest.raises(ConfigError, match="no such alert"):
        ear.listener(tiny_model, decision={"volcano": {"span_s": 1.0}})
    assert ear.meter.windows == 0


def test_a_detection_names_the_clip_that_is_saved(ear: Ear, tiny_model: Path) -> None:
    clips = msgspec.to_builtins(ClipOptions(min_free_bytes=0))
    listener = ear.listener(tiny_model, clips=clips)
    found = ear.hear(listener, sound(24, 5, 12))
    list(listener.finish())
    assert [d.phase for d in found] == ["onset", "offset"]
    assert found[0].clip == found[1].clip
    assert (ear.folder / "clips" / str(found[1].clip)).stat().st_size > 10_000


def test_a_microphone_torn_off_during_an_event_leaves_its_clip(ear: Ear, tiny_model: Path) -> None:
    clips = msgspec.to_builtins(ClipOptions(min_free_bytes=0))
    listener = ear.listener(tiny_model, clips=clips)
    (onset,) = ear.hear(listener, sound(12, 2, 12))
    ear.ring.skip(600 * RATE_HZ)
    ear.hear(listener, sound(10, 0, 0))
    list(listener.finish())

    samples, rate_hz = soundfile.read(ear.folder / "clips" / str(onset.clip))
    assert samples.size / rate_hz == pytest.approx(12.0, abs=0.5)
    assert np.abs(samples[-2 * rate_hz :]).max() > 0.05, "the saw is heard to the last"


def test_a_clock_that_is_set_during_an_event_neither_stretches_nor_moves_it(
    ear: Ear, tiny_model: Path
) -> None:
    listener = ear.listener(tiny_model)
    listener.anchor(0)
    found = ear.hear(listener, sound(10, 2, 10))
    listener.clock._wall = lambda: time.time() + 7200.0
    assert listener.anchor(ear.ring.written) == pytest.approx(7200.0, abs=1.0)
    found += ear.hear(listener, sound(14, 0, 4))
    onset, offset = found
    assert (onset.phase, offset.phase) == ("onset", "offset")
    assert (offset.event_id, offset.start) == (onset.event_id, onset.start)
    lasted = datetime.fromisoformat(str(offset.end)) - datetime.fromisoformat(str(offset.start))
    assert lasted.total_seconds() == pytest.approx(offset.duration_s, abs=0.002)
    calm = Ear(ear.folder)
    same = calm.listener(tiny_model)
    undisturbed = calm.hear(same, sound(10, 2, 10)) + calm.hear(same, sound(14, 0, 4))
    assert offset.duration_s == undisturbed[1].duration_s


def test_the_clock_is_tied_to_the_newest_sample(ear: Ear, tiny_model: Path) -> None:
    listener = ear.listener(tiny_model)
    list(listener.hear(Chunk(0, sound(10, 0, 0))))
    listener.anchor(10 * RATE_HZ)
    assert listener.clock.age_s(10 * SPEC.sample_rate_hz) == pytest.approx(0.0, abs=0.5)


def test_an_event_without_end_that_is_the_supplys_hum_is_told_once(
    ear: Ear, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rainwatchd.hearing.steady_tone.LOOKS", 5)
    listener = ear.listener(tiny_model)
    at = np.arange(80 * RATE_HZ) / RATE_HZ
    # What the stand-in takes for an engine lies at 150 Hz.
    hum = sum(0.05 / k * np.sin(2 * np.pi * 50 * k * at) for k in (3, 4, 6))
    noise = np.random.default_rng(4).normal(0, 0.001, at.size)
    found = ear.hear(listener, (hum + noise).astype(np.float32))
    assert [(d.label, d.phase) for d in found] == [("engine", "onset")]
    (said,) = ear.said
    assert str(said).startswith("steady tone on the microphone: hum of the mains, 50 Hz")
    ear.hear(listener, sound(20, 0, 0))
    assert ear.said == [said, None]
