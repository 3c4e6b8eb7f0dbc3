"""The daemon: source, ring, log-mel, classifier, decision, sinks, in the order of the flow."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from rainwatchd.alerts.discovery import discovery
from rainwatchd.alerts.discovery_note import DiscoveryNote, take_back
from rainwatchd.alerts.feedback import Feedback, FeedbackDesk
from rainwatchd.alerts.outbox import Outbox
from rainwatchd.alerts.topics import Topics
from rainwatchd.alerts.uplink import Uplink
from rainwatchd.audio.capture.supervision import SupervisedMicrophone
from rainwatchd.audio.ring import Chunk, Gap, RingBuffer
from rainwatchd.config.options import Config
from rainwatchd.decision.events import Detection, Status
from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.service.health import REPORT_S, Meter, StatusBoard
from rainwatchd.service.history import History
from rainwatchd.service.journal import introduced, told
from rainwatchd.service.listener import Listener
from rainwatchd.service.live_port import LivePort
from rainwatchd.service.model_store import TRIAL_WINDOWS, ModelStore
from rainwatchd.service.signals import Signals
from rainwatchd.service.spectrum import LiveSpectrum
from rainwatchd.service.systemd_notify import SystemdNotify

log = logging.getLogger(__name__)

RING_S = 15.0
"""Sound that may wait while a new model is loaded or a disk stalls."""

TICK_S = 0.5
"""How long the loop may wait for sound: signals and the microphone's age are looked at then."""

ANCHOR_S = 10.0
"""Between two looks at the clocks."""

STOP_S = 8.0
"""For the outbox to reach the broker at the end; systemd grants 20 s in all."""


_NEEDS_RESTART = ("audio", "device_id", "mqtt", "outbox", "state_directory")
"""Keys whose change closes and opens everything again, within this process."""


