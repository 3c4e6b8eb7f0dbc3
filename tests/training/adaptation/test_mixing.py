"""Real sounds over a site's clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from rainwatchd.audio.samples import Floats
from tests.tiny_model import SPEC
from training.adaptation.labels import BACKGROUND, Labelled
from training.adaptation.mixing import Mixer
from training.adaptation.trial import PARTS

RATE_HZ = SPEC.sample_rate_hz
SAWS_HZ = {"first-A": 900.0, "first-B": 950.0, "second": 1000.0, "third": 1050.0}


def heard_hz(sound: Floats) -> float:
    """The strongest tone."""
    return float(np.abs(np.fft.rfft(sound)).argmax() * RATE_HZ / sound.size)


def test_pieces_of_one_recording_are_never_laid_over_two_parts(tmp_path: Path) -> None:
    seconds = np.arange(5 * RATE_HZ) / RATE_HZ
    (tmp_path / "chainsaw").mkdir()
    rows = ["path,recording,class"]
    for name, hz in SAWS_HZ.items():
        saw = 0.2 * np.sin(2 * np.pi * hz * seconds)
        soundfile.write(tmp_path / f"chainsaw/{name}.wav", saw, RATE_HZ)
        rows.append(f"chainsaw/{name}.wav,{name.partition('-')[0]},chainsaw")
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, np.random.default_rng(5).normal(0.0, 0.001, seconds.size), RATE_HZ)

    def parts() -> list[set[float]]:
        mixer, labelled = Mixer(tmp_path, SPEC), Labelled(clip, BACKGROUND, None)
        return [
            {
                round(heard_hz(sound))
                for turn in range(4)
                for mix, sound in mixer.over(labelled, turn, share)
                if mix.label == "chainsaw"
            }
            for share in range(PARTS)
        ]

    # Each file counts as a recording where no manifest says more.
    assert parts() == [{900, 1050}, {950}, {1000}]
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    assert parts() == [{900, 950}, {1000}, {1050}]
