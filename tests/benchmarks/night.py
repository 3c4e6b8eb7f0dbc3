"""A real night: an hour of a nuisance through the daemon, and the hour after it has learned.

The daemon is the whole one, with the model that ships, a real broker and published clips; only the
microphone is a recording, heard faster than real time. In the first hour a nuisance passes by that
the model alarms on and never trained on. A ranger answers each alert over MQTT; the card's labels
adapt the model, a recorder's ambience of that hour calibrates it, and both are taken into service
by rename and reload. In the second hour other recordings of the nuisance pass by, over forest that
is another too, alone and with saws over them. That hour is heard with the model as it ships before.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from rainwatchd.cli import main as rainwatchd
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import PACKAGED
from tests.benchmarks.site import SAW_DB, alarming, any_alert
from tests.broker import Subscriber, running
from tests.circle import Site, digest
from tests.fed_daemon import FedDaemon
from tests.nuisances import (
    NUISANCES,
    RATE_HZ,
    Piece,
    ambience,
    laid,
    pieces,
    saws,
    two_nights,
)
from training.__main__ import main as training
from training.adaptation.anchor import anchor_of
from training.soundscape.library import default_data

HOUR_S = 3600.0
EVERY_S = 240.0
"""Between two passes: further apart than what `adapt` takes for one occasion."""

PASSES = round(HOUR_S / EVERY_S)


def hour(path: Path, night: Sequence[Piece], half: int, saw_db: float | None = None) -> Path:
    """Write an hour of forest in which the pieces pass by, with saws over them at a ratio."""
    real, forest = saws(PASSES), ambience(half)
    length = round(EVERY_S * RATE_HZ)
    path.parent.mkdir(exist_ok=True)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1) as file:
        for number in range(PASSES):
            saw = None if saw_db is None else (real[number % len(real)], saw_db)
            bed = forest.take(np.arange(number * length, (number + 1) * length), mode="wrap")
            file.write(laid(bed, night[number % len(night)].sound, saw))
    return path


def sent_out_for(alerts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave the storms out."""
    return [alert for alert in alerts if any_alert(alert["class"])]


def passes_with_a_saw(alerts: Sequence[dict[str, Any]]) -> int:
    """Count the passes during which a saw is told of, however often."""
    starts = sorted(
        datetime.fromisoformat(alert["start"]).timestamp()
        for alert in alerts
        if alert["class"] == "chainsaw"
    )
    return sum(
        later - earlier > EVERY_S / 2
        for earlier, later in zip([-EVERY_S, *starts], starts, strict=False)
    )


def received(site: Site, alerts: Sequence[dict[str, Any]]) -> int:
    """Wait for the alerts' clips; return how many arrived as ten seconds of sound."""

    def clips() -> list[bytes]:
        arrived = [site.ranger.on(f"/clip/{alert['event_id']}") for alert in alerts]
        return [messages[0].payload for messages in arrived if messages]

    site.daemon.until(lambda: len(clips()) == len(alerts), "all clips at the subscriber")
    sounds = [soundfile.info(io.BytesIO(clip)) for clip in clips()]
    return sum(sound.duration > 5.0 and sound.subtype == "OPUS" for sound in sounds)


def learn(site: Site, home: Path, recorder: Path) -> tuple[Path, Path | None]:
    """Adapt and calibrate on a laptop; return the model, and its rules if any were found."""
    adapted, said = home / "site.onnx", io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        words = ["adapt", str(PACKAGED), "--labels", str(site.card), "--out", str(adapted)]
        if training(words) != 0:
            raise SystemExit(said.getvalue())
        words = ["calibrate", str(recorder), "--model", str(adapted), "--jobs", "1"]
        calibrated = rainwatchd([*words, "--out", str(home / "calibration")]) == 0
    print(said.getvalue(), file=sys.stderr)
    return adapted, home / "calibration/decision.yaml" if calibrated else None


def night(name: str, tries: int, home: Path) -> list[str]:
    """Do all of it; return the table's lines."""
    found = alarming(pieces(name, tries), Classifier(PACKAGED), home)
    first, second = two_nights(found)
    recorded = hour(home / "recorder" / "20260513_010000.flac", first, 0)
    alone = hour(home / "alone.flac", second, 1)
    mixes = {
        ratio_db: hour(home / f"saws{ratio_db:g}.flac", second, 1, ratio_db) for ratio_db in SAW_DB
    }
    serving = home / "serving.onnx"
    serving.write_bytes(PACKAGED.read_bytes())
    (home / "broker").mkdir()
    with running(home / "broker") as broker, Subscriber(broker.port) as ranger:
        daemon = FedDaemon(
            home,
            model=str(serving),
            mqtt={"port": broker.port, "backlog_rate_hz": 1000},
            clips={"publish": True, "min_free_bytes": 0},
        )
        try:
            daemon.start()
            daemon.until_ready()
            site = Site(daemon, ranger)

            def heard() -> list[int]:
                alarms = len(sent_out_for(site.hear(alone)))
                return [alarms, *(passes_with_a_saw(site.hear(mix)) for mix in mixes.values())]

            before = heard()
            alerts = site.hear(recorded)
            clips = received(site, alerts)
            site.judge_false(sent_out_for(alerts), name)
            began_s = time.monotonic()
            adapted, rules = learn(site, home, recorded.parent)
            learned_s = time.monotonic() - began_s
            site.take_into_service(adapted, rules)
            again = len(sent_out_for(site.hear(recorded)))
            passed = site.last_good == digest(adapted)
            after = heard()
            status = ranger.on("/status")[-1].json
            ended = daemon.stop()
        finally:
            daemon.close()
    judged = len(sent_out_for(alerts))
    names = ["alerts in an hour of other recordings"]
    names += [f"saws found over these at {ratio_db:g} dB, of {PASSES}" for ratio_db in mixes]
    counts = zip(names, before, after, strict=True)
    return [
        f"| alerts in the hour that was judged | {judged} | {again} |",
        *(f"| {what} | {old} | {new} |" for what, old, new in counts),
        f"| published clips that arrived, of {len(alerts)} | {clips} | |",
        f"| verdicts on the card | {judged} | |",
        f"| model that listens | | {status['model']}, {status['state']} |",
        f"| trial passed, copy kept; exit status | | {passed}; {ended} |",
        f"| thresholds found by calibration | | {'yes' if rules else 'none below 1'} |",
        f"| adapt and calibrate, minutes | | {learned_s / 60:.1f} |",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.night", description=__doc__)
    parser.add_argument("--nuisance", choices=NUISANCES, default="elephant rumble")
    parser.add_argument("--tries", type=int, default=100, help="recordings to look for alarms in")
    options = parser.parse_args()
    if not default_data().exists() or not anchor_of(PACKAGED).exists():
        print("needs the labelled recordings in ../shared and the model's anchor")
        return
    with tempfile.TemporaryDirectory(prefix="night-") as folder:
        lines = night(options.nuisance, options.tries, Path(folder))
    head = f"| {options.nuisance}, {PASSES} passes an hour | as shipped | adapted and calibrated |"
    print("\n".join([head, "|---|---|---|", *lines]))


if __name__ == "__main__":
    main()
