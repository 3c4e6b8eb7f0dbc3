"""Which models are tested on what: clips that each of them has not heard before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import read_model
from training.dataset import LICENCES, Clip, DataError
from training.evaluation.scoring import DaemonListener, held_out
from training.evaluation.suite import Subject

_log = logging.getLogger(__name__)


def subjects(
    models: Sequence[Path], clips: Sequence[Clip], *, tuning: bool = False, least: int = 1
) -> list[Subject]:
    """Load models and pair each with its clips; see `held_out_clips`.

    Where there are fewer models than `least`, each one's clips are dealt out by recording to
    several subjects, so that rules can be chosen on some and measured on others.
    """
    shares = -(-least // len(models))
    made = []
    for path, mine in zip(models, held_out_clips(models, clips, tuning=tuning), strict=True):
        classifier = Classifier(path)
        listener = DaemonListener(classifier, f"{path.parent.name}/{path.stem}")
        for part in _dealt(mine, shares):
            made.append(Subject(listener, tuple(part), classifier.digest, path))
    return made


def _dealt(clips: Sequence[Clip], shares: int) -> list[list[Clip]]:
    labels = {clip.recording: (clip.label, clip.sub_label, clip.source) for clip in clips}
    order = sorted(labels, key=lambda recording: (labels[recording], recording))
    place = {recording: n % shares for n, recording in enumerate(order)}
    return [[clip for clip in clips if place[clip.recording] == n] for n in range(shares)]


def held_out_clips(
    models: Sequence[Path], clips: Sequence[Clip], *, tuning: bool = False
) -> list[list[Clip]]:
    """Return what each model has not been trained on, by the JSON beside it.

    Clips that no model of this licence may be trained on are dealt out by recording, so that
    each counts once, unless a list names them: the lists of two cross-validations that are alike
    but for their licence name the same recordings, and both are tested on them. A model without
    a JSON is tested on everything, with a warning. For `tuning` a model that holds nothing out
    gets its validation recordings.
    """
    known = [held_out(path) for path in models]
    names = [set(lists.held_out_recordings) if lists else set() for lists in known]
    listed: set[str] = set().union(*names)
    unheard = [
        clip
        for clip in clips
        if clip.recording not in listed and all(clip.use not in heard_uses(path) for path in models)
    ]
    strangers = sorted({clip.recording for clip in unheard})
    dealt = {recording: n % len(models) for n, recording in enumerate(strangers)}
    taken = []
    for number, path in enumerate(models):
        own = names[number]
        lists = known[number]
        if lists is None:
            beside = path.with_suffix(".json").name
            _warn(path, f"no {beside} beside it says what it was not trained on; it hears all")
            taken.append(list(clips))
            continue
        if tuning and not own:
            _warn(path, "nothing is held out; its rules are chosen on its validation recordings")
            own = set(lists.validation_recordings)
        taken.append(
            [clip for clip in clips if clip.recording in own or dealt.get(clip.recording) == number]
        )
    if not any(taken):
        raise DataError(
            "none of the labelled clips is held out: there is nothing to test on; train a model "
            "with --fold 1 and test it, or name it by --folds"
        )
    return taken


def heard_uses(model: Path) -> tuple[str, ...]:
    """Return the uses that a model of this licence may have been trained on."""
    licence = read_model(model).spec.licence
    return next((uses for name, uses in LICENCES.values() if name == licence), ("train",))


def _warn(path: Path, what: str) -> None:
    _log.warning("%s: %s, and figures on what it has heard before flatter it", path, what)
