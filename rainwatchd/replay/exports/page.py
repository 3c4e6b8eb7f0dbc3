"""One HTML page that needs nothing else: when what was heard, the strongest to look at and hear."""

from __future__ import annotations

import base64
import io
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from html import escape
from pathlib import Path

import numpy as np
import soundfile

from rainwatchd.audio.excerpts import excerpts
from rainwatchd.audio.resampling import Resampler
from rainwatchd.audio.samples import Floats
from rainwatchd.clips.png import spectrogram_png
from rainwatchd.errors import AudioError
from rainwatchd.hearing.log_mel import LogMel, MelSpec
from rainwatchd.replay.archive.sources import Source, at_hand, url
from rainwatchd.replay.exports.clock_picture import COLOURS, Listened, clock_picture
from rainwatchd.replay.exports.reading import Archive, Record, Sound, read_archive
from rainwatchd.replay.report import clock

STRONGEST = 20

_CLIP_S = 8.0
"""Of each of the strongest, with a second before it."""

_CLIP_RATE_HZ = 16000
"""Opus takes it as it is."""

_MOST_LINES = 200
"""Of recordings that were not heard to their end, or are odd."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #202124; max-width: 960px; margin: 2em auto;
  padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse } th, td { padding: .25em .9em .25em 0; text-align: left }
td.n, th.n { text-align: right } small, .dim { color: #5f6368 }
figure { margin: 0 0 1.2em } figure img { width: 100%; max-width: 480px; height: 96px;
  image-rendering: pixelated; display: block }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(420px, 1fr)); gap: 1em }
audio { height: 32px; width: 100%; max-width: 480px } svg { max-width: 100%; height: auto }
"""


def write(folder: Path, to: Path) -> None:
    """Write the page; recordings that are not at hand are shown without picture and sound."""
    archive = read_archive(folder)
    to.write_text("\n".join(_page(archive)), encoding="utf-8")


def _page(archive: Archive) -> Iterator[str]:
    records = archive.records
    sounds = [(record, sound) for record in records for sound in record.sounds]
    failed = [record for record in records if record.failure is not None]
    hours = sum(record.heard_s for record in records) / 3600
    yield "<!doctype html><html lang='en'><meta charset='utf-8'>"
    yield "<meta name='viewport' content='width=device-width'>"
    yield f"<title>What was heard</title><style>{_STYLE}</style>"
    yield "<h1>What was heard</h1>"
    yield (
        f"<p>{len(records)} recordings, {_span(archive)}{hours:.1f} hours heard, "
        f"{len(sounds)} detections, {len(failed)} recordings not heard to their end.<br><small>"
        f"{escape(archive.mark.model)}, rainwatchd {escape(archive.mark.version)}</small></p>"
    )
    yield "<h2>When</h2>"
    yield _when(archive, sounds)
    yield "<h2>Where</h2>"
    yield from _counts(archive)
    yield f"<h2>The strongest {min(STRONGEST, len(sounds))}</h2><div class='grid'>"
    strongest = sorted(sounds, key=lambda pair: (-pair[1].peak_score, pair[0].path))[:STRONGEST]
    samples = _samples(archive, strongest)
    for (record, sound), heard in zip(strongest, samples, strict=True):
        yield _figure(archive, record, sound, heard)
    yield "</div><h2>Not heard to their end</h2>"
    yield from _lines([record.failure or "" for record in failed])
    yield "<h2>Heard, but odd</h2>"
    yield from _lines([f"{record.path}: {note}" for record in records for note in record.notes])


def _when(archive: Archive, sounds: Sequence[tuple[Record, Sound]]) -> str:
    offset, clock = _clock_of(archive)
    return clock_picture(
        [(sound.label, sound.start and sound.start + offset) for _, sound in sounds],
        Listened.to(
            (
                record.start + offset,
                record.start + offset + timedelta(seconds=record.heard_s),
            )
            for record in archive.records
            if record.start is not None
        ),
        list(archive.mark.decision),
        clock,
    )


def _clock_of(archive: Archive) -> tuple[timedelta, str]:
    """Return what to add to UTC, as the recorders' clocks were said to be set, and its name."""
    offset = timedelta(seconds=archive.mark.utc_offset_s or 0.0)
    named = datetime(2000, 1, 1, tzinfo=timezone(offset)).strftime("%z") if offset else ""
    return offset, f"UTC{named[:3]}:{named[3:5]}" if named else "UTC"


