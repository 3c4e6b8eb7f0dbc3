"""A microphone that is opened again whenever it falls silent, for as long as there is hope."""

from __future__ import annotations

import logging
import threading
import time

from rainwatchd.audio.capture.devices import choose, some_devices
from rainwatchd.audio.capture.losses import Losses
from rainwatchd.audio.capture.microphone import Microphone, restart_portaudio
from rainwatchd.audio.options import AudioOptions
from rainwatchd.audio.ring import RingBuffer
from rainwatchd.errors import AudioError, Report

log = logging.getLogger(__name__)

STALL_S = 3.0
"""Without a callback for this long a stream is dead, whatever it says of itself: a frozen sound
server keeps it "active". PulseAudio takes up to 2 s for the first one."""

OVERSLEPT_S = 1.0
"""A look at the stream that comes so much later than it should was held up with all the rest: how
old the last callback is says nothing then."""

ZEROS_S = 4.0
"""Nothing but exact zeros for this long: a microphone's own noise flips the lowest bits."""

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 15.0
"""Wait between two tries to open, doubled each time: a card that was unplugged is back when a
person or a flaky hub says so, and each try costs a scan of all cards."""

ANSWER_S = 10.0
"""Waited for the device at the start; a frozen sound server doesn't answer at all."""

CLOSE_S = 3.0
"""Waited for the device at the end."""

HANG_S = 10.0
"""A call to the sound server that takes longer will hardly return: PulseAudio's client library may
wait for ever for a server that was killed. Only a new process helps."""

ABSENT_RATE_HZ = 48_000
"""Assumed while no microphone is there to ask; what USB microphones run at."""


