"""What a model file says about itself: the JSON document in its ``metadata_props``."""

from __future__ import annotations

from typing import Literal

import msgspec

from rainwatchd.errors import ModelError
from rainwatchd.hearing.log_mel import MelSpec

METADATA_KEY = "rainwatch"
"""Name of the one ``metadata_props`` entry."""

FORMAT_VERSION = 1
"""The document's version that this program honours."""


class DecisionRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How one class's scores become events. Spans are in seconds of audio, never in windows."""

    smoothing: Literal["mean", "ema"] = "mean"
    span_s: float = 5.0
    on_threshold: float = 0.6
    off_threshold: float = 0.36
    min_positive_s: float = 3.0
    """M of M-of-N: time above the on-threshold that starts an event ..."""
    within_s: float = 5.0
    """... N of M-of-N: within this span."""
    release_s: float = 4.0
    refractory_s: float = 5.0

    @property
    def late_s(self) -> float:
        """What smoothing, M of N and a gap that an event outlasts add at most to a delay."""
        return self.span_s + self.within_s + self.release_s


class SelfTest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A reference window and the scores it must give, so that a damaged model is found out."""

    log_mel: str
    """Base64 of zlib of uint8, row by row ``(n_mels, frames)``."""
    offset_db: float
    step_db: float
    """dB = offset_db + step_db * uint8"""
    scores: list[float]
    tolerance: float


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole document. Feature parameters stand here and nowhere else."""

    format: int
    name: str
    version: str
    licence: str = ""
    """SPDX identifier of what the file may be used under; empty where it doesn't say."""
    labels: list[str]
    sample_rate_hz: int
    n_fft: int
    hop_length: int
    n_mels: int
    fmin_hz: float
    fmax_hz: float
    window_s: float
    step_s: float
    decision: dict[str, DecisionRule]
    """One rule for each label that raises alerts; a label without one is background."""
    training_data: dict[str, str | int | float]
    metrics: dict[str, float]
    self_test: SelfTest | None = None
    clip_thresholds: dict[str, float] = {}
    """Mean score from which a short recording as a whole is judged to be of a label."""
    recall_by_threshold: dict[str, dict[str, list[tuple[float, float]]]] = {}
    """What a raised on-threshold costs: label -> signal-to-noise ratio in dB (``"+10"``) ->
    (on-threshold, share of the events found), thresholds rising."""

    @property
    def mel(self) -> MelSpec:
        """The front-end that the model was trained with."""
        return MelSpec(
            sample_rate_hz=self.sample_rate_hz,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_mels=self.n_mels,
            fmin_hz=self.fmin_hz,
            fmax_hz=self.fmax_hz,
        )

    @property
    def window_frames(self) -> int:
        """Frames in one window."""
        return self.mel.frames_in(self.window_s)


def decode(document: str | bytes) -> ModelSpec:
    """Read the metadata document; raise `ModelError` naming the first field that is wrong."""
    try:
        spec = msgspec.json.decode(document, type=ModelSpec)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"model metadata {METADATA_KEY!r}: {error}") from error
    _check(spec)
    return spec


def encode(spec: ModelSpec) -> str:
    """Write the metadata document, keys in their declared order."""
    return msgspec.json.encode(spec).decode()


def _check(spec: ModelSpec) -> None:
    for field, right, allowed in (
        ("format", spec.format == FORMAT_VERSION, f"{FORMAT_VERSION}"),
        ("labels", len(set(spec.labels)) == len(spec.labels) >= 2, "two or more, none twice"),
        ("sample_rate_hz", 4000 <= spec.sample_rate_hz <= 192000, "4000 to 192000"),
        ("n_fft", 64 <= spec.n_fft <= 16384, "64 to 16384"),
        ("hop_length", 1 <= spec.hop_length <= spec.n_fft, "1 to n_fft"),
        ("n_mels", 1 <= spec.n_mels <= 512, "1 to 512"),
        ("fmin_hz", 0 <= spec.fmin_hz < spec.fmax_hz, "0 or more and below fmax_hz"),
        ("fmax_hz", spec.fmax_hz <= spec.sample_rate_hz / 2, "at most half of sample_rate_hz"),
        ("window_s", 0.1 <= spec.window_s <= 60, "0.1 to 60"),
        ("step_s", 0.05 <= spec.step_s <= spec.window_s, "0.05 to window_s"),
    ):
        if not right:
            raise _refusal(field, getattr(spec, field), allowed)
    for field in ("window_s", "step_s"):
        if spec.mel.frames_in(getattr(spec, field)) < 1:
            raise _refusal(field, getattr(spec, field), "at least one hop_length")
    _check_labels(spec)
    for label, rule in spec.decision.items():
        values = msgspec.structs.asdict(rule)
        for key in (key for key in values if key.endswith("_s")):
            if not 0 <= values[key] <= 3600:
                raise _refusal(f"decision.{label}.{key}", values[key], "0 to 3600")
        if not 0 < rule.on_threshold < 1:
            raise _refusal(f"decision.{label}.on_threshold", rule.on_threshold, "above 0, below 1")
        if not 0 < rule.off_threshold <= rule.on_threshold:
            allowed = "above 0, at most on_threshold"
            raise _refusal(f"decision.{label}.off_threshold", rule.off_threshold, allowed)


def _check_labels(spec: ModelSpec) -> None:
    for field in ("decision", "clip_thresholds", "recall_by_threshold"):
        for label in getattr(spec, field):
            if label not in spec.labels:
                raise _refusal(field, label, f"the labels {', '.join(spec.labels)}")
    for label, threshold in spec.clip_thresholds.items():
        if not 0 < threshold < 1:
            raise _refusal(f"clip_thresholds.{label}", threshold, "above 0, below 1")


def _refusal(field: str, value: object, allowed: str) -> ModelError:
    return ModelError(f"model metadata: {field} is {value!r}; allowed: {allowed}")
