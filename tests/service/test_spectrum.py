"""A column a second for who looks, and nothing for nobody."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest

from rainwatchd.alerts.topics import Topics
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.service.spectrum import BANDS, LiveSpectrum, Spectrum, bands
from tests.alerts.test_uplink import Device
from tests.broker import Broker, Subscriber, until
from tests.schemas import schema, validator
from tests.service.test_listener import Ear, sound


class Watch:
    """Seconds that pass when told to."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.mark.parametrize("n_mels", [40, 64, 128])
def test_bands_keep_the_shape_of_the_spectrum(n_mels: int) -> None:
    log_mel = np.full((n_mels, 16), -200.0, np.float32)
    log_mel[n_mels // 2 :] = -40.0
    packed = np.frombuffer(bands(log_mel), np.uint8)
    assert packed.size == BANDS
    assert (packed[:31] == 0).all()
    assert (packed[33:] == 120).all()


def test_schema_and_struct_name_the_same_fields() -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(Spectrum)]
    assert list(schema("spectrum")["properties"]) == schema("spectrum")["required"] == fields


def test_a_minute_is_shown_to_who_asks(tmp_path: Path, broker: Broker, tiny_model: Path) -> None:
    ear, watch = Ear(tmp_path), Watch()
    listener = ear.listener(tiny_model)
    assert Classifier(tiny_model).spec.mel == listener.newest_step()[2]
    ear.hear(listener, sound(6, 2, 6))
    canopy = Device(tmp_path / "state", port=broker.port)
    spectrum = LiveSpectrum(canopy.uplink, Topics("canopy-7"), watch)
    spectrum.allow()
    canopy.uplink.start()
    with Subscriber(broker.port) as subscriber:
        until(lambda: canopy.uplink.connected, "a connection")
        spectrum.show(listener)

        def asked() -> bool:
            # Repeated: the subscription may not be granted yet.
            topic = "rainwatch/canopy-7/look"
            publish = ["mosquitto_pub", "-p", str(broker.port), "-V", "5", "-t", topic, "-n"]
            subprocess.run(publish, check=True)
            spectrum.show(listener)
            return bool(subscriber.on("/spectrum"))

        until(asked, "a column")
        column = subscriber.on("/spectrum")[0]
        validator("spectrum").validate(column.json)
        assert len(msgspec.json.decode(column.payload, type=Spectrum).bands) == BANDS
        assert len(column.payload) < 400
        assert not column.retained
        watch.now_s += 61.0
        shown = len(subscriber.on("/spectrum"))
        spectrum.show(listener)
        canopy.uplink.stop(5.0, b"{}")
        until(lambda: subscriber.on("/status"), "the farewell")
        assert len(subscriber.on("/spectrum")) - shown <= 1
    canopy.outbox.close()
