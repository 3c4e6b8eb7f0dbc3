"""``python -m training adapt``: fit a model's last layer again, with a site's own labels."""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np

from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError, RainwatchError
from rainwatchd.hearing.classifier import Classifier
from rainwatchd.hearing.model_file import PACKAGED, ModelFile, read_model
from rainwatchd.hearing.model_spec import ModelSpec
from rainwatchd.whole import write_whole
from training.adaptation.anchor import Anchor, anchor_of, read_anchor
from training.adaptation.features import FeatureReader
from training.adaptation.heads import Heads, read_heads
from training.adaptation.labels import SiteLabels, read_labels
from training.adaptation.mixing import REAL, Mixer, mixed
from training.adaptation.occasions import APART_S
from training.adaptation.trial import LEAST, PARTS, Example, Trial, attempt

SITE = "+site"

_STRENGTHS = (1.0, 0.3, 0.1)
"""How heavy all of a site's labels are beside all of the anchor; the first that may serve."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("model", type=Path, help="ONNX file to adapt")
    parser.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="clips with verdicts from the device or from `rainwatchd calibrate`, or class folders",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new model")
    parser.add_argument(
        "--real",
        type=Path,
        default=REAL,
        metavar="FOLDER",
        help="recordings of what must still be found, by class, which are laid over the clips; "
        "default: those that come with the checkout",
    )
    parser.add_argument("--anchor", type=Path, metavar="FILE", help="default: beside the model")


def command(options: argparse.Namespace) -> None:
    """Learn, prove, and write the file last."""
    began_s = time.monotonic()
    model = read_model(options.model)
    spec = model.spec
    heads = read_heads(options.model, spec.labels)
    anchor = _anchor(options, heads)
    labels = read_labels(options.labels, spec.labels)
    for complaint in labels.complaints:
        print(f"training: {complaint}", file=sys.stderr)
    mixer = Mixer(options.real, spec)
    reader = FeatureReader(heads, spec)
    examples = _hear(labels, reader)
    _print_labels(labels, examples)
    _check_enough(examples)
    examples = mixed(examples, mixer, reader, lambda done: _show("mixing", done, len(examples)))
    _end_line()
    trial = None
    for strength in _STRENGTHS:
        print(f"fitting, labels weigh {strength:g}", file=sys.stderr)
        trial = attempt(heads, spec, anchor, examples, strength)
        _print_trial(trial)
        if trial.pointless:
            raise RainwatchError(
                "not written: this model scores none of these recordings over a threshold, so "
                "there is nothing to learn; give clips that it raised an alert on"
            )
        if not trial.objections:
            break
    if trial is None or trial.objections:
        objections = "; ".join(trial.objections) if trial else ""
        raise RainwatchError(f"not written: {objections}; judge more clips of this nuisance")
    _write(options.out, model, heads, trial, examples)
    print(f"{time.monotonic() - began_s:.0f} s; {options.out}")
    print("calibrate it to the site's ambience before it serves: rainwatchd calibrate --model")


def _check_enough(examples: Sequence[Example]) -> None:
    quiet = [example.labelled for example in examples if example.quiet]
    if len(quiet) < LEAST:
        raise RainwatchError(
            f"too few labels: {len(quiet)} recordings that should have raised no alert; "
            f"judge {LEAST - len(quiet)} more"
        )
    occasions = len({labelled.occasion for labelled in quiet})
    if occasions < PARTS:
        raise RainwatchError(
            f"too few occasions: the {len(quiet)} recordings that should have raised no alert are "
            f"of {occasions}; judge clips of {PARTS - occasions} more, some other day (what is "
            f"less than {APART_S / 60:.0f} minutes apart, or lies in one folder within its class "
            "folder, is one)"
        )


def _anchor(options: argparse.Namespace, heads: Heads) -> Anchor:
    if options.anchor is not None:
        return read_anchor(options.anchor, heads.trunk)
    beside = anchor_of(options.model)
    # An adapted model has the trunk of the one that shipped.
    return read_anchor(beside if beside.exists() else anchor_of(PACKAGED), heads.trunk)


def _hear(labels: SiteLabels, reader: FeatureReader) -> list[Example]:
    examples = []
    for number, labelled in enumerate(labels.recordings, start=1):
        _show("hearing", number, len(labels.recordings))
        try:
            heard = reader.hear(labelled.path)
        except AudioError as error:
            labels.complaints.append(str(error))
            print(f"training: {error}", file=sys.stderr)
            continue
        if heard.end_s.size:
            examples.append(Example(labelled, heard))
    _end_line()
    return examples


def _show(doing: str, done: int, count: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{doing}: {done} of {count}", end="", file=sys.stderr, flush=True)


def _end_line() -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _print_labels(labels: SiteLabels, examples: Sequence[Example]) -> None:
    quiet = sum(example.quiet for example in examples)
    occasions = len({example.labelled.occasion for example in examples})
    left = f"{labels.unjudged} not judged, {labels.unsure} unsure"
    print(
        f"labels: {quiet} must raise no alert, {len(examples) - quiet} are real, "
        f"of {occasions} occasions; {left}"
    )


def _print_trial(trial: Trial) -> None:
    before, after = trial.before, trial.after
    print(
        f"  held out, {before.quiet} that must raise no alert: "
        f"windows over a threshold {before.windows} -> {after.windows}, "
        f"recordings with an alert {before.alarms} -> {after.alarms}"
    )
    if before.over:
        print(
            f"  over them, {before.over} real sounds at 0 to -10 dB: found "
            f"{before.over_found} -> {after.over_found}"
        )
    if before.real:
        print(f"  held out, {before.real} real: found {before.found} -> {after.found}")
    for label, (found, count) in trial.recall_before.items():
        now = trial.recall_after[label][0]
        print(f"  anchor, {label}: recall {found / count:.3f} -> {now / count:.3f} of {count}")


def _write(
    out: Path, model: ModelFile, heads: Heads, trial: Trial, examples: Sequence[Example]
) -> None:
    """Write the model with what it learned from, tried as the daemon would, by rename."""
    import onnx

    from training.network.export import describe

    spec = model.spec
    name = spec.name if spec.name.endswith(SITE) else spec.name + SITE
    learned: dict[str, str | int | float] = {
        "site_recordings": len(examples),
        "site_must_not_alert": sum(example.quiet for example in examples),
        "site_windows": sum(int(example.chosen().sum()) for example in examples),
        "site_digest": _digest(examples),
        "site_parent": model.digest,
    }
    new = msgspec.structs.replace(spec, name=name, training_data=spec.training_data | learned)
    part = out.with_name(f".{out.stem}.part.onnx")
    known = model.path.with_suffix(".json")
    try:
        onnx.save(heads.fitted(trial.weights), part)
        describe(part, new, _reference(spec, examples))
        Classifier(part)
        if known.is_file() and known != out.with_suffix(".json"):
            # What the trunk has not heard, for `evaluate`.
            write_whole(out.with_suffix(".json"), known.read_bytes())
        part.replace(out)
    except OSError as error:
        raise RainwatchError(f"{out}: {error.strerror or error}; nothing is written") from error
    finally:
        for left in (part, part.with_suffix(".part")):
            with suppress(OSError):
                left.unlink()


def _reference(spec: ModelSpec, examples: Sequence[Example]) -> Floats:
    """Return the parent's own reference window; a labelled one where it has none."""
    test = spec.self_test
    if test is not None:
        levels = np.frombuffer(zlib.decompress(base64.b64decode(test.log_mel)), np.uint8)
        shaped = levels.reshape(spec.n_mels, spec.window_frames).astype(np.float32)
        window: Floats = np.float32(test.offset_db) + np.float32(test.step_db) * shaped
        return window
    first = examples[0].heard.log_mel
    assert first is not None
    return first


def _digest(examples: Sequence[Example]) -> str:
    """SHA-256 over labels and bytes, whatever the folder."""
    entries = [
        f"{example.labelled.label}\t{hashlib.sha256(example.labelled.path.read_bytes()).hexdigest()}"
        for example in examples
    ]
    return hashlib.sha256("\n".join(sorted(entries)).encode()).hexdigest()
