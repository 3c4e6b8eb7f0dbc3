"""Seeded test streams: chainsaws and engines over ambience, and ambience alone."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, zip_longest

import numpy as np

from rainwatchd.audio.samples import Floats
from training.dataset import Clip, DataError, load
from training.evaluation.kinds import kinds
from training.soundscape.looping import looped, trimmed
from training.soundscape.snr import band_power, gain_for

SLOT_S = 60
"""One event stands in every slot of this length."""

EVENT_S = (12.0, 25.0)
_LEAD_S = 8.0
"""Ambience before and after each event within its slot, so that alerts can end."""

_FADE_S = 0.5
_FAR_SHARE = 0.5
"""Share of events that are heard through a low-pass: air and leaves take the highs first."""

_LOWPASS_HZ = (1000.0, 8000.0)
"""Corner frequencies drawn for them."""

_LEVEL_DBFS = (-40.0, -15.0)
"""Levels drawn for the ambience: microphones and their gains differ."""

LASTING_S = 15.0
"""A shorter recording that is heard alone is looped to this length: what is five seconds of a
helicopter on file lasts for minutes in nature, and no alert could start within five."""

_SCENES_KEPT = 64
"""Minutes of sound that stay in memory for the next ratio, about 5 MB each at 16 kHz."""

_SHORTEST_EVENT_S = 1.0
_SHORTEST_BED_S = 10.0
_SILENT_POWER = 1e-10
"""-100 dBFS: below it a stretch of a recording is digital silence, not ambience."""


@dataclass(frozen=True)
class Truth:
    """What is really there; times in seconds from the start of the stream."""

    label: str
    onset_s: float
    offset_s: float
    recording: str
    source: str
    far: bool = False
    """Whether the highs were taken off, as distance does."""
    kinds: tuple[str, ...] = ()
    """What it counts as; see `training.evaluation.kinds`."""


@dataclass(frozen=True)
class Stream:
    """Sound with known events, made block by block so that an hour needs little memory."""

    name: str
    rate_hz: int
    duration_s: float
    truth: tuple[Truth, ...]
    blocks: Callable[[], Iterator[Floats]]
    """Makes the samples anew at every call, the same ones: float32 blocks of shape ``(n,)``."""
    made_of: str = ""
    """What else decides about the samples than name and truth."""


def event_streams(
    events: Sequence[Clip],
    ambience: Sequence[Clip],
    *,
    ratios_db: Sequence[float],
    slots: int,
    rate_hz: int,
    seed: int,
) -> dict[float, Stream]:
    """Lay one event a minute over ambience, exactly at each of `ratios_db`.

    Ratios are those of `training.soundscape.snr`.

    `events` are clips of one label. Every recording has its turn before any has a second one;
    kinds take turns, and within a kind sources, so that none rules. What is shorter than the
    event is looped within its recording, with crossfades. Everything but the gain is drawn from
    `seed` alone: the streams hold the same events at the same places. Raises `DataError` when
    there is nothing to draw from.
    """
    labels = sorted({clip.label for clip in events})
    if len(labels) != 1:
        raise DataError(f"an event stream needs clips of one class; it got {labels or 'none'}")
    pool = in_turn(events, random.Random(f"{seed} {'-'.join(labels)}"))
    # In an order of their own: the same recordings give the same streams however they were listed.
    beds = sorted(
        (clip for clip in ambience if clip.duration_s >= _SHORTEST_BED_S),
        key=lambda clip: clip.path,
    )
    if not pool or not beds:
        raise DataError(
            f"{labels[0]} streams need events of {_SHORTEST_EVENT_S:g} s or more and "
            f"ambience of {_SHORTEST_BED_S:g} s or more: add held-out recordings"
        )
    plans = [
        _plan(pool[slot % len(pool)], random.Random(f"{seed} {labels[0]} {slot}"))
        for slot in range(slots)
    ]
    truth = tuple(
        Truth(
            labels[0],
            slot * SLOT_S + plan.onset_s,
            slot * SLOT_S + plan.onset_s + plan.duration_s,
            plan.clips[0].recording,
            plan.clips[0].source,
            plan.lowpass_hz is not None,
            kinds(plan.clips[0]),
        )
        for slot, plan in enumerate(plans)
    )

    made_of = f"{seed} {[(bed.recording, bed.path.name) for bed in beds]}"

    # Reading and filtering cost most, and each scene is wanted once for every ratio.
    @lru_cache(_SCENES_KEPT)
    def scene(slot: int) -> tuple[Floats, Floats, int]:
        return _scene(plans[slot], beds, rate_hz, random.Random(f"{seed} bed {slot}"))

    def stream(snr_db: float) -> Stream:
        def blocks() -> Iterator[Floats]:
            gain = np.float32(10.0 ** (snr_db / 20.0))
            for slot in range(slots):
                bed, event, first = scene(slot)
                mixed = bed.copy()
                mixed[first : first + event.size] += gain * event
                yield mixed / max(np.float32(1.0), np.abs(mixed).max())

        name = f"{labels[0]} at {snr_db:+g} dB"
        return Stream(name, rate_hz, float(slots * SLOT_S), truth, blocks, made_of)

    return {snr_db: stream(snr_db) for snr_db in ratios_db}


def joined_stream(name: str, clips: Sequence[Clip], *, rate_hz: int) -> Stream:
    """Join whole recordings end to end, at their own levels, like sounds together.

    Each clip is one `Truth` with its label, whatever it is. Short clips one after the other make
    what lasts in nature last here too: a helicopter in five-second clips would end before any
    alert could start.
    """
    if not clips:
        raise DataError(f"{name}: no recordings to listen to: add some, or hold some out")
    ordered = sorted(
        clips, key=lambda clip: (clip.label, clip.sub_label, clip.recording, clip.path)
    )
    ends = list(accumulate(clip.duration_s for clip in ordered))

    def blocks() -> Iterator[Floats]:
        for clip in ordered:
            yield load(clip, rate_hz)

    truth = tuple(
        Truth(
            clip.label,
            end_s - clip.duration_s,
            end_s,
            clip.recording,
            clip.source,
            kinds=kinds(clip),
        )
        for clip, end_s in zip(ordered, ends, strict=True)
    )
    return Stream(name, rate_hz, ends[-1], truth, blocks)


def lone_streams(clips: Sequence[Clip], *, rate_hz: int) -> list[Stream]:
    """Return every recording by itself, its clips joined; a shorter one is looped to `LASTING_S`.

    The one `Truth` ends where the recording does.
    """
    recordings: dict[str, list[Clip]] = defaultdict(list)
    for clip in sorted(clips, key=lambda clip: (clip.recording, clip.path)):
        recordings[clip.recording].append(clip)
    return [_lone(own, rate_hz) for own in recordings.values()]


def _lone(clips: Sequence[Clip], rate_hz: int) -> Stream:
    length_s = sum(clip.duration_s for clip in clips)

    def blocks() -> Iterator[Floats]:
        parts = [load(clip, rate_hz) for clip in clips]
        if length_s >= LASTING_S:
            yield from parts
        else:
            sound = trimmed(np.concatenate(parts))
            yield looped([sound], round(LASTING_S * rate_hz), 0.0, rate_hz)

    first = clips[0]
    truth = Truth(first.label, 0.0, length_s, first.recording, first.source, kinds=kinds(first))
    return Stream(first.recording, rate_hz, max(LASTING_S, length_s), (truth,), blocks)


@dataclass(frozen=True)
class _Plan:
    clips: tuple[Clip, ...]
    onset_s: float
    duration_s: float
    lowpass_hz: float | None
    level_dbfs: float
    start: float
    """Where in the recording the event begins, as a share of its length."""


def _plan(clips: Sequence[Clip], draw: random.Random) -> _Plan:
    duration_s = draw.uniform(*EVENT_S)
    low, high = _LOWPASS_HZ
    return _Plan(
        clips=tuple(sorted(clips, key=lambda clip: clip.path)),
        onset_s=draw.uniform(_LEAD_S, SLOT_S - _LEAD_S - duration_s),
        duration_s=duration_s,
        lowpass_hz=low * (high / low) ** draw.random() if draw.random() < _FAR_SHARE else None,
        level_dbfs=draw.uniform(*_LEVEL_DBFS),
        start=draw.random(),
    )


def _scene(
    plan: _Plan, beds: Sequence[Clip], rate_hz: int, draw: random.Random
) -> tuple[Floats, Floats, int]:
    """Return one slot's ambience, its event at 0 dB, and the sample where that begins."""
    bed = _bed(beds, rate_hz, draw)
    bed *= 10.0 ** (plan.level_dbfs / 20.0) / np.sqrt(np.mean(bed**2))
    first = round(plan.onset_s * rate_hz)
    event = _event(plan, round(plan.duration_s * rate_hz), rate_hz)
    gain = gain_for(event, bed[first : first + event.size], 0.0, rate_hz)
    return bed, np.float32(gain) * event, first


