"""An archive as an analyst has it: interrupted, resumed, damaged, shared out."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import soundfile

from rainwatchd.cli import main
from rainwatchd.config.options import Config
from rainwatchd.errors import RainwatchError
from rainwatchd.hearing.model_file import read_model
from rainwatchd.replay import division
from rainwatchd.replay.archive.fingerprint import claim, fingerprint
from rainwatchd.replay.archive.index import look
from rainwatchd.replay.archive.parts import Done, done_parts
from rainwatchd.replay.archive.rows import device_of
from rainwatchd.replay.archive.run import Shard, run_archive
from rainwatchd.replay.archive.sources import Source, find_sources
from rainwatchd.replay.archive.tasks import Hearing, Task
from rainwatchd.replay.archive.tasks import hear as hear_task
from rainwatchd.replay.exports.reading import read_archive
from rainwatchd.replay.replay import Replay, replay_id
from tests.audio.files.lying import encoded, wav
from tests.replay.archive.conftest import NIGHT, SHORT_PIECES, Start, parts
from tests.sounds import scene


def hear(
    places: list[Path], out: Path, model: Path, *, jobs: int = 1, **options: object
) -> tuple[bool, str]:
    err = io.StringIO()
    settings = {"shard": Shard(), "scores": False, "dask": None, "utc_offset": None} | options
    whole = run_archive(places, Config(model=str(model)), out, jobs=jobs, err=err, **settings)  # type: ignore[arg-type]
    return whole, err.getvalue()


def test_a_part_holds_what_the_replay_tells(
    night: Path, tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole, err = hear([night], tmp_path / "out", tiny_model, scores=True)
    assert whole
    assert (
        err
        == "4 recordings to hear, about 0:01:17.0 of sound, 0 of them empty; 0 were done before\n"
        "rainwatchd: 2 recordings tell a time but no offset from UTC; taken as UTC, unless "
        "--utc-offset +HH:MM says else\n"
        "4 of 4 recordings done, 0 were done before; 4 detections; 0 not heard to their end\n"
    )
    archive = read_archive(tmp_path / "out")
    assert [record.path for record in archive.records] == sorted(
        str(night / name) for name in NIGHT
    )
    assert [record.device for record in archive.records] == ["ridge", "ridge", "b", "b"]
    assert [record.start is None for record in archive.records] == [False, False, False, True]
    assert main(["--model", str(tiny_model), "--json", "--file", str(night)]) == 0
    told = capfd.readouterr().out
    for record in archive.records:
        for sound in record.sounds:
            assert sound.event_id in told
            assert f'"end_s":{sound.end_s:g}' in told
            assert (sound.start is None) == (record.start is None)
    for path in (tmp_path / "out" / "parts").rglob("*.parquet"):
        (row,) = pq.read_table(path).to_pylist()
        assert len(row["window_scores"]) == 4 * len(row["window_start_s"]) > 0


def test_the_same_command_hears_nothing_twice(
    night: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    hear([night], out, tiny_model)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    whole, err = hear([night], out, tiny_model)
    assert whole
    assert "0 of 0 recordings done, 4 were done before" in err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == before


def test_a_recording_that_has_changed_is_heard_anew(
    night: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "night", tmp_path / "out"
    shutil.copytree(night, folder)
    hear([folder], out, tiny_model)
    soundfile.write(folder / "b" / "unknown.wav", scene(16000, ("engine", 9.0)), 16000)
    soundfile.write(folder / "b" / "new.wav", scene(16000, (None, 5.0)), 16000)
    _, err = hear([folder], out, tiny_model)
    assert "2 of 2 recordings done, 3 were done before" in err
    assert len(parts(out)) == 5, "the old part is gone"


def test_results_of_two_kinds_do_not_mix(night: Path, tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    hear([night / "a"], out, tiny_model)
    with pytest.raises(RainwatchError, match="another step_s: None, now"):
        run_archive(
            [night],
            Config(model=str(tiny_model), step_s=0.5),
            out,
            jobs=1,
            shard=Shard(),
            scores=False,
            dask=None,
            utc_offset=None,
            err=io.StringIO(),
        )


def test_an_archive_of_before_there_was_an_offset_is_read(
    night: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    mark = json.loads(claimed(out, tiny_model).read_bytes())
    assert mark.pop("utc_offset_s") is None
    (out / "archive.json").write_text(json.dumps(mark))
    assert read_archive(out).mark.utc_offset_s is None
    whole, _ = hear([night / "b" / "unknown.wav"], out, tiny_model)
    assert whole


def claimed(out: Path, model: Path) -> Path:
    config = Config(model=str(model))
    claim(out, fingerprint(config, read_model(model), scores=False, utc_offset=None))
    return out / "archive.json"


def test_where_the_recorders_stand_may_be_told_later(
    night: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    hear([night / "a"], out, tiny_model)
    config = Config(model=str(tiny_model), lat=1.5, lon=110.25)
    err = io.StringIO()
    run_archive([night / "a"], config, out, jobs=1, shard=Shard(), scores=False, dask=None, err=err)
    assert "2 were done before" in err.getvalue()
    assert (read_archive(out).mark.lat, read_archive(out).mark.lon) == (1.5, 110.25)


def test_what_cannot_be_heard_is_done_and_named(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("Dear diary")
    whole, err = hear([tmp_path, tmp_path / "gone.wav"], tmp_path / "out", tiny_model)
    assert not whole
    lines = err.splitlines()
    assert lines[0] == f"rainwatchd: {tmp_path}/gone.wav: No such file or directory"
    assert lines[1].startswith("2 recordings to hear, about 0:00:00.0 of sound, 1 of them empty")
    assert lines[2:4] == [
        f"rainwatchd: {tmp_path}/empty.wav: the file is empty",
        f"rainwatchd: {tmp_path}/text.wav: no recording: Format not recognised",
    ]
    assert lines[4].endswith("3 not heard to their end")
    again, err = hear([tmp_path], tmp_path / "out", tiny_model)
    assert not again
    assert "2 were done before; 0 detections; 2 not heard" in err


def test_what_is_odd_is_told_and_kept(
    tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(2)
    noise = rng.normal(0.0, 0.1, 16000 * 8)
    zeros = np.concatenate((noise, np.zeros(32000)))
    (tmp_path / "longer.wav").write_bytes(wav(encoded(noise, "WAV", "PCM_16"), 44))
    (tmp_path / "opposed.wav").write_bytes(
        encoded(np.stack((noise, -noise), axis=1), "WAV", "PCM_16")
    )
    (tmp_path / "shorter_20240512_060000.wav").write_bytes(
        wav(encoded(zeros, "WAV", "PCM_16"), 4 * zeros.size)
    )
    whole, err = hear([tmp_path], tmp_path / "out", tiny_model)
    assert not whole
    assert main(["--model", str(tiny_model), "--file", str(tmp_path), "--jobs", "1"]) == 1
    said = capfd.readouterr().err
    assert sorted(said.splitlines()) == sorted(err.splitlines()[1:-1])
    records = {
        Path(record.path).name[:4]: record for record in read_archive(tmp_path / "out").records
    }
    assert records["long"].notes == (
        "its header tells of 0.001 s; all that the file holds was heard",
    )
    assert "opposite signs" in records["oppo"].notes[0]
    assert records["shor"].notes[0].startswith("nothing but zeros from 8.000 s to 10.000 s")
    assert "cut short: 10.000 s of the 20.000 s" in (records["shor"].failure or "")


def test_an_archive_with_no_sound_in_it_says_so(tiny_model: Path, tmp_path: Path) -> None:
    whole, err = hear([tmp_path], tmp_path / "out", tiny_model)
    assert not whole
    assert "no recordings in this folder" in err.splitlines()[0]


def test_a_decoder_that_crashes_costs_its_own_recording(
    night: Path, tiny_model: Path, tmp_path: Path, fatal_names: str
) -> None:
    folder, out = tmp_path / "night", tmp_path / "out"
    shutil.copytree(night, folder)
    shutil.copy(night / "b" / "unknown.wav", folder / f"{fatal_names}.wav")
    whole, err = hear([folder], out, tiny_model, jobs=2)
    assert not whole
    assert f"{fatal_names}.wav: hearing it ended its process 3 times (SIGABRT)" in err
    (dead,) = (out / "parts").rglob("*.failed.parquet")
    assert len(parts(out)) == 5
    assert pq.read_table(dead).to_pylist()[0]["tries"] == 3


def test_drafts_of_runs_killed_long_ago_go(night: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Those of a run that goes on beside this one don't."""
    folder = tmp_path / "out" / "parts" / "ab"
    hear([night], tmp_path / "out", tiny_model)
    folder.mkdir(exist_ok=True)
    old, young = folder / ".abcd.parquet-1", folder / ".abcd.parquet-2"
    for draft in (old, young):
        draft.touch()
    os.utime(old, (time.time() - 100_000, time.time() - 100_000))
    hear([night], tmp_path / "out", tiny_model)
    assert not old.exists()
    assert young.exists()


