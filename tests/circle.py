"""A site that learns: its device, the ranger's verdicts over a real broker, the card, and what
takes a new model into service."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from rainwatchd.alerts.feedback import Feedback
from rainwatchd.clips.labels import Label, decode
from tests.broker import Subscriber
from tests.fed_daemon import FedDaemon

RANGER = "Ana"


@dataclass(frozen=True)
class Site:
    """A device that listens, and who is subscribed to it."""

    daemon: FedDaemon
    ranger: Subscriber

    @property
    def card(self) -> Path:
        """Where its clips lie."""
        return self.daemon.state / "clips"

    def hear(self, recording: Path) -> list[dict[str, Any]]:
        """Let it hear a recording that ends in quiet; return the alerts that arrive, at onset."""
        known = len(self._phase("onset"))
        self.daemon.hear(recording)
        onsets, offsets = (
            sum(f" {phase}, peak" in line for line in self.daemon.log.splitlines())
            for phase in ("onset", "offset")
        )
        assert onsets == offsets, "an event goes on in the quiet"
        self.daemon.until(lambda: len(self._phase("offset")) == offsets, "all messages")
        return self._phase("onset")[known:]

    def _phase(self, phase: str) -> list[dict[str, Any]]:
        # An offset may come twice, when its clip could not be kept.
        found = {one["event_id"]: one for one in self.ranger.detections if one["phase"] == phase}
        return list(found.values())

    def labels(self) -> dict[str, Label]:
        """What lies beside the clips, by event."""
        labels = [decode(path.read_bytes()) for path in self.card.glob("*.json")]
        return {label.event_id: label for label in labels if label.event_id is not None}

    def judge_false(self, alerts: list[dict[str, Any]], name: str) -> None:
        """Say of each alert that it was nothing but a `name`; wait until it lies on the card."""
        wanted = {one["event_id"] for one in alerts}
        self.daemon.until(lambda: wanted <= self.labels().keys(), "all clips")
        for event_id in wanted:
            verdict = Feedback(
                event_id=event_id,
                verdict="false",
                label=name,
                by=RANGER,
                at="2026-05-14T07:00:00.000Z",
            )
            topic = f"rainwatch/{self.daemon.settings['device_id']}/feedback/{event_id}"
            self.ranger.publish(topic, msgspec.json.encode(verdict))

        def judged() -> bool:
            return all(
                label.last is not None
                for label in self.labels().values()
                if label.event_id in wanted
            )

        self.daemon.until(judged, "all verdicts beside their clips")

    def take_into_service(self, model: Path, rules: Path | None) -> None:
        """Rename a model over the one that is configured, paste its rules if any, and reload."""
        serving = Path(str(self.daemon.settings["model"]))
        part = serving.with_suffix(".part")
        shutil.copy(model, part)
        part.replace(serving)
        self.daemon.configure(**(yaml.safe_load(rules.read_text()) if rules else {}))
        self.daemon.reload()
        self.daemon.until(lambda: self._serves(digest(serving)), f"a status that tells of {model}")

    def _serves(self, wanted: str) -> bool:
        statuses = self.ranger.on("/status")
        return bool(statuses) and statuses[-1].json["model_digest"] == wanted

    @property
    def last_good(self) -> str:
        """Digest of the model that has passed its trial."""
        return digest(self.daemon.state / "model.last-good.onnx")


def digest(path: Path) -> str:
    """SHA-256 of a file; empty where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
