"""``--check``: tries everything that the daemon needs, and says how to mend what is wrong."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from rainwatchd.alerts.broker.mqtt import MqttOptions
from rainwatchd.alerts.broker.session import Session
from rainwatchd.alerts.topics import Topics
from rainwatchd.audio.capture.devices import choose, some_devices
from rainwatchd.audio.capture.microphone import Microphone
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.config.options import Config
from rainwatchd.config.trials import Finding, tried
from rainwatchd.decision.clock import kernel_synced
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.analysis import Analysis, level_dbfs
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.log_mel import FLOOR_DB
from rainwatchd.service.health import disk_free_bytes

LISTEN_S = 2.0
"""Sound that the microphone is tried with."""

MIN_FREE_BYTES = 50 << 20
"""Below it the outbox and the system's own log get into trouble."""

CREDENTIAL = Path("/etc/credstore/rainwatchd-mqtt-password")
"""The unit's ``LoadCredential=``; readable by root."""

_ABSURD_YEAR = 2025
"""A clock that shows an earlier one was never set: the program is younger."""


def check(config: Config) -> Iterator[Finding]:
    """Try part after part; none keeps the others from being tried."""
    trials: dict[str, Callable[[Config], str]] = {
        "model": _model,
        "microphone": _microphone,
        "broker": _broker,
        "disk": _disk,
        "clock": _clock,
    }
    return tried(config, f"device {config.identity}", trials, 10)


def _model(config: Config) -> str:
    classifier = Classifier(config.model_path)
    rules = config.rules(classifier.spec)
    # The step is checked against the model where windows are cut.
    Analysis(classifier, classifier.spec.sample_rate_hz, config.step_s)
    tested = "self-test passed" if classifier.spec.self_test else "it brings no self-test"
    licence = classifier.spec.licence or "licence not stated"
    return f"{classifier.name} ({licence}), {tested}, alerts on {', '.join(rules)}"


def _microphone(config: Config) -> str:
    device = choose(config.audio.device, some_devices())
    microphone = Microphone(device.index, config.audio.channel_number)
    microphone.open()
    try:
        ring = RingBuffer(round(2 * LISTEN_S * microphone.rate_hz))
        until_s = time.monotonic() + LISTEN_S + 3.0
        while ring.written < LISTEN_S * microphone.rate_hz and time.monotonic() < until_s:
            microphone.fill(ring, 0.2)
        samples = ring.copy(0, ring.written).samples
    finally:
        microphone.close()
    if not samples.size:
        raise AudioError(f"{device}: opens but delivers nothing; is something else using it?")
    level = level_dbfs(samples)
    if level <= FLOOR_DB:
        raise AudioError(f"{device}: nothing but zeros; is it muted, or is its cable broken?")
    return f"{device} at {microphone.rate_hz} Hz, {level:.0f} dBFS"


def _broker(config: Config) -> str:
    host, port = config.mqtt.address
    # A name of its own: the broker would throw out a running daemon of the same name.
    name = f"{config.identity}-check"
    status = Topics(name).status
    session = Session(_with_credential(config.mqtt), name, (status, b""))
    wake_fd = os.eventfd(0)
    try:
        session.open()
        while not session.connected:
            session.poll(wake_fd, 1.0)
    finally:
        session.close(take_leave=True)
        os.close(wake_fd)
    encrypted = "over TLS" if config.mqtt.tls else "unencrypted"
    return f"{host}:{port} answers, {encrypted}"


def _with_credential(options: MqttOptions) -> MqttOptions:
    """Read systemd's credential where it is kept, when systemd hasn't handed it over."""
    handed_over = "CREDENTIALS_DIRECTORY" in os.environ
    if handed_over or options.password_file or not os.access(CREDENTIAL, os.R_OK):
        return options
    try:
        return msgspec.structs.replace(options, password_file=str(CREDENTIAL))
    except ValueError as error:
        raise RainwatchError(str(error)) from error


def _disk(config: Config) -> str:
    directory = Path(config.state_directory)
    # What isn't there is not made: it would belong to whoever tries, and not to the daemon.
    place = next(path for path in (directory, *directory.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"rainwatchd")
            os.fsync(file.fileno())
    except OSError as error:
        raise RainwatchError(
            f"{directory}: {error.strerror}; alerts would be kept in memory only. Run --check as "
            "the daemon's user, or mend state_directory"
        ) from error
    free_bytes = disk_free_bytes(directory) or 0
    if free_bytes < MIN_FREE_BYTES:
        raise RainwatchError(f"{directory}: {free_bytes >> 20} MiB free; make room")
    made = "can be written" if place == directory else "will be made at the start"
    return f"{directory} {made}, {free_bytes >> 20} MiB free"


def _clock(_config: Config) -> str:
    year = time.gmtime().tm_year
    if year < _ABSURD_YEAR:
        raise RainwatchError(
            f"the clock shows {year}: it was never set; install an NTP client or a clock chip"
        )
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if kernel_synced():
        return f"{now}, synchronised"
    return f"{now}, not synchronised yet: detections say clock_synced false until it is"