def test_killed_at_random_moments_it_comes_out_the_same(
    night: Path, tiny_model: Path, tmp_path: Path, start: Start
) -> None:
    rng = random.Random(5)
    long = tmp_path / "long_20240512_200000.wav"
    soundfile.write(long, np.tile(scene(22050, ("chainsaw", 12.0), (None, 28.0)), 5), 22050)
    hear([night, long], tmp_path / "whole", tiny_model, scores=True)
    out = tmp_path / "out"
    arguments = ("--file", night, long, "--out", out, "--scores", "--jobs", 2)
    for _ in range(2):
        process = start(*arguments, first=SHORT_PIECES)
        until_s = time.monotonic() + 30
        wanted = rng.randrange(1, 6)
        while process.poll() is None and time.monotonic() < until_s:
            if sum(map(len, (done_parts(out).names, done_parts(out).pieces))) >= wanted:
                break
            time.sleep(0.01)
        workers = psutil.Process(process.pid).children() if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        assert not psutil.wait_procs(workers, 30)[1]
    hear([night, long], out, tiny_model, scores=True, jobs=2)
    assert parts(out) == parts(tmp_path / "whole")
    assert not done_parts(out).pieces


@pytest.fixture
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(division, "LONG_S", 90.0)
    monkeypatch.setattr(division, "_LEAST_S", 60.0)


