"""How far away a stated machine is found, through air and leaves, over ambience of a stated level.

Everything is in pascals until the end: recordings take the level and the octave bands of one
stated machine at 1 m, lose on their way what `training.soundscape.outdoors` says, and are laid
over ambience scaled to its own level in dB(A). So the metres stand on the stated machine and
path; real ones scatter about them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rainwatchd.audio.samples import Floats
from training.dataset import Clip, load
from training.evaluation.intervals import Share, share
from training.evaluation.kinds import kinds
from training.evaluation.matching import alerts, match
from training.evaluation.scoring import Scored
from training.evaluation.streams import Stream, Truth, in_turn
from training.evaluation.verdict import Rules
from training.soundscape.looping import looped, trimmed
from training.soundscape.outdoors import (
    FOLIAGE_HZ,
    a_weighted_power,
    air_absorption_db_per_m,
    foliage_db,
    spreading_db,
)

Values = NDArray[np.floating[Any]]

DISTANCES_M = (50, 100, 200, 300, 500, 700, 1000, 1500)
AMBIENCE_DB_A = (35, 45, 55)
TEMPERATURE_C = 25.0
HUMIDITY_PERCENT = 85.0
FULL_SCALE_DB = 100.0
"""Level of a full-scale sine; recorders are set about there by their gain."""
NOISE_DB_A = 29.0
"""The microphone's own noise: a MEMS microphone of 65 dB(A) re 94 dB."""

EVENT_S = 20.0
_LEAD_S = 8.0
_SLOT_S = EVENT_S + 2 * _LEAD_S
_SHORTEST_S = 1.0
_SHORTEST_BED_S = 10.0
_MOST_EQUALISED_DB = 12.0
"""What a recording lacks altogether is not made up of its noise."""


@dataclass(frozen=True)
class Machine:
    """A stated source."""

    name: str
    kind: str
    """Of `training.evaluation.kinds.kinds`: recordings that it is made of."""
    level_db_a: float
    """At 1 m."""


MACHINES = (Machine("saw", "chainsaw", 110.0), Machine("truck", "truck", 97.5))
"""A petrol chainsaw under load, and a truck at 80 dB(A) in 7.5 m, the limit that UN Regulation
51.02 sets for those above 150 kW."""

Place = tuple[str, int, int]
"""(machine, metres, dB(A) of ambience)"""


def reach_streams(
    clips: Sequence[Clip], spectra: Mapping[str, Values], *, rate_hz: int, events: int, seed: int
) -> dict[Place, Stream]:
    """Return the streams of one subject: `events` of each machine at each place.

    `spectra` are those of `mean_spectrum`, by machine; a machine without one has no streams.
    """
    beds = sorted(
        (c for c in clips if c.label == "background" and c.duration_s >= _SHORTEST_BED_S),
        key=lambda clip: clip.path,
    )
    streams: dict[Place, Stream] = {}
    for machine in MACHINES:
        own = of_kind(clips, machine)
        if own and beds and machine.name in spectra:
            draw = random.Random(f"{seed} {machine.name}")
            recordings = in_turn(own, draw)
            scene = _Scene(
                machine,
                spectra[machine.name],
                rate_hz=rate_hz,
                chosen=[recordings[n % len(recordings)] for n in range(events)],
                beds=[draw.choice(beds) for _ in range(events)],
                seed=seed,
            )
            streams |= scene.streams()
    return streams


def of_kind(clips: Sequence[Clip], machine: Machine) -> list[Clip]:
    """Return the clips that `machine` is made of."""
    return [c for c in clips if machine.kind in kinds(c) and c.duration_s >= _SHORTEST_S]


def mean_spectrum(clips: Sequence[Clip], rate_hz: int) -> Values:
    """Return the mean octave-band levels of recordings, dB re their A-weighted level.

    Bands are those of `FOLIAGE_HZ`; the highest ends at half of `rate_hz`.
    """
    levels: Values = np.mean([_octaves_db(load(clip, rate_hz), rate_hz) for clip in clips], axis=0)
    return levels


def recall_at(
    groups: Sequence[Mapping[Place, Scored]], rules: Sequence[Rules]
) -> dict[Place, Share]:
    """Return what was found at each place, each group under its own rules."""
    trials: dict[Place, list[tuple[str, bool]]] = {}
    for group, own in zip(groups, rules, strict=True):
        for place, scored in group.items():
            stream = scored.stream
            findings = match(stream.truth, alerts(scored, own), stream.duration_s).findings
            trials.setdefault(place, []).extend(
                (finding.truth.recording, finding.latency_s is not None) for finding in findings
            )
    return {place: share(hits) for place, hits in trials.items()}


def at_distance(event: Floats, metres: float, rate_hz: int) -> Floats:
    """Return what is left of a sound at 1 m, shape ``(n,)``, after so many metres of forest."""
    frequency_hz = np.fft.rfftfreq(event.size, 1.0 / rate_hz)
    air = air_absorption_db_per_m(frequency_hz, TEMPERATURE_C, HUMIDITY_PERCENT)
    loss_db = spreading_db(metres) + air * metres + foliage_db(frequency_hz, metres)
    return _filtered(event, -loss_db)


