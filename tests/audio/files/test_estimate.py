"""How long a recording is by a look at its head: near enough to plan by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rainwatchd.audio.files.length import guess_s, length_s

SOUND = np.random.default_rng(4).normal(0.0, 0.1, 22050 * 7)


def told(path: Path) -> float:
    return length_s(path, path.stat().st_size)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("a.wav", {}),
        ("a.rf64", {"format": "RF64"}),
        ("a.w64", {"format": "W64"}),
        ("a.flac", {}),
        ("a.ogg", {}),
        ("a.aiff", {}),
        ("a.caf", {"format": "CAF"}),
        ("a.au", {}),
    ],
)
def test_a_header_that_tells_is_believed(
    name: str, settings: dict[str, str], tmp_path: Path
) -> None:
    soundfile.write(tmp_path / name, SOUND, 22050, **settings)
    assert told(tmp_path / name) == pytest.approx(7.0, abs=0.01)


def test_opus_counts_at_its_own_rate(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.opus", SOUND[: 16000 * 5], 16000, format="OGG", subtype="OPUS")
    assert told(tmp_path / "a.opus") == pytest.approx(5.0, abs=0.1)


@pytest.mark.parametrize("claimed", [0, 44, 0xFFFFFFFF])
def test_what_a_recorder_without_power_left_is_measured(claimed: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND, 22050, subtype="PCM_16")
    content = path.read_bytes()
    path.write_bytes(content[:40] + claimed.to_bytes(4, "little") + content[44:])
    assert told(path) == pytest.approx(7.0, abs=0.01)


def test_nothing_is_nothing_and_the_rest_is_guessed(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    assert told(tmp_path / "empty.wav") == 0.0
    for content in (b"ID3" + bytes(32000), b"RIFF....WAVEfmt ", b"OggS", b"fLaC" + bytes(9)):
        path = tmp_path / "x.mp3"
        path.write_bytes(content)
        assert told(path) == guess_s(".mp3", len(content)) > 0.0
    assert length_s(tmp_path / "gone.wav", 96_000) == 1.0