def _event(plan: _Plan, length: int, rate_hz: int) -> Floats:
    material = [trimmed(load(clip, rate_hz)) for clip in plan.clips]
    event = looped(material, length, plan.start, rate_hz)
    if plan.lowpass_hz is not None:
        # Butterworth of second order: 12 dB an octave.
        falling = np.sqrt(1.0 + (np.fft.rfftfreq(length, 1.0 / rate_hz) / plan.lowpass_hz) ** 4)
        event = np.fft.irfft(np.fft.rfft(event) / falling, length).astype(np.float32)
    fade = 0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, round(_FADE_S * rate_hz), dtype=np.float32))
    event[: fade.size] *= fade
    event[-fade.size :] *= fade[::-1]
    return event


def _bed(beds: Sequence[Clip], rate_hz: int, draw: random.Random) -> Floats:
    length = SLOT_S * rate_hz
    for _ in range(50):
        samples = load(draw.choice(beds), rate_hz)
        bed = looped([samples], length, draw.random(), rate_hz)
        quietest = min(band_power(part, rate_hz) for part in np.split(bed, 12))
        if quietest > _SILENT_POWER:
            return bed
    raise DataError("fifty drawn ambiences held silence: the held-out ambience is unusable")


def in_turn(clips: Sequence[Clip], draw: random.Random) -> list[list[Clip]]:
    """Return the clips of every recording, kinds taking turns, and within each its sources."""
    recordings: dict[str, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.duration_s >= _SHORTEST_EVENT_S:
            recordings[clip.recording].append(clip)
    pool: dict[str, dict[str, list[list[Clip]]]] = defaultdict(lambda: defaultdict(list))
    for _, own in sorted(recordings.items()):
        pool[kinds(own[0])[0]][own[0].source].append(own)
    queues = []
    for _, sources in sorted(pool.items()):
        for _, group in sorted(sources.items()):
            draw.shuffle(group)
        lists = list(sources.values())
        draw.shuffle(lists)
        queues.append(_alternating(lists))
    return _alternating(queues)


def _alternating(queues: Sequence[Sequence[list[Clip]]]) -> list[list[Clip]]:
    """Take one of each queue in turn until all are empty."""
    return [own for turn in zip_longest(*queues) for own in turn if own is not None]