class _Scene:
    """One machine's events, the same at every place but for distance and level."""

    def __init__(
        self,
        machine: Machine,
        spectrum: Values,
        *,
        rate_hz: int,
        chosen: Sequence[Sequence[Clip]],
        beds: Sequence[Clip],
        seed: int,
    ) -> None:
        """`chosen` are the clips of the recording that each event is made of, `beds` of its bed."""
        self._machine = machine
        self._spectrum = spectrum
        self._rate_hz = rate_hz
        self._chosen = chosen
        self._beds = beds
        self._seed = seed
        self._length = round(_SLOT_S * rate_hz)
        self._near = cache(self._make_near)
        self._bed = cache(self._make_bed)

    def streams(self) -> dict[Place, Stream]:
        return {
            (self._machine.name, metres, level): self._stream(metres, level)
            for metres in DISTANCES_M
            for level in AMBIENCE_DB_A
        }

    def _stream(self, metres: int, ambience_db_a: int) -> Stream:
        truth = tuple(
            Truth(
                own[0].label,
                number * _SLOT_S + _LEAD_S,
                number * _SLOT_S + _LEAD_S + EVENT_S,
                own[0].recording,
                own[0].source,
                kinds=kinds(own[0]),
            )
            for number, own in enumerate(self._chosen)
        )
        made_of = (self._seed, self._machine, self._spectrum.round(3).tolist())
        return Stream(
            f"{self._machine.name} at {metres} m over {ambience_db_a} dB(A)",
            self._rate_hz,
            len(self._chosen) * _SLOT_S,
            truth,
            lambda: self._blocks(metres, ambience_db_a),
            repr((made_of, [bed.path.name for bed in self._beds])),
        )

    def _blocks(self, metres: int, ambience_db_a: int) -> Iterator[Floats]:
        first = round(_LEAD_S * self._rate_hz)
        for number in range(len(self._chosen)):
            bed, noise = self._bed(number)
            mixed = _amplitude(ambience_db_a) * bed + _amplitude(NOISE_DB_A) * noise
            event = at_distance(self._near(number), metres, self._rate_hz)
            mixed[first : first + event.size] += event
            yield np.clip(mixed, -1.0, 1.0)

    def _make_near(self, number: int) -> Floats:
        return _stated(self._chosen[number], self._machine, self._spectrum, self._rate_hz)

    def _make_bed(self, number: int) -> tuple[Floats, Floats]:
        """Ambience and the microphone's white noise, each with an A-weighted power of 1."""
        sound = looped([load(self._beds[number], self._rate_hz)], self._length, 0.0, self._rate_hz)
        rng = np.random.default_rng([self._seed, number])
        noise = rng.standard_normal(self._length, dtype=np.float32)
        return _unit(sound, self._rate_hz), _unit(noise, self._rate_hz)


def _stated(clips: Sequence[Clip], machine: Machine, spectrum: Values, rate_hz: int) -> Floats:
    """Return `EVENT_S` of one recording with the octave bands and the level of `machine` at 1 m."""
    material = [trimmed(load(clip, rate_hz)) for clip in clips]
    event = looped(material, round(EVENT_S * rate_hz), 0.0, rate_hz)
    lacking = np.clip(
        spectrum - _octaves_db(event, rate_hz), -_MOST_EQUALISED_DB, _MOST_EQUALISED_DB
    )
    octave = np.log2(np.maximum(np.fft.rfftfreq(event.size, 1.0 / rate_hz), FOLIAGE_HZ[0]))
    shaped = _filtered(event, np.interp(octave, np.log2(FOLIAGE_HZ), lacking))
    loudness = np.sqrt(a_weighted_power(shaped, rate_hz))
    stated: Floats = shaped * np.float32(_amplitude(machine.level_db_a) / loudness)
    return stated


def _unit(sound: Floats, rate_hz: int) -> Floats:
    scaled: Floats = sound / np.float32(np.sqrt(a_weighted_power(sound, rate_hz)) + 1e-12)
    return scaled


def _octaves_db(samples: Floats, rate_hz: int) -> Values:
    power = np.abs(np.fft.rfft(samples.astype(np.float64))) ** 2
    frequency_hz = np.fft.rfftfreq(samples.size, 1.0 / rate_hz)
    whole = a_weighted_power(samples, rate_hz) * samples.size**2 / 2.0
    bands = [
        power[(frequency_hz >= centre / 2**0.5) & (frequency_hz < centre * 2**0.5)].sum()
        for centre in FOLIAGE_HZ
    ]
    levels: Values = 10.0 * np.log10(np.array(bands) / (whole + 1e-20) + 1e-9)
    return levels


def _filtered(samples: Floats, gain_db: Values) -> Floats:
    spectrum = np.fft.rfft(samples) * 10.0 ** (gain_db / 20.0)
    return np.fft.irfft(spectrum, samples.size).astype(np.float32)


def _amplitude(level_db: float) -> np.float32:
    """Root mean square of a level, where a full-scale sine has `FULL_SCALE_DB`."""
    return np.float32(10.0 ** ((level_db - FULL_SCALE_DB) / 20.0) / np.sqrt(2.0))