class Daemon:
    """Listens with one configuration until it is told to stop, or to go on with another."""

    def __init__(
        self, load: Callable[[], Config], config: Config, signals: Signals, *, verbose: bool = False
    ) -> None:
        self._load = load
        self._config = config
        self._signals = signals
        self._verbose = verbose
        self._notify = SystemdNotify()
        self._meter = Meter()
        self._directory = Path(config.state_directory)
        self._models = ModelStore(self._directory)
        self._notify.status("loading the model")
        self._classifier, trouble = self._models.load(config.model_path)
        self._fallback: Classifier | None = None
        self._trial_ends = 0 if trouble else TRIAL_WINDOWS
        self._board = StatusBoard(config.identity, self._classifier.name, self._classifier.digest)
        report = self._board.reporter
        report("model")(trouble)
        self._topics = Topics(config.identity)
        self._microphone = SupervisedMicrophone(config.audio, report("microphone"))
        self._outbox = Outbox(self._directory, config.outbox, report("outbox"))
        self._history = History(self._directory / "history.sqlite", report("history"))
        self._uplink = Uplink(
            config.mqtt, self._topics, self._outbox, self._board.offline(), report("mqtt")
        )
        self._uplink.read_clips(self._read_clip)
        self._live = LivePort(self._directory)
        self._spectrum = LiveSpectrum(self._uplink, self._topics)
        if config.mqtt.live_spectrum:
            self._spectrum.allow()
        self._feedback = FeedbackDesk(self._hear_verdict)
        self._uplink.subscribe(self._topics.feedback, self._feedback.take, qos=1)
        self._position = self._seam = self._heard = 0
        self._anchor_due_s = self._report_due_s = 0.0

    def run(self) -> Config | None:
        """Listen; return the configuration to go on with, or None to end.

        Raises `AudioError` when the microphone stays lost: a fresh process may find it.
        """
        log.info("%s", introduced(self._config, self._classifier, self._topics))
        self._microphone.open()
        self._ring = RingBuffer(round(RING_S * self._microphone.rate_hz))
        self._listener = self._listen_with(self._config, self._classifier)
        self._uplink.start()
        self._live.open()
        try:
            self._board.listen(self._publish_status)
            self._notify.ready()
            config = self._config
            while not self._signals.stop and not needs_restart(config, self._config):
                self._microphone.fill(self._ring, TICK_S)
                for item in self._ring:
                    self._hear(item)
                self._tend()
            if self._signals.stop:
                # systemd kills whoever says this and stays.
                self._notify.stopping()
        finally:
            self._queue(self._listener.finish())
            self._uplink.stop(STOP_S, self._board.offline())
            self._outbox.close()
            self._history.close()
            self._live.close()
            self._microphone.close()
        if self._signals.stop:
            return None
        # To begin anew may take as long as it took to end.
        self._notify.watchdog()
        return self._config

    def adjourn_trial(self) -> None:
        """Take note that the end of this run, in good order, is no fault of the model's."""
        if self._trial_ends:
            self._models.adjourn()

    @property
    def stuck(self) -> bool:
        """Whether a hanging sound server keeps the process from ending by itself."""
        return self._microphone.stuck

    def _listen_with(self, config: Config, classifier: Classifier) -> Listener:
        """Make and start a listener; raise `ConfigError` where the model can't do what is asked."""
        listener = Listener(
            config,
            classifier,
            self._microphone.rate_hz,
            meter=self._meter,
            report_clips=self._board.reporter("clips"),
            report_sound=self._board.reporter("sound"),
            publish_clip=self._uplink.send_clip,
            correct=lambda detection: self._queue([detection]),
        )
        listener.start(self._ring, self._position, self._seam)
        self._config = config
        self._anchor_due_s = 0.0
        self._board.use_model(classifier.name, classifier.digest)
        wanted = self._topics.home_assistant if config.mqtt.home_assistant else None
        if wanted is not None:
            payload = discovery(self._topics, list(listener.rules), classifier.name)
            self._uplink.retain(wanted, payload)
        take_back(self._uplink, DiscoveryNote(self._directory), wanted)
        return listener

    def _replace_listener(self, config: Config, classifier: Classifier) -> None:
        listener = self._listen_with(config, classifier)
        self._queue(self._listener.finish())
        self._listener = listener

    def _hear(self, item: Chunk | Gap) -> None:
        windows = self._meter.windows
        self._queue(self._listener.hear(item))
        self._position = item.end
        if isinstance(item, Gap):
            self._seam = item.end
            return
        # Sound that comes and is analysed is a sign of life, though losses may keep every window
        # from being whole: a restart would not mend that.
        self._heard += len(item.samples)
        if self._heard >= self._microphone.rate_hz:
            self._heard = 0
            self._notify.watchdog()
        if self._meter.windows == windows:
            return
        self._spectrum.show(self._listener)
        self._tell_lookers()
        if self._verbose:
            line = self._meter.live_line(self._listener.clock.rate_hz)
            sys.stderr.write(f"\r\x1b[K{line}" if sys.stderr.isatty() else f"{line}\n")

    def _tell_lookers(self) -> None:
        if self._live.watched:
            rate_hz, deaf = self._listener.clock.rate_hz, self._microphone.recovering
            self._live.tell(self._meter.glimpse(self._board.status, rate_hz, deaf=deaf))

    def _queue(self, detections: Iterable[Detection]) -> None:
        for detection in detections:
            self._outbox.put(detection)
            if detection.phase == "onset":
                self._uplink.urge()
            else:
                self._uplink.wake()
            self._history.put(detection)
            log.info("%s", told(detection))

    def _read_clip(self, name: str) -> bytes | None:
        return self._listener.preview(name)

    def _hear_verdict(self, feedback: Feedback) -> bool:
        """Write down what a person said; return whether the event is known. The uplink's thread."""
        said = feedback.verdict, feedback.by, feedback.at
        known = self._history.judge(feedback.event_id, *said)
        return self._listener.judge(feedback) or known

    def _tend(self) -> None:
        """Do what is due whether or not there is sound."""
        if self._signals.reload:
            self._signals.reload = False
            self._reload()
        if self._microphone.recovering:
            self._notify.watchdog()
            self._tell_lookers()
        now_s = time.monotonic()
        if now_s >= self._anchor_due_s:
            self._anchor_due_s = now_s + ANCHOR_S
            if step_s := self._listener.anchor(self._ring.written):
                log.warning("the clock was set by %+.1f s", step_s)
        if now_s >= self._report_due_s:
            self._report_due_s = now_s + REPORT_S
            clock, losses = self._listener.clock, (self._ring.overruns, self._microphone.drops)
            outbox, verdicts = self._outbox, self._feedback.counts
            health = self._meter.report(
                self._config.identity, clock, losses, outbox, verdicts, directory=self._directory
            )
            self._uplink.offer(self._topics.health, msgspec.json.encode(health), retain=True)
        if self._trial_ends and self._meter.windows >= self._trial_ends:
            self._trial_ends = 0
            self._judge(self._listener.classifier)

    def _reload(self) -> None:
        """Read configuration and model again; whatever is wrong with them, the old ones stay."""
        self._notify.reloading()
        trouble, before = None, self._config
        try:
            config, serving = self._load(), self._listener.classifier
            renewed = self._models.renew(config.model_path, serving)
            self._replace_listener(config, renewed or serving)
        except RainwatchError as error:
            log.error("reload refused, nothing is changed: %s", error)
            trouble = f"refused: {error}"
        else:
            log.info("reloaded; %s listens", self._listener.classifier.name)
            if renewed is not None:
                self._fallback, self._trial_ends = serving, self._meter.windows + TRIAL_WINDOWS
                self._board.reporter("model")(None)
        self._board.reporter("reload")(trouble)
        if not needs_restart(before, self._config):
            self._notify.ready()

    def _judge(self, classifier: Classifier) -> None:
        """End a model's trial; go back to the one before if it failed."""
        factor = self._meter.real_time_factor(self._listener.clock.rate_hz)
        trouble = self._models.judge(classifier, factor)
        if trouble is not None:
            log.error("model: %s", trouble)
            if self._fallback is not None:
                self._replace_listener(self._config, self._fallback)
                trouble = f"{trouble}; {self._fallback.name} listens instead"
            self._board.reporter("model")(trouble)

    def _publish_status(self, status: Status) -> None:
        self._uplink.retain(self._topics.status, msgspec.json.encode(status))
        self._notify.status("; ".join([status.state, *status.reasons]))


def listen(config: Config | None, load: Callable[[], Config], *, verbose: bool = False) -> None:
    """Run the daemon with `config` until SIGTERM; at SIGHUP `load` reads it again.

    Raises `RainwatchError` when it cannot start, or when the microphone stays lost.
    """
    signals = Signals()
    signals.install()
    while config is not None:
        daemon = Daemon(load, config, signals, verbose=verbose)
        failure: RainwatchError | None = None
        try:
            config = daemon.run()
        except RainwatchError as error:
            failure = error
        daemon.adjourn_trial()
        if daemon.stuck:
            # Python would wait for PortAudio at exit, and PortAudio for the sound server.
            log.error("%s", failure or "the sound server doesn't answer")
            logging.shutdown()
            os._exit(1)
        if failure is not None:
            raise failure


def needs_restart(before: Config, after: Config) -> bool:
    """Whether the change closes and opens everything again, within this process."""
    return any(getattr(before, key) != getattr(after, key) for key in _NEEDS_RESTART)
