"""The model in service: checked before it serves, on trial at first, and rolled back if it fails.

A model is updated by renaming a new file over the configured one and sending SIGHUP. What has
passed its trial is copied into the state directory, so that there is something to go back to.
"""

from __future__ import annotations

import logging
from hashlib import sha256
from pathlib import Path

import numpy as np

from rainwatchd.errors import ModelError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.log_mel import FLOOR_DB
from rainwatchd.hearing.model_file import OPEN, PACKAGED
from rainwatchd.whole import write_whole

log = logging.getLogger(__name__)

TRIAL_WINDOWS = 60
"""Windows that a new model scores before it is trusted: a minute."""

_SAME = 1e-6
"""Scores of silence and of loud sounds differ by more in any model that hears at all."""

_UNFINISHED_TRIALS = 2
"""Starts that may end during the trial: one may have been a power cut."""


class ModelStore:
    """Knows which model was the last that worked, across restarts."""

    def __init__(self, directory: Path) -> None:
        self._last_good = directory / "model.last-good.onnx"
        self._trial = directory / "model.trial"

    def load(self, path: Path) -> tuple[Classifier, str | None]:
        """Return the model to start with, and what was wrong with the configured one, if so.

        Falls back on the last good model, then on the one that ships; raises `ModelError` when
        even that can't be honoured.
        """
        try:
            classifier = _check(path)
            self._begin_trial(classifier)
            return classifier, None
        except ModelError as error:
            trouble = str(error)
        for other in (self._last_good, PACKAGED):
            if other == path or not other.exists():
                continue
            try:
                classifier = Classifier(other)
            except ModelError as error:
                log.error("model: %s", error)
                continue
            log.error("model: %s; going on with %s", trouble, classifier.name)
            return classifier, f"{trouble}; {classifier.name} listens instead"
        raise ModelError(trouble)

    def renew(self, path: Path, current: Classifier) -> Classifier | None:
        """Return the model that now lies at `path`; None if it is the one that serves.

        Raises `ModelError` if it must not serve: digest, metadata, shapes, self-test, or because
        it hears nothing.
        """
        candidate = _check(path)
        if candidate.digest == current.digest:
            return None
        if candidate.spec.self_test is None:
            raise ModelError(f"model {path}: self_test is missing; an update needs one")
        self._forget_trial()
        self._begin_trial(candidate)
        return candidate

    def judge(self, classifier: Classifier, real_time_factor: float | None) -> str | None:
        """End the trial; return why the model must not go on, None if it has passed."""
        if real_time_factor is None or real_time_factor < 1.0:
            self._keep(classifier)
            self._forget_trial()
            return None
        self._write_trial(classifier.digest, _UNFINISHED_TRIALS)
        return f"{classifier.name} takes {real_time_factor:.1f} s for a second of sound"

    def adjourn(self) -> None:
        """Put off the trial to the next start."""
        self._forget_trial()

    def _begin_trial(self, classifier: Classifier) -> None:
        if classifier.path in (PACKAGED, OPEN) or self._is_last_good(classifier):
            return
        digest, _, count = self._read_trial().partition(" ")
        starts = int(count) if digest == classifier.digest and count.isdigit() else 0
        if starts >= _UNFINISHED_TRIALS:
            raise ModelError(
                f"model {classifier.path}: failed its trial; replace it and send SIGHUP"
            )
        self._write_trial(classifier.digest, starts + 1)

    def _is_last_good(self, classifier: Classifier) -> bool:
        try:
            return sha256(self._last_good.read_bytes()).hexdigest() == classifier.digest
        except OSError:
            return False

    def _keep(self, classifier: Classifier) -> None:
        if classifier.path in (PACKAGED, OPEN) or self._is_last_good(classifier):
            return
        try:
            content = classifier.path.read_bytes()
            if sha256(content).hexdigest() != classifier.digest:
                return
            write_whole(self._last_good, content)
        except OSError as error:
            log.warning("model: no copy of it can be kept to go back to: %s", error)

    def _forget_trial(self) -> None:
        try:
            self._trial.unlink(missing_ok=True)
        except OSError as error:
            log.warning("model: the note of its trial can't be removed: %s", error)

    def _read_trial(self) -> str:
        try:
            return self._trial.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def _write_trial(self, digest: str, starts: int) -> None:
        try:
            self._trial.parent.mkdir(parents=True, exist_ok=True)
            self._trial.write_text(f"{digest} {starts}\n", encoding="ascii")
        except OSError as error:
            log.warning("model: its trial can't be noted: %s", error)


def _check(path: Path) -> Classifier:
    """Load a model and try it; compare it with the digest that lies beside it, if one does."""
    classifier = Classifier(path)
    if _deaf(classifier):
        raise ModelError(f"model {path}: it gives the same scores to whatever it hears")
    beside = path.with_name(path.name + ".sha256")
    try:
        wanted = beside.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return classifier
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{beside}: {error}") from error
    if not wanted or wanted[0].lower() != classifier.digest:
        raise ModelError(
            f"model {path}: its digest is {classifier.digest}, {beside.name} wants "
            f"{wanted[0] if wanted else 'nothing'}; was it copied whole?"
        )
    return classifier


def _deaf(classifier: Classifier) -> bool:
    """Whether silence, loud low bands, loud high bands and a beat in both score the same."""
    spec = classifier.spec
    falling = np.linspace(0.0, FLOOR_DB, spec.n_mels, dtype=np.float32)[:, np.newaxis]
    steady = np.ones(spec.window_frames, np.float32)
    beat = 1.0 + 0.5 * np.sign(np.sin(0.5 * np.arange(spec.window_frames, dtype=np.float32)))
    shown = [FLOOR_DB * np.ones_like(falling) * steady, falling * steady, falling[::-1] * steady]
    shown.append(np.maximum(FLOOR_DB, falling * beat))
    scores = [classifier.scores(np.ascontiguousarray(window, np.float32)) for window in shown]
    return bool(np.ptp(scores, axis=0).max() < _SAME)