def tasks(places: list[Path], out: Path, model: Path, jobs: int) -> list[Task]:
    config, file = Config(model=str(model)), read_model(model)
    mark = fingerprint(config, file, scores=True, utc_offset=None)
    replay = Replay(config, replay_id(config))
    hearing = Hearing(replay, model, file.digest, mark.digest, out, out, True)
    return look(places, hearing, lambda _: True).tasks(jobs)


@pytest.mark.usefixtures("short_pieces")
def test_a_long_recording_is_joined_from_its_pieces(tiny_model: Path, tmp_path: Path) -> None:
    """By several processes, after some pieces were heard by a run with other cores."""
    long = tmp_path / "20240512_200000.wav"
    soundfile.write(long, np.tile(scene(22050, ("chainsaw", 12.0), (None, 28.0)), 6), 22050)
    hear([long], tmp_path / "whole", tiny_model, scores=True)
    out = tmp_path / "out"
    first, second = tasks([long], out, tiny_model, 2)
    assert list(hear_task(second, lambda *_: None)) == []
    assert len(done_parts(out).pieces) == 1
    again = tasks([long], out, tiny_model, 3)
    assert again == [first, second], "what was begun by two is not divided among three"
    whole, _ = hear([long], out, tiny_model, scores=True, jobs=3)
    assert whole
    assert parts(out) == parts(tmp_path / "whole")
    assert not done_parts(out).pieces
    (outcome,) = hear_task(first, lambda *_: None)
    assert (outcome.kept, outcome.detections) == (True, 6), "another run has heard it meanwhile"


@pytest.mark.usefixtures("short_pieces")
def test_a_long_recording_that_changes_is_not_joined(tiny_model: Path, tmp_path: Path) -> None:
    long, out = tmp_path / "long.wav", tmp_path / "out"
    soundfile.write(long, scene(16000, ("chainsaw", 12.0), (None, 170.0)), 16000)
    first, second = tasks([long], out, tiny_model, 2)
    assert list(hear_task(first, lambda *_: None)) == []
    os.utime(long)
    (outcome,) = hear_task(second, lambda *_: None)
    assert not outcome.kept
    assert outcome.failure == f"{long}: changed while it was heard; run again"
    assert done_parts(out) == Done(frozenset(), frozenset())


def test_the_longest_is_heard_first_and_what_is_empty_before(
    tiny_model: Path, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "small.flac", np.zeros(16000 * 60), 16000)
    soundfile.write(tmp_path / "large.wav", scene(48000, (None, 9.0)), 48000)
    soundfile.write(tmp_path / "short.ogg", np.zeros(16000 * 2), 16000)
    (tmp_path / "empty.wav").touch()
    found = tasks([tmp_path], tmp_path / "out", tiny_model, 1)
    assert [(Path(task.source.place).name, task.length_s) for task in found] == [
        ("empty.wav", 0.0),
        ("small.flac", 60.0),
        ("large.wav", 9.0),
        ("short.ogg", 2.0),
    ]


def test_shards_share_out_all_and_nothing_twice(night: Path) -> None:
    sources = [source for source in find_sources([night]) if isinstance(source, Source)]
    shards = [Shard(index, 3) for index in (1, 2, 3)]
    assert all(sum(shard.holds(source) for shard in shards) == 1 for source in sources)
    many = [Source(f"/x/{number}.wav", 1, "") for number in range(3000)]
    shares = [sum(shard.holds(source) for source in many) for shard in shards]
    assert all(900 < share < 1100 for share in shares)


def test_a_full_output_stops_with_one_line(
    night: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    from rainwatchd.replay.archive import parts as module

    with pytest.raises(RainwatchError, match=r"--out .*/out: No space left on device"):
        module.write_part(tmp_path / "out" / "parts" / "ab" / "x-y.parquet", {"path": "x"})


@pytest.mark.parametrize(
    ("place", "device"),
    [
        ("/cards/17/20240512_060000.WAV", "17"),
        ("s3://forest/SMM04721_20240512_060000.wav", "SMM04721"),
        ("/cards/24E144036037D2A8_20240512_235959.flac", "24E144036037D2A8"),
        ("saw.wav", "unknown"),
    ],
)
def test_the_recorder_is_named_by_file_or_folder(place: str, device: str) -> None:
    assert device_of(place) == device


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--out", "x", "--json"], "--json doesn't go with --out"),
        (["--out", "x", "--shard", "3"], "--shard is '3'; allowed: I/N"),
        (["--out", "x", "--shard", "4/3"], "--shard is '4/3'"),
        (["--shard", "1/3"], "go with --out DIR"),
        (["--out", "x", "--scores", "y.csv"], "--scores takes no file with --out"),
    ],
)
def test_wrong_usage_is_explained(
    arguments: list[str], reason: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--model", str(tiny_model), "--file", "a.wav", *arguments])
    assert reason in capsys.readouterr().err.splitlines()[-1]
