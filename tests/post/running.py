"""The post as a service would run it: a process of its own, spoken to over HTTP and MQTT."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from rainwatchd.decision.events import Detection
from tests.broker import PATIENCE_S, free_port, stop_loop, until

PROGRAM = "import sys; from rainwatchd.post.main import main; sys.exit(main())"

Json = dict[str, Any]


class Answer:
    """What the post answered."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content = response.read()

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)


class Stream:
    """Server-sent events, kept as they come."""

    def __init__(self, port: int, path: str, headers: Mapping[str, str]) -> None:
        self.received: list[tuple[str, Any]] = []
        self.ids: list[str] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self._connection.request("GET", path, headers=dict(headers))
        self._socket = self._connection.sock
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        event = ""
        try:
            for line in self._response:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "event":
                    event = value
                elif name == "id":
                    self.ids.append(value)
                elif name == "data":
                    self.received.append((event, msgspec.json.decode(value)))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            return

    def named(self, event: str) -> list[Any]:
        return [data for name, data in list(self.received) if name == event]

    @property
    def events(self) -> list[Json]:
        return [event for events in self.named("events") for event in events]

    def close(self) -> None:
        # Closing alone would wait for the reading thread, and that for the next line.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE_S)
        self._connection.close()


class RunningPost:
    """One post with its state in `folder`."""

    def __init__(self, folder: Path, broker_port: int, **settings: Any) -> None:
        self.state = folder / "state"
        self.port = free_port()
        self.log_path = folder / "post.log"
        self.config = folder / "rainwatch-post.yaml"
        self.settings: Json = {
            "name": "hut",
            "state_directory": str(self.state),
            "mqtt": {"host": "127.0.0.1", "port": broker_port, "backoff_max_s": 1},
            "listen": {"port": self.port},
        }
        for key, value in settings.items():
            merged = isinstance(value, dict) and key in self.settings
            self.settings[key] = self.settings[key] | value if merged else value
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(yaml.safe_dump(self.settings))
        self.process: subprocess.Popen[bytes] | None = None

    def start(
        self, *arguments: str, program: Iterable[str] = (sys.executable, "-c", PROGRAM)
    ) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*program, "--config", str(self.config), *arguments],
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def until_serving(self) -> None:
        def serves() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"the post ended: {self.log}"
            try:
                return self.get("/about").status == 200
            except OSError:
                return False

        until(serves, "the post to serve")

    def until_ready(self) -> None:
        """Wait until it serves and is subscribed."""
        self.until_serving()
        until(lambda: "connected to the broker" in self.log, "the post to subscribe")

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command for something else than serving."""
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, "--config", str(self.config), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def log(self) -> str:
        return self.log_path.read_text() if self.log_path.exists() else ""

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body, dict(headers or {}))
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, headers=headers)

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"Content-Type": "application/json"} | dict(headers or {})
        return self.request("POST", path, msgspec.json.encode(body), sent)

    @contextmanager
    def live(self, path: str = "/live", **headers: str) -> Iterator[Stream]:
        stream = Stream(self.port, path, headers)
        try:
            yield stream
        finally:
            stream.close()

    def events(self, query: str = "") -> list[Json]:
        """Return all events, page by page."""
        found: list[Json] = []
        further = ""
        while True:
            page = self.get(f"/events?limit=200&{query}{further}").json
            found += page["events"]
            if page["next"] is None:
                return found
            further = f"&before={page['next']}"

    @contextmanager
    def up(self, **how: Any) -> Iterator[RunningPost]:
        """Start it as `start` does and wait until it has its broker; in the end it is gone."""
        self.start(**how)
        try:
            self.until_ready()
            yield self
        finally:
            self.close()

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


@contextmanager
def running(folder: Path, broker_port: int, **settings: Any) -> Iterator[RunningPost]:
    with RunningPost(folder, broker_port, **settings).up() as post:
        yield post


class Publisher:
    """Says to the broker what devices would; `sent` waits until the broker has it all."""

    def __init__(self, port: int, user: str | None = None, password: str | None = None) -> None:
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv5)
        self._client.username_pw_set(user, password)
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(200)
        self._client.reconnect_delay_set(0.05, 0.1)  # type: ignore[arg-type]
        # Not by what `publish` returns: that gives up what is said while the broker is away.
        self._taken: set[int] = set()
        self._client.on_publish = lambda _client, _data, number, *_: self._taken.add(number)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._said: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        stop_loop(self._client)

    def say(self, topic: str, payload: bytes | str, *, qos: int = 1, retain: bool = False) -> None:
        self._said.append(self._client.publish(topic, payload, qos=qos, retain=retain).mid)

    def detect(self, *detections: Detection) -> None:
        for said in detections:
            self.say(f"rainwatch/{said.device_id}/detection", msgspec.json.encode(said))

    def sent(self) -> None:
        until(lambda: self._taken.issuperset(self._said), "the broker to take all of it")
        self._said.clear()
        self._taken.clear()
