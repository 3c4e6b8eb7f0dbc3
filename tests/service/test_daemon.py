"""The whole daemon, live: real sound server, real broker, real signals."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import soxr

from rainwatchd.alerts.broker.mqtt import MqttOptions
from rainwatchd.alerts.feedback import Feedback
from rainwatchd.audio.capture import supervision
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.cli import main
from rainwatchd.clips.labels import decode
from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError
from rainwatchd.hearing.model_file import PACKAGED, read_model
from rainwatchd.service.daemon import Daemon, listen
from rainwatchd.service.health import Meter
from rainwatchd.service.signals import Signals
from rainwatchd.service.systemd_notify import SystemdNotify
from tests.broker import Broker, Subscriber, free_port, until
from tests.live import LiveDaemon
from tests.microphone import RATE_HZ, SoundServer
from tests.tiny_model import SPEC, self_test, write_tiny_model

pytestmark = pytest.mark.slow

RECORDINGS = Path(__file__).parents[1] / "recordings"
CHAINSAW = RECORDINGS / "chainsaw/esc10_008_1-64398-A.ogg"
FOREST = RECORDINGS / "background/bird_whizz_forest_birds.ogg"

Start = Callable[..., LiveDaemon]


@pytest.fixture
def server(sound_server: SoundServer) -> SoundServer:
    return sound_server


@pytest.fixture
def start(tmp_path: Path, server: SoundServer, broker: Broker, tiny_model: Path) -> Iterator[Start]:
    model = tmp_path / "model.onnx"
    model.write_bytes(tiny_model.read_bytes())
    daemons = []

    def start(*arguments: str, **settings: object) -> LiveDaemon:
        mqtt = {"port": broker.port, "backoff_max_s": 1}
        daemon = LiveDaemon(
            tmp_path, server.environment, **{"model": str(model), "mqtt": mqtt, **settings}
        )
        daemons.append(daemon)
        daemon.start(*arguments)
        return daemon

    yield start
    for daemon in daemons:
        daemon.close()


@pytest.fixture
def listening(start: Start, server: SoundServer) -> LiveDaemon:
    """A daemon that hears noise and has analysed some."""
    server.play_noise()
    daemon = start()
    daemon.until_heartbeat()
    return daemon


@pytest.fixture
def subscriber(broker: Broker) -> Iterator[Subscriber]:
    with Subscriber(broker.port) as subscriber:
        yield subscriber


def scene() -> np.ndarray:
    """Half a minute of faint noise with a saw (for the tiny model) from 6 to 16 s."""
    samples = np.random.default_rng(2).normal(0, 0.003, 32 * RATE_HZ)
    at = np.arange(10 * RATE_HZ) / RATE_HZ
    samples[6 * RATE_HZ : 16 * RATE_HZ] += 0.1 * np.sin(2 * np.pi * 1000.0 * at)
    return samples


def at_sink_rate(path: Path) -> np.ndarray:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ))


def reasons(subscriber: Subscriber) -> list[str]:
    states = subscriber.on("/status")
    return [] if not states else [str(reason) for reason in states[-1].json["reasons"]]


def test_a_recording_played_into_the_microphone_gives_what_its_replay_gives(
    tmp_path: Path,
    start: Start,
    server: SoundServer,
    subscriber: Subscriber,
    capsys: pytest.CaptureFixture[str],
) -> None:
    soundfile.write(tmp_path / "scene.wav", scene(), RATE_HZ, "PCM_16")
    wav, model = str(tmp_path / "scene.wav"), str(tmp_path / "model.onnx")
    assert main(["--model", model, "--json", "--phases", "--file", wav]) == 0
    replayed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [found["phase"] for found in replayed] == ["onset", "offset"]

    daemon = start("--verbose")
    daemon.until_ready()
    server.play(scene())
    daemon.until(lambda: len(subscriber.detections) == 2, "onset and offset", 60)
    assert main(["live", "--once", "--json", "--state_directory", str(daemon.state)]) == 0
    glimpse = json.loads(capsys.readouterr().out)
    assert (glimpse["device_id"], glimpse["state"]) == ("canopy-7", "online")
    assert main(["events", "--json", "--state_directory", str(daemon.state)]) == 0
    (remembered,) = capsys.readouterr().out.splitlines()
    assert json.loads(remembered)["event_id"] == subscriber.detections[0]["event_id"]
    live = subscriber.detections
    for found, heard in zip(replayed, live, strict=True):
        assert (heard["phase"], heard["class"]) == (found["phase"], found["class"])
        assert heard["duration_s"] == pytest.approx(found["duration_s"], abs=SPEC.step_s)
        assert heard["peak_score"] == pytest.approx(found["peak_score"], abs=0.05)
    assert "x real time" in daemon.log

    assert daemon.stop() == 0
    assert (tmp_path / "state/clips" / live[1]["clip"]).exists()
    assert daemon.messages[-1] == "STOPPING=1"
    assert daemon.messages[:2] == ["STATUS=loading", "STATUS=loading the model"]
    assert daemon.messages[2].startswith("STATUS=online")
    first = daemon.log.splitlines()[0]
    assert first.startswith("rainwatchd 0.")
    assert "model tiny 1 sha256:" in first
    assert "device canopy-7, topic rainwatch/canopy-7/#, microphone the default" in first
    assert f"peak {live[0]['peak_score']:.2f}" in daemon.log
    assert f"event {live[0]['event_id']}" in daemon.log
    assert "Expression" not in daemon.log
    until(lambda: len(subscriber.states) == 2, "the farewell")
    assert subscriber.states == ["online", "offline"]


@pytest.mark.skipif(not PACKAGED.exists(), reason="the shipped model is not there")
def test_a_real_chainsaw_is_heard_live_as_in_its_replay(
    tmp_path: Path,
    start: Start,
    server: SoundServer,
    subscriber: Subscriber,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saw, forest = at_sink_rate(CHAINSAW), at_sink_rate(FOREST)
    bed = np.resize(forest, 50 * RATE_HZ)
    samples = np.concatenate((bed[: 8 * RATE_HZ], np.tile(saw, 3), bed))
    wav = tmp_path / "saw.wav"
    soundfile.write(wav, samples, RATE_HZ, "PCM_16")
    assert main(["--model", str(PACKAGED), "--json", "--phases", "--file", str(wav)]) == 0
    replayed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert replayed[0]["class"] == "chainsaw"

    daemon = start(model=str(PACKAGED))
    daemon.until_ready()
    server.play(samples)
    daemon.until(lambda: len(subscriber.detections) == len(replayed), "every phase", 120)
    step_s = read_model(PACKAGED).spec.step_s
    for found, heard in zip(replayed, subscriber.detections, strict=True):
        assert (heard["phase"], heard["class"]) == (found["phase"], found["class"])
        assert heard["duration_s"] == pytest.approx(found["duration_s"], abs=step_s)
    assert daemon.stop() == 0


def test_an_open_event_is_closed_and_delivered_when_the_daemon_stops(
    start: Start, server: SoundServer, subscriber: Subscriber
) -> None:
    daemon = start()
    daemon.until_ready()
    server.play(np.tile(scene()[6 * RATE_HZ : 16 * RATE_HZ], 4))
    daemon.until(lambda: subscriber.detections, "the onset")
    assert daemon.stop() == 0
    until(lambda: len(subscriber.detections) == 2, "the offset")
    assert [found["phase"] for found in subscriber.detections] == ["onset", "offset"]
    assert subscriber.detections[1]["end_reason"] == "stopped"


def test_a_verdict_on_an_event_lies_beside_its_clip(
    start: Start, server: SoundServer, subscriber: Subscriber, broker: Broker
) -> None:
    daemon = start(clips={"min_free_bytes": 0})
    daemon.until_ready()
    server.play(np.tile(scene()[6 * RATE_HZ : 16 * RATE_HZ], 4))
    daemon.until(lambda: subscriber.detections, "the onset")
    event_id = subscriber.detections[0]["event_id"]
    feedback = Feedback(
        event_id=event_id, verdict="false", label="tram", by="Ana", at="2026-05-12T07:00:00.000Z"
    )
    topic = f"rainwatch/canopy-7/feedback/{event_id}"
    subscriber.publish(topic, b"{", 1)
    subscriber.publish(topic, msgspec.json.encode(feedback), 1)
    daemon.until(lambda: "is false, says Ana" in daemon.log, "the verdict")
    assert daemon.stop() == 0
    (path,) = (daemon.state / "clips").glob("*.json")
    label = decode(path.read_bytes())
    assert label.event_id == event_id
    assert label.last is not None
    assert (label.last.verdict, label.last.label) == ("false", "tram")
    assert daemon.log.count("no verdict") == 1
    assert "Traceback" not in daemon.log


def test_an_event_open_when_the_daemon_is_killed_is_delivered_and_ended_at_the_next_start(
    start: Start, server: SoundServer, broker: Broker, subscriber: Subscriber
) -> None:
    daemon = start()
    daemon.until_ready()
    broker.kill()
    subscriber.unsubscribed()
    server.play(np.tile(scene()[6 * RATE_HZ : 16 * RATE_HZ], 4))
    daemon.until(lambda: "chainsaw onset" in daemon.log, "the onset")
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    broker.start()
    subscriber.await_subscription()

    daemon.start()
    daemon.until(lambda: len(subscriber.detections) >= 2, "onset and offset")
    onset, offset = [found for found in subscriber.detections if found["historical"]]
    assert (onset["phase"], offset["phase"]) == ("onset", "offset")
    assert onset["event_id"] == offset["event_id"]
    assert offset["end_reason"] == "interrupted"
    assert offset["end"] > offset["start"]


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_the_loss_of_the_sound_server_is_told_and_survived(
    listening: LiveDaemon, server: SoundServer, subscriber: Subscriber, fault: str
) -> None:
    daemon = listening
    struck_s = time.monotonic()
    if fault == "kill":
        server.kill()
    else:
        server.freeze()
    daemon.until(lambda: reasons(subscriber), "degraded")
    assert time.monotonic() - struck_s < 5 + 1
    assert reasons(subscriber)[0].startswith("microphone: ")
    if fault == "kill":
        server.start()
    else:
        server.thaw()
    server.play_noise()

    def online() -> bool:
        # PulseAudio's client may hang for ever once its server was killed: then the process ends
        # by itself and systemd starts another.
        assert daemon.process is not None
        if daemon.process.poll() is not None:
            assert daemon.process.poll() == 1
            daemon.start()
        return subscriber.states[-1] == "online" and reasons(subscriber) == []

    daemon.until(online, "online again", 60)
    daemon.until_heartbeat()
    if daemon.messages.count("READY=1") == 1:
        assert daemon.longest_pause_s < 15
    assert daemon.stop() == 0


def test_a_board_that_held_everything_up_does_not_blame_the_microphone(
    listening: LiveDaemon,
) -> None:
    listening.signal(signal.SIGSTOP)
    time.sleep(supervision.STALL_S + 0.5)
    listening.signal(signal.SIGCONT)
    for _ in range(3):
        listening.until_heartbeat()
    assert listening.log.count("listening to microphone") == 1
    assert "claims to run" not in listening.log
    assert listening.stop() == 0


def test_a_sound_server_that_stays_frozen_ends_the_process_for_systemd(
    listening: LiveDaemon, server: SoundServer, subscriber: Subscriber
) -> None:
    server.freeze()
    assert listening.wait(40) == 1
    assert "the sound server doesn't answer" in listening.log
    listening.until(lambda: subscriber.states[-1] == "offline", "offline")
    assert reasons(subscriber)[0].startswith("microphone: ")


def test_without_a_microphone_it_starts_and_says_so(
    start: Start, server: SoundServer, subscriber: Subscriber, capsys: pytest.CaptureFixture[str]
) -> None:
    server.kill()
    daemon = start()
    daemon.until_ready()
    daemon.until(lambda: reasons(subscriber), "degraded")
    assert reasons(subscriber)[0].startswith("microphone: ")
    assert main(["live", "--once", "--json", "--state_directory", str(daemon.state)]) == 0
    glimpse = json.loads(capsys.readouterr().out)
    assert (glimpse["state"], glimpse["level_dbfs"], glimpse["scores"]) == ("degraded", None, {})
    daemon.until_heartbeat()
    server.start()
    server.play_noise()
    daemon.until(lambda: subscriber.states[-1] == "online", "online", 60)
    assert daemon.stop() == 0


def test_a_bad_configuration_ends_with_78_and_starts_nothing(
    start: Start, subscriber: Subscriber
) -> None:
    daemon = start(mqtt={"prot": 1})
    assert daemon.wait() == 78
    assert "unknown key mqtt.prot; did you mean mqtt.port?" in daemon.log
    assert "Traceback" not in daemon.log
    assert daemon.messages == []
    assert not daemon.state.exists()
    assert subscriber.received == []


def test_a_certificate_that_is_not_there_is_told_by_its_line_and_listening_goes_on(
    tmp_path: Path, start: Start, server: SoundServer
) -> None:
    server.play_noise()
    daemon = start(mqtt={"tls": True, "tls_ca_file": str(tmp_path / "ca.crt")})
    daemon.until_heartbeat()
    line = 1 + daemon.config.read_text().splitlines().index(f"  tls_ca_file: {tmp_path}/ca.crt")
    assert f"rainwatchd.yaml:{line}: mqtt.tls_ca_file {tmp_path}/ca.crt: No such" in daemon.log
    assert daemon.stop() == 0


def test_a_rule_for_a_class_that_the_model_lacks_is_a_bad_configuration(start: Start) -> None:
    daemon = start(decision={"volcano": {"on_threshold": 0.5}})
    assert daemon.wait() == 78
    assert "decision.volcano: tiny has no such alert" in daemon.log


def test_reload_takes_a_good_configuration_and_refuses_a_bad_one(
    listening: LiveDaemon, server: SoundServer, subscriber: Subscriber
) -> None:
    daemon = listening
    good = daemon.config.read_text()
    daemon.config.write_text("device_id: canopy-7\nlat: north\n")
    daemon.reload()
    daemon.until(lambda: reasons(subscriber), "the refusal")
    assert reasons(subscriber)[0].startswith("reload: refused: ")
    assert "rainwatchd.yaml:2: lat is 'north'; allowed: a number" in reasons(subscriber)[0]
    daemon.until_heartbeat()

    daemon.config.write_text(good + "lat: -3.1\nlon: -60.0\n")
    daemon.reload()
    daemon.until(lambda: not reasons(subscriber), "online")
    at = np.arange(20 * RATE_HZ) / RATE_HZ
    server.play(0.1 * np.sin(2 * np.pi * 1000.0 * at))
    daemon.until(lambda: subscriber.detections, "the onset")
    assert subscriber.detections[0]["lat"] == -3.1
    assert daemon.stop() == 0


def test_reload_moves_to_another_name_on_the_broker(
    start: Start, server: SoundServer, subscriber: Subscriber
) -> None:
    server.play_noise()
    daemon = start()
    daemon.until(lambda: subscriber.states == ["online"], "online")
    daemon.configure(device_id="canopy-8")
    daemon.reload()
    daemon.until(lambda: len(subscriber.states) >= 3, "both names' states")
    last = {message.topic: message.json["state"] for message in subscriber.on("/status")}
    assert last == {"rainwatch/canopy-7/status": "offline", "rainwatch/canopy-8/status": "online"}
    # systemd gives 20 s to whoever says that it is stopping, and then kills it.
    assert "STOPPING=1" not in daemon.messages
    states = [message.split("\n")[0] for message in daemon.messages]
    begun = states.index("RELOADING=1")
    assert "STATUS=loading the model" in states[begun : states.index("READY=1", begun)]
    assert daemon.stop() == 0
    assert "STOPPING=1" in daemon.messages


def test_a_model_is_replaced_while_listening_and_a_damaged_one_refused(
    tmp_path: Path, listening: LiveDaemon, subscriber: Subscriber
) -> None:
    daemon = listening
    model, digests = tmp_path / "model.onnx", tmp_path / "model.onnx.sha256"

    newer = tmp_path / "newer.onnx"
    spec = msgspec.structs.replace(SPEC, version="2", self_test=self_test())
    write_tiny_model(newer, spec)
    digest = sha256(newer.read_bytes()).hexdigest()
    newer.replace(model)
    digests.write_text(f"{'0' * 64}  model.onnx\n")
    daemon.reload()
    daemon.until(lambda: reasons(subscriber), "the refusal")
    assert "was it copied whole?" in reasons(subscriber)[0]
    assert subscriber.on("/status")[-1].json["model"] == "tiny 1"

    digests.write_text(f"{digest}  model.onnx\n")
    daemon.reload()
    daemon.until(lambda: not reasons(subscriber), "online")
    status = subscriber.on("/status")[-1].json
    assert (status["model"], status["model_digest"]) == ("tiny 2", digest)

    wrong = msgspec.structs.replace(self_test(), scores=[0.25] * 4)
    write_tiny_model(newer, msgspec.structs.replace(SPEC, version="3", self_test=wrong))
    newer.replace(model)
    digests.unlink()
    daemon.reload()
    daemon.until(lambda: reasons(subscriber), "the refusal")
    assert "self_test: scores are off" in reasons(subscriber)[0]
    assert subscriber.on("/status")[-1].json["model"] == "tiny 2"
    daemon.until_heartbeat()
    assert daemon.stop() == 0


class PlannedSource:
    """In place of the microphone: for what no device can be told to do."""

    rate_hz = SPEC.sample_rate_hz
    channels = 1
    stuck = False
    drops = 0

    def __init__(
        self, plan: Callable[[int], None], *, recovering: bool = False, delivers: bool = True
    ) -> None:
        self.recovering = recovering
        self._plan = plan
        self._delivers = delivers

    def open(self) -> None:
        self._calls = 0

    def close(self) -> None:
        pass

    def fill(self, ring: RingBuffer, _timeout_s: float) -> bool:
        """Deliver a second of sound, then go on with the plan."""
        if self._delivers:
            ring.write(np.full(self.rate_hz, 0.01, np.float32))
        self._calls += 1
        self._plan(self._calls)
        return True


Planned = Callable[..., Config]


@pytest.fixture
def planned(
    tmp_path: Path, tiny_model: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> Planned:
    """Put a source in the microphone's place; return a configuration to listen with."""

    def put(source: PlannedSource, model: Path = tiny_model, port: int = broker.port) -> Config:
        monkeypatch.setattr("rainwatchd.service.daemon.SupervisedMicrophone", lambda *_: source)
        return Config(
            model=str(model),
            device_id="canopy-7",
            state_directory=str(tmp_path / "state"),
            mqtt=MqttOptions(host="127.0.0.1", port=port),
        )

    return put


