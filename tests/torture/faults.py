"""Random faults between a device and its subscriber; no confirmed event may be lost.

Each trial strikes a running device 25 times: broker killed, device killed or stopped, network cut
or gone silent, disk full, clock set. Then all is mended, and what the device said it had queued is
held against what the subscriber has received.
"""

from __future__ import annotations

import random
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.broker import PATIENCE_S, Broker, Subscriber
from tests.schemas import validator

FAULTS = 25
"""Strikes in one trial; twenty trials make five hundred."""


class Network:
    """A TCP relay to the broker that can be cut or fall silent."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._other: dict[socket.socket, socket.socket] = {}
        self.cut = True
        self.silent = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        for one in [*self._other, self._server]:
            one.close()

    def _run(self) -> None:
        while not self._closing:
            if self.silent:
                time.sleep(0.01)
                continue
            for key, _ in self._selector.select(0.01):
                assert isinstance(key.fileobj, socket.socket)
                self._serve(key.fileobj)
            if self.cut:
                for one in list(self._other):
                    self._hang_up(one)

    def _serve(self, ready: socket.socket) -> None:
        if ready is self._server:
            self._take_call()
        elif ready in self._other:
            try:
                data = ready.recv(65536)
                self._other[ready].sendall(data)
            except OSError:
                data = b""
            if not data:
                self._hang_up(ready)

    def _take_call(self) -> None:
        near, _ = self._server.accept()
        far = socket.socket()
        if self.cut or far.connect_ex(self._to):
            near.close()
            far.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._other[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _hang_up(self, one: socket.socket) -> None:
        other = self._other.get(one)
        for end in (one, other):
            if end is not None and self._other.pop(end, None) is not None:
                self._selector.unregister(end)
                end.close()


@dataclass
class Told:
    """What the device said of its messages, by ``event_id seq``."""

    announced: dict[str, str] = field(default_factory=dict)
    """With phase, class and start sample."""
    confirmed: set[str] = field(default_factory=set)
    """On the medium."""
    accepted: set[str] = field(default_factory=set)
    """In memory, while the disk was full, by a run that ended in order with a disk to write to."""
    doubtful: set[str] = field(default_factory=set)
    """Events of which the medium does not know all, if the run was killed with the disk full."""


class Device:
    """The process, its restarts, and what it says."""

    def __init__(self, directory: Path, port: int, seed: str) -> None:
        self.told = Told()
        self._directory = directory
        self._port = port
        self._seed = seed
        self._run = 0
        self._accepted: set[str] = set()
        self._process: subprocess.Popen[str] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        self._run += 1
        name = f"{self._seed}/{self._run}"
        module = "tests.torture.scored_device"
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, str(self._directory), str(self._port), name, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._accepted = set()
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()

    def await_ready(self) -> None:
        assert self._ready.wait(PATIENCE_S), "the device did not start"

    def tell(self, command: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise AssertionError("the device has ended by itself") from None

    def end(self, number: signal.Signals) -> None:
        assert self._process is not None
        if number != signal.SIGKILL:
            self.await_ready()
        assert self._process.poll() is None, "the device has ended by itself"
        self._process.send_signal(number)
        self._wait()
        if number != signal.SIGKILL:
            self._end_in_order()

    def drain(self) -> None:
        """Let it send all that it has and end."""
        self.tell("drain")
        self._wait()
        self._end_in_order()

    def limit_files(self, size: int) -> None:
        """Let no file of it grow beyond `size`, as a full disk would."""
        assert self._process is not None
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size, hard))

    def fill_disk(self) -> None:
        sizes = [path.stat().st_size for path in self._directory.glob("outbox.sqlite*")]
        self.limit_files(max(sizes, default=0))

    def _wait(self) -> None:
        assert self._process is not None
        self._process.wait(60)
        self._reader.join()
        self._status, self._process = self._process.returncode, None

    def _end_in_order(self) -> None:
        assert self._status == 0, f"the device ended with status {self._status}"
        if self._lost == 0:
            self.told.accepted |= self._accepted

    def _read(self, lines: Iterator[str]) -> None:
        for line in lines:
            # The last line of a killed process may be torn.
            if not line.endswith("\n"):
                continue
            if line == "ready\n":
                self._ready.set()
                continue
            if line.startswith("lost "):
                self._lost = int(line.split()[1])
                continue
            kind, event_id, seq, rest = line.strip().split(" ", 3)
            key = f"{event_id} {seq}"
            if kind == "announced":
                self.told.announced[key] = rest
            elif kind == "confirmed":
                self.told.confirmed.add(key)
            else:
                self._accepted.add(key)
                self.told.doubtful.add(event_id)


class Trial:
    """One device, one network, one broker, one subscriber."""

    def __init__(self, folder: Path, draw: random.Random) -> None:
        folder.mkdir()
        (folder / "state").mkdir()
        self._draw = draw
        self._broker = Broker(folder)
        self._broker.start()
        self._network = Network(self._broker.port)
        self._device = Device(folder / "state", self._network.port, f"{draw.random()}")
        self._mending: list[tuple[float, Callable[[], None]]] = []
        self._struck: set[str] = set()
        self._subscriber = Subscriber(self._broker.port)

    def run(self, faults: int) -> None:
        with self._subscriber:
            try:
                self._network.cut = False
                self._device.start()
                for _ in range(faults):
                    # Mostly it is struck while it hears, now and then while it starts.
                    if self._device.alive and self._draw.random() < 0.8:
                        self._device.await_ready()
                    self._wait(self._draw.uniform(0.02, 1.0))
                    self._strike()
                self._mend_all()
                self._device.drain()
                # A medium that was mended as the last run ended holds what only a next one sends.
                self._device.start()
                self._device.drain()
                # What the outbox had before the last device came up is sent by now as well.
                time.sleep(0.2)
            finally:
                if self._device.alive:
                    self._device.end(signal.SIGKILL)
                self._network.close()
                self._broker.kill()
        self._judge()

    def _strike(self) -> None:
        fault = self._draw.choice(
            ["broker", "device", "device", "stop", "cut", "silence", "disk", "clock"]
        )
        lasts_s = self._draw.uniform(0.02, 1.5)
        hours = self._draw.uniform(-48, 48)
        if fault in self._struck:
            return
        if fault in ("device", "stop"):
            if "down" in self._struck:
                return
            self._device.end(signal.SIGKILL if fault == "device" else signal.SIGTERM)
            self._mend_later("down", lasts_s / 3, self._device.start)
        elif fault == "broker":
            self._network.cut = True
            self._broker.kill()
            self._mend_later("broker", lasts_s, self._restart_broker)
        elif fault == "cut":
            self._network.cut = True
            self._mend_later("cut", lasts_s, self._restore_network)
        elif fault == "silence":
            self._network.silent = True
            self._mend_later("silence", 2 * lasts_s, self._end_silence)
        elif "down" in self._struck:
            return
        elif fault == "disk":
            self._device.fill_disk()
            self._mend_later("disk", lasts_s, self._empty_disk)
        else:
            self._device.tell(f"step {hours * 3600}")

    def _mend_later(self, fault: str, after_s: float, mend: Callable[[], None]) -> None:
        self._struck.add(fault)

        def mended() -> None:
            self._struck.remove(fault)
            mend()

        self._mending.append((time.monotonic() + after_s, mended))

    def _wait(self, wait_s: float) -> None:
        """Let the device run on; mend what is due."""
        until_s = time.monotonic() + wait_s
        while (now_s := time.monotonic()) < until_s:
            due = [entry for entry in self._mending if entry[0] <= now_s]
            self._mending = [entry for entry in self._mending if entry[0] > now_s]
            for _, mend in due:
                mend()
            time.sleep(0.005)

    def _mend_all(self) -> None:
        for _, mend in sorted(self._mending, key=lambda entry: entry[0]):
            mend()
        self._mending.clear()

    def _restart_broker(self) -> None:
        self._subscriber.unsubscribed()
        self._broker.start()
        # A broker passes on nothing to a subscriber who has not returned yet.
        self._subscriber.await_subscription()
        self._restore_network()

    def _restore_network(self) -> None:
        if not self._struck & {"broker", "cut"}:
            self._network.cut = False

    def _end_silence(self) -> None:
        self._network.silent = False

    def _empty_disk(self) -> None:
        if self._device.alive:
            self._device.limit_files(resource.RLIM_INFINITY)

    def _judge(self) -> None:
        told = self._device.told
        detections = self._subscriber.detections
        received = {f"{m['event_id']} {m['seq']}": m for m in detections}
        lost = (told.confirmed | told.accepted) - received.keys()
        assert not lost, f"{len(lost)} of {len(told.confirmed)} lost, such as {min(lost)}"

        ids = defaultdict(set)
        for key, description in told.announced.items():
            _, sound = description.split(" ", 1)
            ids[sound, key.split()[0]].add(key)
        unknown = {m["event_id"] for m in detections} - {event_id for _, event_id in ids}
        assert not unknown, f"ids that no event was given: {unknown}"

        events: dict[str, list[tuple[int, str]]] = defaultdict(list)
        check = validator("detection")
        for message in detections:
            check.validate(message)
            step = message["seq"], message["phase"]
            if step not in events[message["event_id"]]:
                events[message["event_id"]].append(step)
        on_medium = {key.split()[0] for key in told.confirmed}
        for event_id, steps in events.items():
            phases = [phase for _, phase in steps]
            assert phases[0] == "onset", f"{event_id}: {steps}"
            # A kill takes what only memory held: an event that was never on the medium may stay
            # without an end.
            if event_id in on_medium:
                assert "offset" in phases, f"{event_id}: {steps}"
            if event_id not in told.doubtful:
                assert steps == sorted(steps), f"{event_id}: {steps}"
                assert phases.index("offset") == len(phases) - 1, f"{event_id}: {steps}"
        starts = {(m["event_id"], m["class"], m["start"]) for m in detections}
        assert len(starts) == len(events), "an event's messages differ in class or start"
        assert told.confirmed, "not one event: the trial shows nothing"


@contextmanager
def torment(folder: Path) -> Iterator[Callable[[random.Random], None]]:
    """Yield a function that makes one trial of `FAULTS` faults."""
    trials = 0

    def trial(draw: random.Random) -> None:
        nonlocal trials
        trials += 1
        Trial(folder / f"{trials}", draw).run(FAULTS)

    yield trial