def _span(archive: Archive) -> str:
    offset, _ = _clock_of(archive)
    days = [record.start + offset for record in archive.records if record.start is not None]
    if not days:
        return ""
    return f"from {min(days):%-d %B %Y} to {max(days):%-d %B %Y}, "


def _counts(archive: Archive) -> Iterator[str]:
    labels = list(archive.mark.decision)
    heard_s: Counter[str] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    for record in archive.records:
        heard_s[record.device] += record.heard_s  # type: ignore[assignment]
        found.update((record.device, sound.label) for sound in record.sounds)
    heads = "".join(f"<th class=n>{escape(label)}</th>" for label in labels)
    yield f"<table><tr><th>device</th><th class=n>hours</th>{heads}</tr>"
    for device in sorted(heard_s):
        cells = "".join(f"<td class=n>{found[device, label]}</td>" for label in labels)
        hours = heard_s[device] / 3600
        yield f"<tr><td>{escape(device)}</td><td class=n>{hours:.1f}</td>{cells}</tr>"
    yield "</table>"


def _figure(archive: Archive, record: Record, sound: Sound, samples: Floats | str) -> str:
    """Show a sound by its samples, or say why there are none."""
    offset, name = _clock_of(archive)
    when = "time not known"
    if sound.start is not None:
        when = f"{sound.start + offset:%Y-%m-%d %H:%M:%S} {name}"
    said = (
        f"<b style='color:{COLOURS.get(sound.label, '#5f6368')}'>{escape(sound.label)}</b> "
        f"{sound.peak_score:.2f} &middot; {when}<br><small>{escape(record.path)} at "
        f"{clock(sound.start_s)}, {sound.end_s - sound.start_s:.0f} s</small>"
    )
    if isinstance(samples, str):
        return f"<figure>{said}<br><small>no sound: {escape(samples)}</small></figure>"
    picture = _data("image/png", spectrogram_png(LogMel(_MEL).push(samples)))
    out = io.BytesIO()
    soundfile.write(out, samples, _CLIP_RATE_HZ, format="OGG", subtype="OPUS")
    return (
        f"<figure>{said}<img alt='spectrogram' src='{picture}'>"
        f"<audio controls src='{_data('audio/ogg', out.getvalue())}'></audio></figure>"
    )


_MEL = MelSpec(_CLIP_RATE_HZ, n_fft=1024, hop_length=256, n_mels=96, fmin_hz=40.0, fmax_hz=8000.0)


def _samples(archive: Archive, sounds: Sequence[tuple[Record, Sound]]) -> list[Floats | str]:
    """Return the samples of each sound, or why there are none; each recording is read once."""
    told = archive.mark.channel
    channel = told if isinstance(told, int) else None
    within: dict[Record, list[int]] = defaultdict(list)
    for number, (record, _) in enumerate(sounds):
        within[record].append(number)
    found: dict[int, Floats | str] = {}
    for record, numbers in within.items():
        try:
            heard = _excerpts(record, [sounds[number][1] for number in numbers], channel)
            found.update(zip(numbers, map(_audible, heard), strict=True))
        except (AudioError, OSError) as error:
            found.update(dict.fromkeys(numbers, str(error)))
    return [found[number] for number in range(len(sounds))]


def _excerpts(record: Record, sounds: Sequence[Sound], channel: int | None) -> list[Floats]:
    source = Source(record.path, record.size_bytes, "")
    if url(record.path) is None and not Path(record.path).exists():
        raise AudioError("the recording is not where it was")
    starts_s = [max(0.0, sound.start_s - 1.0) for sound in sounds]
    spans_s = [(start_s, start_s + _CLIP_S) for start_s in starts_s]
    with (
        tempfile.TemporaryDirectory() as scratch,
        at_hand(source, Path(scratch)) as path,
    ):
        heard, rate_hz = excerpts(path, spans_s, channel)
    return [Resampler(rate_hz, _CLIP_RATE_HZ).push(sound, last=True) for sound in heard]


def _audible(samples: Floats) -> Floats | str:
    """Make all equally loud: a distant saw is faint."""
    if samples.size < _MEL.n_fft:
        return "the recording is shorter than it was"
    return samples * np.float32(0.5 / max(1e-6, float(np.abs(samples).max())))


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _lines(lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        yield "<p>None.</p>"
        return
    yield "<ul>"
    for line in lines[:_MOST_LINES]:
        yield f"<li><small>{escape(line)}</small></li>"
    yield "</ul>"
    if len(lines) > _MOST_LINES:
        yield f"<p class=dim>and {len(lines) - _MOST_LINES} more</p>"