class SupervisedMicrophone:
    """An `AudioSource` that outlives its device.

    What was not heard becomes gaps in the ring while the device is sought. Every call that may
    hang in a sound server is made on a thread of its own, so that the daemon goes on.
    """

    rate_hz: int
    channels: int

    def __init__(self, options: AudioOptions, report: Report) -> None:
        self.restarts = 0
        """Times that the device was opened again."""
        self._options = options
        self._report = report
        self._losses = Losses()
        self._microphone: Microphone | None = None
        self._opening: _Opening | None = None
        self._backoff_s = FIRST_BACKOFF_S
        self._next_try_s = 0.0
        self._trouble: str | None = None
        self._trouble_since_s = 0.0
        self._sought_since_s: float | None = None
        self._closing: threading.Thread | None = None
        self._heard_until_s = 0.0
        self._heard_sound = False
        self._await_sound = False
        self._opposed = False
        self._zeros = 0
        self._checked = 0
        self._looked_s = self._awake_since_s = 0.0

    @property
    def drops(self) -> int:
        """Times that the driver dropped sound."""
        return self._losses.total

    @property
    def recovering(self) -> bool:
        """Whether the device is being sought; at most `AudioOptions.recovery_timeout_s`."""
        return self._microphone is None

    @property
    def stuck(self) -> bool:
        """Whether a call to the sound server hangs; such a process can't leave in good order."""
        return any(thread and thread.is_alive() for thread in (self._opening, self._closing))

    def open(self) -> None:
        """Open the device. Its absence is no error here: it is reported and sought."""
        self._heard_until_s = time.monotonic()
        opening = self._opening = _Opening(None, self._options, None)
        opening.start()
        opening.join(ANSWER_S)
        if opening.microphone is None:
            self.rate_hz, self.channels = ABSENT_RATE_HZ, 1
            self._lose(opening.error or "the sound server doesn't answer")
        else:
            self._take(opening.microphone)

    def fill(self, ring: RingBuffer, timeout_s: float) -> bool:
        """Wait for samples; while there is no device, for gaps. Never False.

        Raises `AudioError` once the device has been sought for too long.
        """
        microphone = self._microphone
        if microphone is None:
            self._seek(ring, timeout_s)
            return True
        due_s = time.monotonic() + timeout_s
        active = microphone.fill(ring, timeout_s)
        now_s = time.monotonic()
        if now_s > due_s + OVERSLEPT_S or now_s > self._looked_s + timeout_s + OVERSLEPT_S:
            self._awake_since_s = now_s
        self._looked_s = now_s
        self._look_for_losses(microphone)
        if microphone.opposed and not self._opposed:
            self._opposed = True
            log.warning(
                "microphone: its channels are one sound with opposite signs, so their mean is "
                "silent; the loudest is heard: mend the plug, or set audio.channel"
            )
        fault = self._fault(microphone, active, ring)
        if fault is not None:
            microphone.detach()
            self._heard_until_s = time.monotonic() - microphone.callback_age_s
            self._lose(fault)
        return True

    def close(self) -> None:
        """Let go of the device, as far as it lets go."""
        microphone, self._microphone = self._microphone, None
        if self._opening is not None:
            self._opening.give_up()
            self._opening.join(CLOSE_S)
            microphone = self._opening.microphone
        if microphone is not None:
            self._closing = threading.Thread(target=microphone.close, daemon=True)
            self._closing.start()
            self._closing.join(CLOSE_S)

    def _fault(self, microphone: Microphone, active: bool, ring: RingBuffer) -> str | None:
        """Say what is wrong with an open stream; note when all is well again."""
        new = ring.copy(self._checked, ring.written).samples
        self._checked = ring.written
        if new.any():
            self._zeros = 0
            self._heard_sound = True
        else:
            self._zeros += new.size
        if not active:
            return "the device is gone"
        if min(microphone.callback_age_s, self._looked_s - self._awake_since_s) > STALL_S:
            return f"no sound for {STALL_S:g} s though the stream claims to run"
        if self._zeros >= ZEROS_S * self.rate_hz and self._options.zeros_are_faults:
            if self._heard_sound:
                self._await_sound = True
                return f"nothing but zeros for {ZEROS_S:g} s"
            self._set_trouble("nothing but zeros since the start; is it muted or unplugged?")
        elif new.size and (self._zeros == 0 or not self._await_sound):
            self._recovered()
        return None

    def _lose(self, fault: str) -> None:
        self._set_trouble(fault)
        self._next_try_s = time.monotonic()
        if self._sought_since_s is None:
            self._sought_since_s = self._next_try_s
        if self._opening is None:
            self._opening = _Opening(self._microphone, self._options, self.rate_hz)
            self._opening.start()
        self._microphone = None

    def _seek(self, ring: RingBuffer, timeout_s: float) -> None:
        opening = self._opening
        if opening is not None:
            opening.join(timeout_s)
        else:
            threading.Event().wait(timeout_s)
        now_s = time.monotonic()
        lost = int((now_s - self._heard_until_s) * self.rate_hz)
        if lost > 0:
            ring.skip(lost)
            self._heard_until_s += lost / self.rate_hz
        if opening is not None and not opening.is_alive():
            self._opening = None
            if opening.microphone is not None:
                self.restarts += 1
                self._checked = ring.written
                self._take(opening.microphone)
                return
            self._set_trouble(opening.error or "cannot be opened")
            self._next_try_s = now_s + self._backoff_s
            self._backoff_s = min(2 * self._backoff_s, MAX_BACKOFF_S)
        if self._opening is not None and now_s - self._opening.began_s > HANG_S:
            raise AudioError(f"microphone: {self._trouble}; the sound server doesn't answer")
        sought_s = now_s - (self._sought_since_s or now_s)
        if sought_s > self._options.recovery_timeout_s:
            raise AudioError(f"microphone: {self._trouble}; given up after {sought_s:.0f} s")
        if self._opening is None and now_s >= self._next_try_s:
            self._opening = _Opening(None, self._options, self.rate_hz)
            self._opening.start()

    def _take(self, microphone: Microphone) -> None:
        self._microphone, self._opening = microphone, None
        self._zeros = 0
        self._losses.reopened()
        self.rate_hz, self.channels = microphone.rate_hz, microphone.channels
        log.info("listening to %s at %d Hz", microphone.name, microphone.rate_hz)

    def _look_for_losses(self, microphone: Microphone) -> None:
        before = self._losses.trouble
        self._losses.look(microphone.overflows)
        dropping = self._losses.trouble
        if dropping != before:
            if dropping:
                log.log(logging.DEBUG if before else logging.WARNING, "microphone %s", dropping)
            else:
                log.info("microphone: drops no more sound")
            self._tell()

    def _tell(self) -> None:
        self._report(self._trouble or self._losses.trouble)

    def _set_trouble(self, trouble: str) -> None:
        if self._trouble is None:
            self._trouble_since_s = time.monotonic()
        if trouble == self._trouble:
            return
        # The first word is the cause; what follows is mostly its echo from PortAudio.
        log.log(logging.DEBUG if self._trouble else logging.WARNING, "microphone: %s", trouble)
        self._trouble = trouble
        self._tell()

    def _recovered(self) -> None:
        if self._trouble is None:
            return
        deaf_s = time.monotonic() - self._trouble_since_s
        log.info("microphone: heard again after %.1f s", deaf_s)
        self._trouble = self._sought_since_s = None
        self._await_sound = False
        self._backoff_s = FIRST_BACKOFF_S
        self._tell()


class _Opening(threading.Thread):
    """Closes a dead stream and opens the device anew, off the main thread: either may hang.

    Without a `rate_hz` it is the first time, and PortAudio has listed the devices just now.
    """

    def __init__(self, dead: Microphone | None, options: AudioOptions, rate_hz: int | None) -> None:
        super().__init__(name="microphone", daemon=True)
        self.microphone: Microphone | None = None
        self.error: str | None = None
        self.began_s = time.monotonic()
        self._given_up = False
        self._dead = dead
        self._options = options
        self._rate_hz = rate_hz

    def give_up(self) -> None:
        """Wait for no sound any more."""
        self._given_up = True

    def run(self) -> None:
        """Leave the open microphone or the error behind."""
        if self._dead is not None:
            self._dead.close()
        try:
            if self._rate_hz is not None:
                restart_portaudio()
            device = choose(self._options.device, some_devices())
            channel = self._options.channel_number
            microphone = Microphone(device.index, channel, self._rate_hz)
            microphone.open()
            # PortAudio may deliver nothing for 2 s; what passes until then belongs to the gap.
            while microphone.blocks == 0:
                if self._given_up or microphone.callback_age_s > STALL_S or not microphone.active:
                    microphone.close()
                    raise AudioError(f"{microphone.name} delivers nothing")
                time.sleep(0.01)
            self.microphone = microphone
        except AudioError as error:
            self.error = str(error)