def test_the_loss_of_a_microphone_is_no_fault_of_a_new_model(
    planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(second: int) -> None:
        if second == 10:
            raise AudioError("microphone: given up")

    monkeypatch.setattr(Signals, "install", lambda _: None)
    config = planned(PlannedSource(plan))
    for _ in range(4):
        with pytest.raises(AudioError, match="given up"):
            listen(config, lambda: config)
    assert Daemon(lambda: config, config, Signals())._classifier.name == "tiny 1"


def test_a_model_that_turns_out_too_slow_is_rolled_back(
    tmp_path: Path, tiny_model: Path, planned: Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(tiny_model.read_bytes())
    slow = msgspec.structs.replace(SPEC, version="2", self_test=self_test())
    signals = Signals()
    served: list[str] = []

    def plan(second: int) -> None:
        if second == 70:
            write_tiny_model(model, slow)
            signals.reload = True
            # No model is slow on every machine that runs this.
            monkeypatch.setattr(Meter, "real_time_factor", lambda *_: 1.5)
        signals.stop = second == 140

    config = planned(PlannedSource(plan), model)
    daemon = Daemon(lambda: config, config, signals)
    daemon._board.listen(lambda status: served.append(f"{status.model} {status.reasons}"))
    assert daemon.run() is None
    daemon.adjourn_trial()
    assert served[0] == "tiny 1 []"
    assert "tiny 2 []" in served
    assert served[-1] == (
        "tiny 1 ['model: tiny 2 takes 1.5 s for a second of sound; tiny 1 listens instead']"
    )
    # A restart doesn't try it again.
    assert Daemon(lambda: config, config, signals)._classifier.name == "tiny 1"


@pytest.mark.parametrize(
    ("recovering", "delivers", "fed"), [(False, True, 20), (True, False, 20), (False, False, 0)]
)
def test_the_watchdog_is_fed_by_sound_and_by_a_recovery_and_by_nothing_else(
    tmp_path: Path,
    planned: Planned,
    monkeypatch: pytest.MonkeyPatch,
    recovering: bool,
    delivers: bool,
    fed: int,
) -> None:
    signals = Signals()

    def plan(second: int) -> None:
        signals.stop = second == 20

    source = PlannedSource(plan, recovering=recovering, delivers=delivers)
    config = planned(source, port=free_port())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        received: list[bytes] = []
        notify = SystemdNotify._send

        def send(self: SystemdNotify, message: str) -> None:
            # A socket holds ten datagrams; nobody else would empty it.
            notify(self, message)
            received.append(manager.recv(4096))

        monkeypatch.setattr(SystemdNotify, "_send", send)
        assert Daemon(lambda: config, config, signals).run() is None
    assert received.count(b"WATCHDOG=1") == fed
    assert b"STOPPING=1" in received
