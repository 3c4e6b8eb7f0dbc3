"""What a file holds in bytes is heard, whatever its header says; what is missing is told."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rainwatchd.audio.files.part import PartFile
from rainwatchd.audio.files.parts import first_part
from rainwatchd.audio.files.rare import UNCHECKED
from rainwatchd.audio.recording import Recording
from rainwatchd.audio.ring import Gap, RingBuffer
from rainwatchd.audio.samples import Floats
from rainwatchd.errors import AudioError
from tests.audio.files.lying import (
    LIARS,
    RATE_HZ,
    aiff,
    encoded,
    ogg,
    sound,
    wav,
    with_vbri,
    without_xing,
)

SOUND = sound(12.0)


class Heard:
    """A recording heard to its end."""

    def __init__(self, path: Path, channel: int | None = None) -> None:
        recording = Recording(path, channel)
        ring = RingBuffer(1 << 16)
        pieces: list[Floats] = []
        self.gaps: list[Gap] = []
        self.failure: str | None = None
        try:
            recording.open()
            more = True
            while more:
                try:
                    more = recording.fill(ring, timeout_s=1.0)
                finally:
                    for item in ring:
                        if isinstance(item, Gap):
                            self.gaps.append(item)
                        else:
                            pieces.append(item.samples)
            self.progress, self.promised_s = recording.progress, recording.duration_s
        except AudioError as error:
            self.failure = str(error)
        self.samples = np.concatenate([np.zeros(0, np.float32), *pieces])
        self.warnings = recording.warnings if pieces else []
        self.position_s = recording.position_s if pieces else 0.0
        recording.close()
        for line in (*self.warnings, *filter(None, [self.failure])):
            assert str(path) in line
            assert len(line.splitlines()) == 1


def heard(folder: Path, content: bytes, name: str = "x") -> Heard:
    path = folder / name
    path.write_bytes(content)
    return Heard(path)


@pytest.mark.parametrize("name", LIARS)
@pytest.mark.parametrize("claimed_s", [0.0, 0.001375, 1.0, 11.9])
def test_sound_beyond_the_declared_end_is_heard(
    tmp_path: Path, name: str, claimed_s: float
) -> None:
    container, subtype, lie = LIARS[name]
    honest = encoded(SOUND, container, subtype)
    whole = heard(tmp_path, honest)
    assert (whole.samples.size, whole.failure, whole.warnings) == (SOUND.size, None, [])
    found = heard(tmp_path, lie(honest, 2 * round(claimed_s * RATE_HZ)))
    assert found.failure is None
    np.testing.assert_array_equal(found.samples, whole.samples)
    # Nought is what is written before anything is known; anything else is a wrong promise.
    told = [f"its header tells of {claimed_s:.3f} s" in line for line in found.warnings]
    assert told == ([True] if claimed_s else [])


@pytest.mark.parametrize("name", LIARS)
def test_a_header_that_promises_double_loses_nothing_and_is_told(tmp_path: Path, name: str) -> None:
    container, subtype, lie = LIARS[name]
    found = heard(tmp_path, lie(encoded(SOUND, container, subtype), 4 * SOUND.size))
    assert found.samples.size == SOUND.size
    assert found.failure is not None
    assert "cut short: 12.000 s of the 24.000 s that its header promises" in found.failure


def test_every_format_is_checked_or_said_to_be_none_that_can_be() -> None:
    lied_about = {container for container, _, _ in LIARS.values()} | {"OGG", "MP3", "WVE"}
    headerless = {"RAW", "SD2"}
    assert set(soundfile.available_formats()) == lied_about | UNCHECKED | headerless
    assert not lied_about & UNCHECKED


def test_where_the_length_cannot_be_checked_that_is_said(tmp_path: Path) -> None:
    for container in UNCHECKED:
        subtype = "DPCM_16" if container == "XI" else "PCM_16"
        content = encoded(SOUND, container, subtype)
        longer = encoded(np.tile(SOUND, 2), container, subtype)
        found = heard(tmp_path, content)
        assert (found.samples.size, found.failure) == (SOUND.size, None)
        (line,) = found.warnings
        assert f"length can't be checked: {container}" in line
        # What is there is heard, or a line says that it was not.
        beyond = heard(tmp_path, content + longer[len(content) :])
        assert beyond.samples.size == 2 * SOUND.size or beyond.failure is not None
        short = heard(tmp_path, longer[: len(content)])
        assert short.samples.size == SOUND.size or short.failure is not None


@pytest.mark.parametrize("subtype", ["PCM_U8", "ALAW", "ULAW"])
def test_a_voc_of_eight_bits_lies_both_ways(tmp_path: Path, subtype: str) -> None:
    honest = encoded(SOUND, "VOC", subtype)
    for factor in (0.5, 2.0):
        size = round(SOUND.size * factor).to_bytes(3, "little")
        found = heard(tmp_path, honest[:27] + size + honest[30:])
        assert abs(found.samples.size - SOUND.size) <= 1
        assert ("cut short" in (found.failure or "")) == (factor > 1)


def test_a_voc_that_is_nonsense_has_one_line(tmp_path: Path) -> None:
    for subtype in ("PCM_U8", "PCM_16"):
        honest = encoded(SOUND, "VOC", subtype)
        for size in range(20, 45):
            assert heard(tmp_path, honest[:size]).failure is not None
    assert heard(tmp_path, honest[:30] + b"\xff" * 4 + honest[34:]).failure is not None


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wve_lies_both_ways(tmp_path: Path, factor: float) -> None:
    honest = encoded(SOUND, "WVE", "ALAW", rate_hz=8000)
    size = struct.pack(">I", round(SOUND.size * factor))
    found = heard(tmp_path, honest[:18] + size + honest[22:])
    assert found.samples.size == SOUND.size
    assert ("cut short" in (found.failure or "")) == (factor > 1)
    assert bool(found.warnings) == (factor < 1)


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "GSM610", "ULAW"])
def test_a_compressed_aiff_lies_both_ways(tmp_path: Path, subtype: str) -> None:
    honest = encoded(SOUND, "AIFF", subtype)
    longer = encoded(np.tile(SOUND, 2), "AIFF", subtype)
    found = heard(tmp_path, honest + longer[len(honest) :])
    assert (found.samples.size, found.failure) == (2 * SOUND.size, None)
    assert "its header tells of 12.000 s" in found.warnings[0]
    found = heard(tmp_path, longer[: len(honest)])
    assert found.samples.size == SOUND.size
    assert "cut short: 12.000 s of the 24.000 s" in (found.failure or "")


def test_an_aiff_beyond_4_gib_is_heard(tmp_path: Path) -> None:
    honest = encoded(SOUND, "AIFF", "PCM_16", rate_hz=192000)
    real = (1 << 32) + 192000
    start = honest.index(b"SSND") + 16
    path = tmp_path / "night.aiff"
    with path.open("wb") as file:
        file.write(aiff(honest[:start], real & 0xFFFFFFFF))
        file.seek(start + real - 2 * SOUND.size)
        file.write(honest[start:])
    descriptor = os.open(path, os.O_RDONLY)
    part = first_part(descriptor, path.stat().st_size)
    with soundfile.SoundFile(PartFile(descriptor, part)) as reader:
        assert (reader.samplerate, reader.frames) == (192000, real // 2)
        reader.seek(-SOUND.size, soundfile.SEEK_END)
        found = reader.read(dtype="float32")
    os.close(descriptor)
    np.testing.assert_array_equal(found, heard(tmp_path, honest).samples)


def test_an_alac_is_heard_as_far_as_its_packets_go(tmp_path: Path) -> None:
    honest = encoded(SOUND, "CAF", "ALAC_16")
    data, packets = honest.index(b"data") + 4, honest.index(b"pakt") + 12
    whole = heard(tmp_path, honest)
    for claimed in (-1, 0, 44, len(honest) // 2, 2 * len(honest)):
        found = heard(tmp_path, honest[:data] + struct.pack(">q", claimed) + honest[data + 8 :])
        np.testing.assert_array_equal(found.samples, whole.samples)
        assert found.failure is None
    double = struct.pack(">q", 2 * SOUND.size)
    found = heard(tmp_path, honest[: packets + 8] + double + honest[packets + 16 :])
    assert "cut short: 12.000 s of the 24.000 s" in (found.failure or "")
    found = heard(tmp_path, honest[: len(honest) * 2 // 3])
    assert found.samples.size > SOUND.size // 2
    assert "of the 12.000 s" in (found.failure or "")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_without_its_last_page_is_told(tmp_path: Path, subtype: str) -> None:
    honest = encoded(SOUND, "OGG", subtype)
    assert heard(tmp_path, honest).warnings == []
    last = honest.rindex(b"OggS")
    for content in (honest[:last], honest[:-1], honest[: last + 30], honest[: len(honest) // 2]):
        found = heard(tmp_path, content)
        assert "the mark of its end is missing" in found.warnings[0]
        assert found.samples.size > SOUND.size // 3


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("length_s", [1.5, 12.0])
def test_an_ogg_whose_last_page_tells_too_little_is_heard_to_its_end(
    tmp_path: Path, subtype: str, length_s: float
) -> None:
    first = encoded(sound(3.0, seed=4), "OGG", subtype)
    honest = encoded(SOUND[: round(length_s * RATE_HZ)], "OGG", subtype)
    (granule,) = struct.unpack_from("<q", honest, honest.rindex(b"OggS") + 6)
    assert ogg(honest, granule) == honest
    whole = heard(tmp_path, honest)
    # A lie that is shorter than the last packet can't be told from what filled that up.
    second = 48_000 if subtype == "OPUS" else RATE_HZ
    for told in (-1, 0, 1, granule // 2, granule - second // 4, granule - second // 10):
        lying = ogg(honest, told)
        found = heard(tmp_path, lying)
        assert found.failure is None
        # What the encoder filled its last packet with is heard as well.
        assert 0 <= found.samples.size - whole.samples.size < 0.15 * RATE_HZ
        np.testing.assert_array_equal(found.samples[: whole.samples.size], whole.samples)
        assert ["its header tells of" in line for line in found.warnings] == [True] * (told > 0)
        joined = heard(tmp_path, lying + first)
        assert joined.failure is None
        assert joined.samples.size == found.samples.size + 3 * RATE_HZ


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_each_of_several_oggs_is_heard_to_its_end_though_all_have_one_number(
    tmp_path: Path, subtype: str
) -> None:
    honest = encoded(SOUND, "OGG", subtype)
    (granule,) = struct.unpack_from("<q", honest, honest.rindex(b"OggS") + 6)
    whole = heard(tmp_path, honest).samples
    for told in (-1, 0, granule // 2, round(granule * 0.98)):
        lying = ogg(honest, told)
        for contents in ((lying, honest), (honest, lying), (lying, lying, honest)):
            found = heard(tmp_path, b"".join(contents))
            assert found.failure is None
            spare = found.samples.size - len(contents) * whole.size
            assert 0 <= spare < 0.1 * RATE_HZ
            np.testing.assert_array_equal(found.samples[: whole.size], whole)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_whose_last_page_tells_too_much_is_cut_short(tmp_path: Path, subtype: str) -> None:
    honest = encoded(SOUND, "OGG", subtype)
    (granule,) = struct.unpack_from("<q", honest, honest.rindex(b"OggS") + 6)
    found = heard(tmp_path, ogg(honest, 2 * granule))
    assert found.samples.size == pytest.approx(SOUND.size, abs=0.1 * RATE_HZ)
    assert "cut short: 12.0" in (found.failure or "")


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_many_oggs_joined_are_all_heard(tmp_path: Path, subtype: str) -> None:
    lengths_s = (3, 7, 5, 4)
    parts = [encoded(sound(float(length), seed=length), "OGG", subtype) for length in lengths_s]
    for count in (2, 3, 4):
        for chosen in (parts[:count], [*parts[:count], parts[0]]):
            found = heard(tmp_path, b"".join(chosen))
            alone = sum(heard(tmp_path, part).samples.size for part in chosen)
            assert (found.failure, found.warnings) == (None, [])
            # Where libsndfile finds no end, what filled the last packet up is heard as well.
            assert 0 <= found.samples.size - alone < 0.05 * RATE_HZ * len(chosen)


def test_two_amiga_files_joined_are_both_heard(tmp_path: Path) -> None:
    honest = encoded(SOUND, "SVX", "PCM_16")
    found = heard(tmp_path, honest + honest)
    assert (found.samples.size, found.failure, found.warnings) == (2 * SOUND.size, None, [])


@pytest.mark.parametrize("claimed", [1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_chunk_that_claims_more_than_any_file_holds_is_no_end(
    tmp_path: Path, claimed: int
) -> None:
    honest = encoded(SOUND, "W64", "PCM_16")
    # The note behind the sound lies, and the sound itself.
    note = bytes.fromhex("6c697374 2f91cf11a5d628db04c10000") + struct.pack("<Q", claimed)
    found = heard(tmp_path, honest + note + bytes(64))
    assert found.samples.size == pytest.approx(SOUND.size, abs=100)
    for name, spare in (("w64", 24), ("rf64", 0)):
        container, subtype, lie = LIARS[name]
        found = heard(tmp_path, lie(encoded(SOUND, container, subtype), claimed - spare))
        assert found.samples.size == SOUND.size, name


@pytest.mark.parametrize("container", ["WAV", "W64", "RF64"])
def test_further_chunks_of_sound_are_heard(tmp_path: Path, container: str) -> None:
    honest = encoded(SOUND, container, "PCM_16")
    start = honest.index(b"data")
    name = honest[start : start + (16 if container == "W64" else 4)]
    more = 2 * RATE_HZ

    def chunk(body: bytes, claimed: int) -> bytes:
        if container == "W64":
            return name + struct.pack("<Q", claimed + 24) + body
        return name + struct.pack("<I", claimed) + body

    body = honest[-more:]
    note = b"" if container == "W64" else b"LIST" + struct.pack("<I", 4) + b"INFO"
    junk = b"" if container == "W64" else b"JUNK" + struct.pack("<I", 28) + bytes(28)
    for between in (b"", note, junk, junk + note):
        found = heard(tmp_path, honest + between + chunk(body, more) + between)
        assert (found.samples.size, found.failure) == (SOUND.size + more // 2, None)
        np.testing.assert_array_equal(
            found.samples[-more // 2 :], found.samples[SOUND.size - more // 2 : SOUND.size]
        )
    found = heard(tmp_path, honest + note + chunk(body, 5 * more))
    assert found.samples.size == SOUND.size + more // 2
    assert "cut short: 13.000 s of the 17.000 s" in (found.failure or "")
    found = heard(tmp_path, honest + note + chunk(body, 44))
    assert found.samples.size == SOUND.size + more // 2
    assert "its header tells of" in found.warnings[0]


@pytest.mark.parametrize("claimed", [0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_length_that_a_pipe_could_not_know_is_no_promise(tmp_path: Path, claimed: int) -> None:
    found = heard(tmp_path, wav(encoded(SOUND, "WAV", "PCM_16"), claimed))
    assert (found.samples.size, found.failure, found.warnings) == (SOUND.size, None, [])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM"])
def test_every_encoding_goes_on_behind_its_declared_end(tmp_path: Path, subtype: str) -> None:
    honest = encoded(SOUND, "WAV", subtype)
    whole = heard(tmp_path, honest)
    found = heard(tmp_path, wav(honest, 4096))
    assert found.failure is None
    np.testing.assert_array_equal(found.samples, whole.samples)


def test_a_night_beyond_4_gib_is_heard_from_a_length_modulo_4_gib(tmp_path: Path) -> None:
    honest = encoded(SOUND, "WAV", "PCM_16", rate_hz=192000)
    real = (1 << 32) + 192000
    path = tmp_path / "night.wav"
    with path.open("wb") as file:
        file.write(wav(honest[:44], real & 0xFFFFFFFF))
        file.seek(44 + real - 2 * SOUND.size)
        file.write(honest[44:])
    recording = Recording(path)
    recording.open()
    assert recording.duration_s == pytest.approx(real / 2 / 192000)
    recording.close()


def test_chunks_behind_the_sound_are_no_sound(tmp_path: Path) -> None:
    honest = encoded(SOUND, "WAV", "PCM_16")
    notes = b"LIST" + struct.pack("<I", 40000) + b"INFOICMT" + struct.pack("<I", 39988)
    odd = b"wxyz" + struct.pack("<I", 3) + b"abc\0"
    for behind in (
        notes + b"x" * 39988,
        odd * 500,
        odd + notes + b"x" * 39988,
        notes + b"x" * 20000,  # cut short itself
        bytes(30000),
        b"\x01\x02\x03",
    ):
        found = heard(tmp_path, honest + behind)
        assert (found.samples.size, found.failure, found.warnings) == (SOUND.size, None, [])


def test_an_aiff_whose_frames_are_fewer_than_its_bytes(tmp_path: Path) -> None:
    honest = encoded(SOUND, "AIFF", "PCM_16")
    frames = honest.index(b"COMM") + 10
    found = heard(tmp_path, honest[:frames] + struct.pack(">I", 99) + honest[frames + 4 :])
    assert (found.samples.size, found.failure) == (SOUND.size, None)
    assert aiff(honest, 2 * SOUND.size) == honest


@pytest.mark.parametrize(
    ("container", "subtype", "rate_hz"),
    [
        ("WAV", "PCM_16", 16000),
        ("W64", "PCM_16", 16000),
        ("AIFF", "PCM_16", 16000),
        ("AU", "PCM_16", 16000),
        ("FLAC", "PCM_16", 16000),
        ("OGG", "VORBIS", 16000),
        ("OGG", "OPUS", 16000),
        ("MP3", "MPEG_LAYER_III", 44100),
    ],
)
def test_files_joined_end_to_end_are_all_heard(
    tmp_path: Path, container: str, subtype: str, rate_hz: int
) -> None:
    lengths_s = (2.0, 0.3, 5.0)
    parts = [
        encoded(sound(length_s, seed), container, subtype, rate_hz)
        for seed, length_s in enumerate(lengths_s)
    ]
    alone = [heard(tmp_path, part).samples for part in parts]
    found = heard(tmp_path, b"".join(parts))
    assert (found.failure, found.progress) == (None, 1.0)
    np.testing.assert_allclose(found.samples, np.concatenate(alone), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")],
)
def test_what_cannot_follow_is_told(tmp_path: Path, container: str, subtype: str) -> None:
    first = encoded(SOUND, container, subtype)
    other = encoded(SOUND, container, subtype, rate_hz=22050)
    found = heard(tmp_path, first + other)
    assert found.samples.size == SOUND.size
    assert found.failure is not None
    assert "heard to 12.000 s; another recording that follows there" in found.failure
    assert "22050 Hz" in found.failure


@pytest.fixture(scope="module")
def changing() -> tuple[bytes, int]:
    """An MP3 of changing bit rate, busy first and then quiet; and its number of samples."""
    rng = np.random.default_rng(1)
    busy = (0.5 * rng.standard_normal(44100 * 4)).clip(-1, 1)
    quiet = 1e-4 * rng.standard_normal(44100 * 20)
    samples = np.concatenate((busy, quiet, busy))
    return encoded(samples, "MP3", "MPEG_LAYER_III", 44100), samples.size


def test_an_mp3_that_tells_no_length_is_heard_to_its_end(
    tmp_path: Path, changing: tuple[bytes, int]
) -> None:
    content, samples = changing
    whole = heard(tmp_path, content)
    assert whole.samples.size == samples
    for prefix in (b"", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)):
        found = heard(tmp_path, prefix + without_xing(content))
        assert (found.failure, found.warnings) == (None, [])
        assert samples <= found.samples.size < samples + 3000
        assert found.promised_s == pytest.approx(found.samples.size / 44100)
        # The encoder's delay is told in the frame that is gone.
        shift = found.samples.size - samples
        end = found.samples[-44100 * 2 :]
        assert end.std() == pytest.approx(whole.samples[-44100 * 2 :].std(), rel=0.1), shift


def test_a_guess_that_is_too_long_is_no_promise(
    tmp_path: Path, changing: tuple[bytes, int]
) -> None:
    rng = np.random.default_rng(1)
    quiet, busy = 1e-4 * rng.standard_normal(44100 * 8), 0.5 * rng.standard_normal(44100 * 8)
    samples = np.concatenate((quiet, busy)).clip(-1, 1)
    content = without_xing(encoded(samples, "MP3", "MPEG_LAYER_III", 44100))
    found = heard(tmp_path, content)
    assert (found.failure, found.warnings) == (None, [])
    assert found.samples.size >= samples.size


@pytest.mark.parametrize("factor", [0.25, 0.5])
def test_an_mp3_that_tells_too_few_frames_is_heard_to_its_end(
    tmp_path: Path, changing: tuple[bytes, int], factor: float
) -> None:
    content, samples = changing
    at = content.index(b"Xing") + 8
    frames = int.from_bytes(content[at : at + 4], "big")
    lying = content[:at] + struct.pack(">I", int(frames * factor)) + content[at + 4 :]
    found = heard(tmp_path, lying)
    assert found.failure is None
    assert found.samples.size > 0.99 * samples


def test_an_mp3_that_tells_too_many_frames_is_cut_short(
    tmp_path: Path, changing: tuple[bytes, int]
) -> None:
    content, samples = changing
    at = content.index(b"Xing") + 8
    frames = int.from_bytes(content[at : at + 4], "big")
    found = heard(tmp_path, content[:at] + struct.pack(">I", 2 * frames) + content[at + 4 :])
    assert found.samples.size > 0.99 * samples
    assert found.failure is not None
    assert "cut short" in found.failure


@pytest.mark.parametrize("bytes_factor", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("frames_factor", [0.0, 0.25, 1.0, 2.0])
def test_an_mp3_whose_vbri_header_lies_is_heard_to_its_end(
    tmp_path: Path, changing: tuple[bytes, int], frames_factor: float, bytes_factor: float
) -> None:
    content, samples = changing
    at = content.index(b"Xing") + 8
    frames = int.from_bytes(content[at : at + 4], "big")
    told = round(frames * frames_factor), round(len(content) * bytes_factor)
    found = heard(tmp_path, with_vbri(content, *told))
    assert samples <= found.samples.size < samples + 3000
    if frames_factor > 1:
        assert "cut short: 28.017 s of the 56." in (found.failure or "")
    else:
        assert found.failure is None
    cut = with_vbri(content, frames, len(content))[: len(content) * 2 // 3]
    assert "s of the 27.977 s that its header promises" in (heard(tmp_path, cut).failure or "")


@pytest.mark.parametrize("factor", [0.25, 0.9, 2.0])
def test_an_mp3_that_tells_wrong_bytes_alone_is_whole(
    tmp_path: Path, changing: tuple[bytes, int], factor: float
) -> None:
    content, samples = changing
    at = content.index(b"Xing") + 12
    lying = content[:at] + struct.pack(">I", int(len(content) * factor)) + content[at + 4 :]
    found = heard(tmp_path, lying)
    assert (found.samples.size, found.failure) == (samples, None)


def test_a_flac_cut_within_a_frame_is_heard_to_the_frame_before(tmp_path: Path) -> None:
    honest = encoded(SOUND, "FLAC", "PCM_16")
    whole = heard(tmp_path, honest).samples
    found = heard(tmp_path, honest[: len(honest) * 2 // 3])
    assert found.samples.size > SOUND.size // 2
    np.testing.assert_array_equal(found.samples, whole[: found.samples.size])
    assert found.failure is not None
    assert "cut short" in found.failure


def test_tags_behind_a_flac_or_an_mp3_are_no_loss(
    tmp_path: Path, changing: tuple[bytes, int]
) -> None:
    ape = struct.pack("<8sIIII8x", b"APETAGEX", 2000, 60032, 1, 0)
    id3 = b"TAG" + b"a title".ljust(125, b"\0")
    tags = id3, b"\x41" * 60000 + ape, b"\x41" * 60000 + ape + id3
    for content, samples in ((encoded(SOUND, "FLAC", "PCM_16"), SOUND.size), changing):
        for tag in tags:
            found = heard(tmp_path, content + tag)
            assert (found.samples.size, found.failure, found.warnings) == (samples, None, [])


def test_a_stretch_of_exact_zeros_is_told(tmp_path: Path) -> None:
    samples = np.concatenate((sound(3.0), np.zeros(RATE_HZ * 2), sound(3.0)))
    for container in ("WAV", "FLAC"):
        found = heard(tmp_path, encoded(samples, container, "PCM_16"))
        assert found.failure is None
        (line,) = found.warnings
        assert "nothing but zeros from 3.000 s to 5.000 s;" in line
    (line,) = heard(
        tmp_path, encoded(np.concatenate((samples, np.zeros(RATE_HZ * 45))), "WAV", "PCM_16")
    ).warnings
    assert "from 3.000 s to 5.000 s, and in 2 stretches 47.0 s in all" in line
    short = np.concatenate((sound(3.0), np.zeros(RATE_HZ - 9), sound(3.0), np.zeros(RATE_HZ - 9)))
    assert heard(tmp_path, encoded(short, "WAV", "PCM_16")).warnings == []


def test_channels_that_cancel_each_other_are_told_and_the_louder_is_heard(tmp_path: Path) -> None:
    left = sound(4.0)
    noise = 0.001 * sound(4.0, seed=9)
    for gain in (1.0, 0.8):
        both = np.stack((gain * left + noise, -left), axis=1)
        found = heard(tmp_path, encoded(both, "WAV", "FLOAT"))
        (line,) = found.warnings
        assert "opposite signs" in line
        np.testing.assert_allclose(np.abs(found.samples).mean(), np.abs(left).mean(), rtol=0.02)
        path = tmp_path / "x"
        assert Heard(path, channel=1).warnings == []
    for other in (left, sound(4.0, seed=4), np.zeros(left.size), 0.3 * left - sound(4.0, seed=5)):
        stereo = np.stack((left, other), axis=1)
        found = heard(tmp_path, encoded(stereo, "WAV", "FLOAT"))
        assert found.warnings == []
        np.testing.assert_allclose(found.samples, stereo.mean(axis=1), atol=1e-6)
