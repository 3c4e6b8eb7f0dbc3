"""The post at a glance: a broker, three simulated devices, and the page; ends with Ctrl-C.

Usage: python -m tests.post.demo [--port N] [--keep-devices]

Two devices hear a chainsaw from two sides, one a truck and a storm and then falls silent, as though
its battery were empty.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "tests/recordings"

BACKGROUND = (
    "background/antum_sounds_frog.ogg",
    "background/bird_whizz_forest_birds.ogg",
    "background/repixture_ambiance_whoot_owl.ogg",
    "background/esc10_001_1-100032-A.ogg",
)
SAW = "chainsaw/esc10_freesound-19898.ogg"
TRUCK = "engine/ibm_max_car_engine.ogg"
STORM = "storm/cdda_ccsounds_thunder_near.ogg"

DEVICES = {
    "canopy-north": ((-3.1000, -60.0000), (BACKGROUND[0], SAW, *BACKGROUND, *BACKGROUND)),
    "canopy-east": ((-3.1040, -59.9925), (BACKGROUND[0], SAW, *BACKGROUND[::-1], *BACKGROUND)),
    "river-gate": ((-3.1180, -60.0110), (TRUCK, *BACKGROUND[2:], STORM, *BACKGROUND)),
}

SILENT = "river-gate"
SILENT_AFTER_S = 75.0

TRACK = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"name": name, "kind": kind},
            "geometry": {"type": "LineString", "coordinates": coordinates},
        }
        for name, kind, coordinates in (
            ("river", "river", [[-60.022, -3.095], [-60.013, -3.108], [-60.012, -3.121]]),
            ("track", "track", [[-60.011, -3.118], [-60.002, -3.109], [-59.991, -3.104]]),
        )
    ],
}


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_broker(folder: Path, stack: ExitStack) -> int:
    """Start mosquitto on loopback; return its port."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        sys.exit("mosquitto isn't installed: apt-get install mosquitto")
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    launch(stack, folder / "broker.log", program, "-c", str(config))
    while socket.socket().connect_ex(("127.0.0.1", port)):
        time.sleep(0.05)
    return port


def start_device(
    name: str, folder: Path, broker_port: int, stack: ExitStack
) -> subprocess.Popen[bytes]:
    """Start one simulated device."""
    (lat, lon), names = DEVICES[name]
    home = folder / name
    home.mkdir()
    settings = {
        "device_id": name,
        "lat": lat,
        "lon": lon,
        "step_s": 1.0,
        "state_directory": str(home),
        "mqtt": {"host": "127.0.0.1", "port": broker_port, "live_spectrum": True},
        "clips": {"publish": True},
    }
    (home / "rainwatchd.yaml").write_text(yaml.safe_dump(settings))
    (home / "playlist").write_text("".join(f"{RECORDINGS / name}\n" for name in names))
    return launch(
        stack,
        home / "log",
        sys.executable,
        "-m",
        "tests.post.simulated",
        str(home / "playlist"),
        str(home / "rainwatchd.yaml"),
    )


def launch(stack: ExitStack, log: Path, *command: str) -> subprocess.Popen[bytes]:
    """Start a process that ends with the demo."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def main() -> int:
    """Run until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.post.demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="of the page")
    parser.add_argument("--keep-devices", action="store_true", help="let none fall silent")
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell has what runs in its background ignore Ctrl-C.
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rainwatch-post-")))
        broker_port = start_broker(folder, stack)
        (folder / "track.geojson").write_text(json.dumps(TRACK))
        post = launch(
            stack,
            folder / "post.log",
            str(Path(sys.executable).with_name("rainwatch-post")),
            *("--name", "demo", "--state_directory", str(folder / "post")),
            *("--mqtt.host", "127.0.0.1", "--mqtt.port", str(broker_port)),
            *("--listen.port", str(args.port)),
            *("--map.geojson_file", str(folder / "track.geojson")),
        )
        devices = {name: start_device(name, folder, broker_port, stack) for name in DEVICES}
        print(f"open http://localhost:{args.port}/ - the first alert comes in half a minute;")
        print("Ctrl-C ends it all", flush=True)
        silent_at_s = time.monotonic() + SILENT_AFTER_S
        try:
            while post.poll() is None:
                time.sleep(0.2)
                if time.monotonic() > silent_at_s and not args.keep_devices:
                    # A battery takes no leave: the broker tells by the Last Will.
                    devices[SILENT].kill()
        except KeyboardInterrupt:
            return 0
        sys.exit((folder / "post.log").read_text()[-1000:])


if __name__ == "__main__":
    sys.exit(main())
