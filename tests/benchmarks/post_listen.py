"""What it costs to listen to a device from the post: on the link, on the device, at the post.

python -m tests.benchmarks.post_listen --seconds 60
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from rainwatchd.service.spectrum import LOOK_S
from tests.broker import Broker, Subscriber, until
from tests.live import LiveDaemon
from tests.microphone import SoundServer
from tests.post.running import RunningPost, running

Row = tuple[str, str]

SETTLED_S = 10.0
"""After the start of the daemon, whose first seconds cost more."""


@dataclass(frozen=True)
class Spent:
    """What has been spent since the start."""

    at_s: float
    link_bytes: int
    device_cpu_s: float
    post_cpu_s: float

    def since(self, earlier: Spent) -> Spent:
        """What was spent a second since then."""
        passed_s = self.at_s - earlier.at_s
        return Spent(
            passed_s,
            round((self.link_bytes - earlier.link_bytes) / passed_s),
            (self.device_cpu_s - earlier.device_cpu_s) / passed_s,
            (self.post_cpu_s - earlier.post_cpu_s) / passed_s,
        )


def measure(seconds: float) -> list[Row]:
    """Let the live daemon hear noise, unseen and then seen, and wait until it is silent again."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = SoundServer(folder)
        server.start()
        stack.callback(server.stop)
        server.play_noise(4 * seconds + 300)
        broker = Broker(folder, "allow_anonymous true\nsys_interval 1")
        broker.start()
        stack.callback(broker.stop)
        daemon = LiveDaemon(
            folder, server.environment, mqtt={"port": broker.port, "live_spectrum": True}
        )
        stack.callback(daemon.close)
        daemon.start()
        daemon.until_ready()
        post = stack.enter_context(running(folder / "post", broker.port))
        until(lambda: post.get("/devices/canopy-7").status == 200, "the device at the post")
        time.sleep(SETTLED_S)
        before = _spent(broker, daemon, post)
        time.sleep(seconds)
        unseen = _spent(broker, daemon, post)
        with post.live("/devices/canopy-7/spectrum") as look:
            until(lambda: look.received, "the first column")
            began = _spent(broker, daemon, post)
            shown = len(look.received)
            time.sleep(seconds)
            seen = _spent(broker, daemon, post)
            shown = len(look.received) - shown
        left_s = time.monotonic()
        with Subscriber(broker.port) as link:

            def silent() -> bool:
                last_s = max([left_s, *(one.at_s for one in link.on("/spectrum"))])
                return time.monotonic() - last_s > 10.0

            until(silent, "the device to fall silent", 3 * LOOK_S)
            columns = link.on("/spectrum")
    quiet, busy = unseen.since(before), seen.since(began)
    size = round(sum(len(one.payload) for one in columns) / max(1, len(columns)))
    lasted_s = columns[-1].at_s - left_s if columns else 0.0
    return [
        ("columns in the page, a second", f"{shown / busy.at_s:.2f}"),
        ("a column, payload", f"{size} bytes"),
        (
            "from the device to the broker, unseen / seen",
            f"{quiet.link_bytes} / {busy.link_bytes} bytes a second",
        ),
        (
            "processor time of the device, unseen / seen",
            f"{1e3 * quiet.device_cpu_s:.1f} / {1e3 * busy.device_cpu_s:.1f} ms a second",
        ),
        (
            "processor time of the post, unseen / seen",
            f"{1e3 * quiet.post_cpu_s:.1f} / {1e3 * busy.post_cpu_s:.1f} ms a second",
        ),
        ("the device sends on after nobody looks any more", f"{lasted_s:.0f} s"),
    ]


def _spent(broker: Broker, daemon: LiveDaemon, post: RunningPost) -> Spent:
    """Look at the broker's own count of bytes; the post adds a request in half a minute to it."""
    received = subprocess.run(
        ["mosquitto_sub", "-p", str(broker.port), "-C", "1", "-t", "$SYS/broker/bytes/received"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert daemon.process is not None
    assert post.process is not None
    cpu_s = [
        float(sum(psutil.Process(process.pid).cpu_times()[:2]))
        for process in (daemon.process, post.process)
    ]
    return Spent(time.monotonic(), int(received), *cpu_s)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.post_listen", description=__doc__
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="unseen, and as long seen")
    options = parser.parse_args()
    print("| listening from the post | |\n|---|---|")
    for name, figure in measure(options.seconds):
        print(f"| {name} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
