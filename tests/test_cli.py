"""The command line as a user has it: what is printed, where, and the exit status."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rainwatchd import __version__
from rainwatchd.audio.samples import Floats
from rainwatchd.cli import main
from rainwatchd.hearing.model_file import read_model
from tests.sounds import scene
from tests.tiny_model import LABELS
from tests.torture.mutation import damaged

ROOT = Path(__file__).parent.parent

SCENE = ((None, 6.0), ("chainsaw", 12.0), (None, 14.0), ("engine", 10.0), (None, 6.0))

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tiny_model: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line with the stand-in model; return status, stdout, stderr."""

    def run_(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main(["--model", str(tiny_model), *map(str, arguments)])
        except SystemExit as stop:  # argparse
            status = int(str(stop.code))
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return run_


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "20240512_060000.wav"
    soundfile.write(path, scene(16000, *SCENE), 16000)
    return path


def command(*arguments: object) -> list[str]:
    program = "import sys; from rainwatchd.cli import main; sys.exit(main())"
    return [sys.executable, "-c", program, *map(str, arguments)]


def test_the_table_shows_detections_then_the_highest_scores_then_sums(
    run: Run, recording: Path
) -> None:
    status, out, err = run("--file", recording)
    assert (status, err) == (0, "")
    head, saw, engine, blank, *rest = out.splitlines()
    assert head.split() == ["start", "end", "length", "class", "score", "level", "UTC", "file"]
    assert saw.split()[4] == "chainsaw"
    assert engine.split()[4] == "engine"
    assert saw.endswith(str(recording))
    assert blank == ""
    assert rest[0] == "highest score of each class, and what each file is"
    assert rest[1].split() == [*LABELS, "as", "a", "whole", "file"]
    assert rest[2].split() == ["1.00", "1.00", "1.00", "0.00", "background", str(recording)]
    assert rest[3:] == ["", "1 file, 48.0 s heard: 1 chainsaw, 1 engine"]


def test_a_quiet_recording_says_so(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(8 * 16000), 16000)
    status, out, _ = run("--file", path)
    assert status == 0
    assert out.startswith("no detections\n")
    assert out.splitlines()[4].split()[:4] == ["1.00", "0.00", "0.00", "0.00"]
    assert out.splitlines()[-1] == "1 file, 8.0 s heard: no alerts"


def test_a_clip_too_short_for_an_alert_is_judged_as_a_whole(run: Run, tmp_path: Path) -> None:
    for name, label in (("saw.wav", "chainsaw"), ("quiet.wav", None), ("long.wav", "engine")):
        length_s = 20.0 if name == "long.wav" else 5.0
        soundfile.write(tmp_path / name, scene(16000, (label, length_s)), 16000)
    (tmp_path / "dead.wav").write_bytes(b"no sound")
    status, out, _ = run("--file", tmp_path)
    assert status == 1
    rows = [line.split() for line in out.splitlines()[5:8]]
    assert [(row[-1].rsplit("/", 1)[1], row[-2]) for row in rows] == [
        ("long.wav", "engine"),
        ("quiet.wav", "background*"),
        ("saw.wav", "chainsaw*"),
    ]
    assert out.splitlines()[-2:] == [
        "* too short for an alert, 2 files: an alert takes at least 6 s: 3 windows of 4 s, 1 s "
        "apart, above the threshold",
        "4 files, 30.0 s heard: 1 engine; 1 dead: not heard at all",
    ]


def test_json_is_one_detection_a_line(run: Run, recording: Path) -> None:
    status, out, err = run("--file", recording, "--json")
    assert (status, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["phase"], line["class"]) for line in lines] == [
        ("offset", "chainsaw"),
        ("offset", "engine"),
    ]


def test_phases_tells_onset_and_offset_apart(run: Run, recording: Path) -> None:
    status, out, err = run("--file", recording, "--json", "--phases")
    assert (status, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["phase"], line["class"]) for line in lines] == [
        ("onset", "chainsaw"),
        ("offset", "chainsaw"),
        ("onset", "engine"),
        ("offset", "engine"),
    ]
    for line in lines:
        assert line["file"] == str(recording)
        assert line["start"] == f"2024-05-12T06:00:{line['start_s']:06.3f}Z"
        assert (line["end_s"] is None) == (line["end"] is None) == (line["phase"] == "onset")
    assert lines[0]["event_id"] == lines[1]["event_id"] != lines[2]["event_id"]


def test_two_replays_print_the_same_bytes(run: Run, recording: Path, tmp_path: Path) -> None:
    outputs = []
    for number in range(2):
        scores, plot = tmp_path / f"{number}.csv", tmp_path / f"{number}.png"
        printed = run("--file", recording, "--json", "--scores", scores, "--plot", plot)
        outputs.append((printed, scores.read_bytes(), plot.read_bytes()))
    assert outputs[0] == outputs[1]


def test_scores_has_every_window(run: Run, recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    assert run("--file", recording, "--scores", path)[0] == 0
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["file", "start_s", "end_s", "level_dbfs", *LABELS]
    assert len(rows) == 45
    assert [float(row["start_s"]) for row in rows] == list(range(45))
    assert float(rows[-1]["end_s"]) == 48.0
    assert max(float(row["chainsaw"]) for row in rows) > 0.99
    assert all(abs(sum(float(row[label]) for label in LABELS) - 1) < 1e-5 for row in rows)


def test_scores_are_not_overwritten_unasked(run: Run, recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text("a day's work")
    said = f"rainwatchd: {path}: there is such a file; name another, or add --overwrite\n"
    assert run("--file", recording, "--scores", path) == (1, "", said)
    assert path.read_text() == "a day's work"
    assert run("--file", recording, "--scores", path, "--overwrite")[0] == 0
    assert path.read_text().startswith("file,start_s")


def test_verbose_shows_each_window_of_a_recording(run: Run, recording: Path) -> None:
    status, _, err = run("--file", recording, "--verbose", "--json", "--jobs", 2)
    lines = err.splitlines()
    assert (status, len(lines)) == (0, 45)
    assert re.fullmatch(
        rf"{recording}: 0:00:10.0 to 0:00:14.0 +-\d\d\.\d dBFS  background 0.00  chainsaw 1.00  "
        r"engine 0.00  storm 0.00",
        lines[10],
    )


def test_a_folder_gives_a_picture_a_recording(run: Run, tmp_path: Path) -> None:
    folder, out = tmp_path / "sounds", tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        soundfile.write(folder / f"{number}.wav", scene(16000, ("chainsaw", 8.0)), 16000)
    (folder / "bad.wav").write_bytes(b"no sound")
    status, _, err = run("--file", folder, "--jobs", 2, "--plot", out)
    assert (status, len(err.splitlines())) == (1, 1)
    assert sorted(path.name for path in out.iterdir()) == ["0.wav.png", "1.wav.png"]


def test_a_picture_that_cannot_be_written_in_the_end_is_named(
    run: Run, recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / f"{recording.name}.png").mkdir(parents=True)
    status, shown, err = run("--file", recording, "--plot", out)
    assert status == 1
    assert "chainsaw" in shown
    assert err == f"rainwatchd: {out / recording.name}.png: Is a directory\n"


def test_a_finer_step_gives_more_windows(run: Run, recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    assert run("--file", recording, "--scores", path, "--step_s", 0.5)[0] == 0
    assert len(path.read_text().splitlines()) == 1 + 89


def test_several_at_a_time_print_what_one_at_a_time_prints(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    for number, label in enumerate(("chainsaw", "engine", None, "storm", "chainsaw")):
        length_s = 40.0 - 7 * number  # the first is the last to be done
        sound = scene(16000, (None, 5.0), (label, length_s), (None, 10.0))
        soundfile.write(folder / f"{number}.wav", sound, 16000)
    (folder / "2b.wav").write_bytes(b"no sound")
    outputs = []
    for jobs in (1, 2):
        scores = tmp_path / f"{jobs}.csv"
        printed = run("--file", folder, tmp_path / "gone.wav", "--jobs", jobs, "--scores", scores)
        outputs.append((printed, scores.read_bytes()))
    assert outputs[0] == outputs[1]
    (status, out, err), _ = outputs[0]
    assert status == 1
    assert [line.rsplit("/", 1)[1] for line in out.splitlines()[1:5]] == [
        "0.wav",
        "1.wav",
        "3.wav",
        "4.wav",
    ]
    assert len(err.splitlines()) == 2


def test_a_folder_is_searched_for_recordings_and_nothing_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    sound = scene(16000, ("storm", 5.0))
    for name in ("b/z.WAV", "b/c/a.flac", "a.ogg"):
        soundfile.write(tmp_path / name, sound, 16000)
    (tmp_path / "CONFIG.TXT").write_text("Device ID: 24E144036037D2A8")
    status, out, err = run("--file", tmp_path)
    assert (status, err) == (0, "")
    order = [line.split()[-1] for line in out.splitlines()[4:7]]
    assert order == [str(tmp_path / name) for name in ("a.ogg", "b/c/a.flac", "b/z.WAV")]


def bad_files(folder: Path) -> dict[str, str]:
    """Write one of each, and say what is to be said about it."""
    good = scene(16000, *SCENE)
    reasons = {
        "empty.wav": "empty",
        "text.wav": "no recording",
        "header.wav": "no samples",
        "short.wav": "cut short",
        "short.flac": "cut short",
        "nan.wav": "no sound: nan",
        "later.wav": "no sound: inf",
        "gone.wav": "No such file",
        "folder": "no recordings",
    }
    soundfile.write(folder / "whole.wav", good, 16000)
    soundfile.write(folder / "whole.flac", good, 16000)
    whole, flac = (folder / "whole.wav").read_bytes(), (folder / "whole.flac").read_bytes()
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("Dear diary,\n" * 99)
    (folder / "header.wav").write_bytes(whole[:40] + bytes(4))
    (folder / "short.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "short.flac").write_bytes(flac[: len(flac) // 2])
    soundfile.write(folder / "nan.wav", np.full(99_999, np.nan), 16000, subtype="FLOAT")
    soundfile.write(folder / "later.wav", np.append(good, np.inf), 16000, subtype="FLOAT")
    (folder / "folder").mkdir()
    return reasons


def test_each_bad_file_is_one_line_and_the_others_are_heard(run: Run, tmp_path: Path) -> None:
    reasons = bad_files(tmp_path)
    good = tmp_path / "good.wav"
    soundfile.write(good, scene(16000, *SCENE), 16000)
    status, out, err = run(
        "--json", "--phases", "--jobs", 1, "--file", *(tmp_path / n for n in reasons), good
    )
    assert status == 1
    lines = err.splitlines()
    assert len(lines) == len(reasons)
    for line, (name, reason) in zip(lines, reasons.items(), strict=True):
        assert line.startswith(f"rainwatchd: {tmp_path / name}: ")
        assert reason in line
    heard = [json.loads(line)["file"] for line in out.splitlines()]
    assert heard.count(str(good)) == 4
    # What comes before the damage counts.
    assert heard.count(str(tmp_path / "later.wav")) == 4
    assert heard.count(str(tmp_path / "short.wav")) == 2


@pytest.mark.parametrize(
    ("rate_hz", "channels", "subtype"),
    [(8000, 1, "PCM_U8"), (48000, 1, "PCM_24"), (192000, 1, "PCM_16"), (44100, 5, "PCM_16")],
)
def test_unusual_recordings_are_simply_heard(
    run: Run, tmp_path: Path, rate_hz: int, channels: int, subtype: str
) -> None:
    path = tmp_path / "x.wav"
    sound = scene(rate_hz, *SCENE)
    soundfile.write(path, np.tile(sound[:, np.newaxis], channels), rate_hz, subtype=subtype)
    status, out, err = run("--json", "--file", path)
    assert (status, err) == (0, "")
    assert [json.loads(line)["class"] for line in out.splitlines()] == ["chainsaw", "engine"]


def test_damaged_files_never_bring_a_traceback(run: Run, tmp_path: Path) -> None:
    """The bounded form of the torment of recordings."""
    rng = random.Random(11)
    healthy = []
    for name in ("a.wav", "b.flac", "c.ogg", "d.aiff"):
        soundfile.write(tmp_path / name, scene(8000, ("chainsaw", 1.5)), 8000)
        healthy.append((name, (tmp_path / name).read_bytes()))
    paths = []
    for number in range(120):
        name, content = rng.choice(healthy)
        path = tmp_path / f"{number}{name}"
        path.write_bytes(damaged(content, rng, near_start=96))
        paths.append(path)
    status, _, err = run("--json", "--jobs", 1, "--file", *paths)
    assert status == 1
    named = {line.split(": ")[1] for line in err.splitlines() if line.startswith("rainwatchd: ")}
    assert 20 < len(named) < 120
    assert named <= set(map(str, paths))


def test_a_model_may_have_any_name(tiny_model: Path, recording: Path, tmp_path: Path) -> None:
    named = tmp_path / "null: a.onnx"
    shutil.copy(tiny_model, named)
    done = subprocess.run(
        command("--model", named, "--file", recording), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--file"], "--file"),
        (["--jobs", "0", "--file", "a.wav"], "--jobs"),
        (["--jobs", "many", "--file", "a.wav"], "--jobs"),
        (["--bogus", "--file", "a.wav"], "unknown argument '--bogus'"),
        (["--file", "a.wav", "--step_s"], "argument --step_s: expected one argument"),
        (["--mqtt.hots", "b"], "unknown argument '--mqtt.hots'; did you mean --mqtt.host?"),
        (["--json"], "--json goes with --file PATH"),
        (["--phases"], "--phases goes with --file PATH"),
        (["--scores", "x.csv"], "--scores goes with --file PATH"),
        (["stray"], "unknown argument 'stray'"),
    ],
)
def test_wrong_usage_is_explained(run: Run, arguments: list[str], reason: str) -> None:
    status, _, err = run(*arguments)
    assert status == 2
    assert reason in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--step_s", "9"], "step_s"),
        (["--step_s=soon"], "step_s"),
        (["--audio.channel", "0"], "audio.channel"),
        (["--config", "gone.yaml"], "gone.yaml"),
        (["--decision", "{saw: {on_threshold: 0.5}}"], "decision.saw"),
    ],
)
def test_a_wrong_setting_is_status_78(
    run: Run, recording: Path, arguments: list[str], reason: str
) -> None:
    status, out, err = run(*arguments, "--file", recording)
    assert (status, out) == (78, "")
    assert reason in err
    assert len(err.splitlines()) == 1


def test_an_empty_path_is_not_the_folder_one_is_in(run: Run) -> None:
    for paths in ([""], ["x.wav", ""]):
        status, out, err = run("--file", *paths)
        assert (status, out) == (2, "")
        assert "a path is empty" in err


def test_a_time_that_nothing_tells_is_a_dash_and_null(run: Run, tmp_path: Path) -> None:
    for name in ("saw.wav", "RIDGE_20240512_060000.wav"):
        soundfile.write(tmp_path / name, scene(16000, ("chainsaw", 12.0)), 16000)
    status, out, err = run("--file", tmp_path, "--utc-offset", "-04:00")
    assert (status, err) == (0, "")
    known, unknown = out.splitlines()[1:3]
    assert known.split()[-2:] == ["2024-05-12T10:00:00Z", str(tmp_path / name)]
    assert unknown.split()[-2:] == ["-", str(tmp_path / "saw.wav")]
    _, out, err = run("--file", tmp_path, "--json")
    assert "1970" not in out
    assert [json.loads(line)["start"] for line in out.splitlines()] == [
        "2024-05-12T06:00:00.000Z",
        None,
    ]
    assert err == (
        "rainwatchd: 1 recording tells a time but no offset from UTC; taken as UTC, unless "
        "--utc-offset +HH:MM says else\n"
    )
    assert run("--file", tmp_path, "--utc-offset", "noon")[0] == 2


def test_an_odd_recording_is_told_and_no_failure(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    sound = scene(16000, ("chainsaw", 12.0))
    soundfile.write(path, np.concatenate((sound, np.zeros(16000 * 20))), 16000)
    status, out, err = run("--file", path)
    assert status == 0
    assert "chainsaw" in out
    assert err == (
        f"rainwatchd: {path}: nothing but zeros from 12.000 s to 32.000 s; was the recorder muted, "
        "or without power?\n"
    )
    assert run("--file", path, "--audio.zeros_are_faults", "false")[2] == ""


def pipe_in(tiny_model: Path, content: bytes, *arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(
        command("--model", tiny_model, "--file", "-", *arguments),
        cwd=ROOT,
        check=False,
        input=content,
        capture_output=True,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def wav_of(sound: Floats, claimed: int | None = None) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, sound, 16000, format="WAV")
    content = out.getvalue()
    return content if claimed is None else content[:40] + struct.pack("<I", claimed) + content[44:]


@pytest.mark.parametrize("claimed", [None, 0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_that_comes_in_is_heard(tiny_model: Path, claimed: int | None) -> None:
    content = wav_of(scene(16000, (None, 3.0), ("chainsaw", 12.0)), claimed)
    status, out, err = pipe_in(tiny_model, content, "--json", "--phases")
    assert (status, err) == (0, "")
    onset, offset = map(json.loads, out.splitlines())
    assert (onset["file"], onset["start"]) == ("-", None)
    assert offset["end_s"] == pytest.approx(15.0, abs=1e-3)


def test_what_comes_in_is_heard_while_it_comes(tiny_model: Path) -> None:
    process = subprocess.Popen(
        command("--model", tiny_model, "--json", "--phases", "--file", "-"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(wav_of(scene(16000, ("chainsaw", 15.0)), 0x7FFFFFFF))
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["phase"] == "onset"
    assert process.poll() is None
    process.stdin.close()
    assert json.loads(process.stdout.readline())["phase"] == "offset"
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "nothing came in"),
        (b"\x01\x00" * 99999, "raw sound needs a header: `arecord -t wav`"),
        (b"fLaC" + bytes(9999), "only WAV is read from a pipe"),
        (wav_of(scene(16000, (None, 3.0)))[:-32000], "cut short: 2.000 s of the 3.000 s"),
        (wav_of(scene(16000, (None, 3.0)))[:30], "has no sound in it"),
    ],
)
def test_what_comes_in_and_is_no_whole_wav_is_told(
    tiny_model: Path, content: bytes, reason: str
) -> None:
    status, _, err = pipe_in(tiny_model, content)
    assert status == 1
    assert err.startswith("rainwatchd: standard input: ")
    assert reason in err
    assert err.count("\n") == 1


def test_a_file_let_in_may_be_of_any_format(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, scene(16000, ("chainsaw", 12.0)), 16000)
    with path.open("rb") as file:
        done = subprocess.run(
            command("--model", tiny_model, "--json", "--file", "-"),
            cwd=ROOT,
            check=True,
            stdin=file,
            capture_output=True,
        )
    assert len(done.stdout.splitlines()) == 1


def test_standard_input_goes_alone(run: Run, recording: Path) -> None:
    status, _, err = run("--file", "-", recording)
    assert status == 2
    assert "--file - goes alone" in err


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_a_terminal_that_lacks_letters_costs_those_letters_only(
    tiny_model: Path, tmp_path: Path, encoding: str
) -> None:
    names = ["żółw é.wav", "森.wav", "z.wav"]
    for name in names:
        soundfile.write(tmp_path / name, scene(16000, ("chainsaw", 12.0)), 16000)
    printed = []
    for options in ([], ["--json"]):
        done = subprocess.run(
            [
                *command("--model", tiny_model, "--file", tmp_path / "gone森.wav"),
                tmp_path,
                *options,
            ],
            cwd=ROOT,
            check=False,
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": encoding},
        )
        assert done.returncode == 1, done.stderr
        assert done.stderr.decode(encoding).count("\n") == 1, done.stderr
        printed.append(done.stdout.decode(encoding))
    table, lines = printed
    assert [line.count(".wav") for line in table.splitlines()].count(1) == 2 * len(names)
    assert "?" in table
    # JSON has a way to write any letter.
    told = {Path(json.loads(line)["file"]).name for line in lines.splitlines()}
    assert told == set(names)


def test_an_output_that_cannot_be_written_is_named(
    run: Run, recording: Path, tmp_path: Path
) -> None:
    for option in ("--scores", "--plot"):
        path = tmp_path / "gone" / "out.png"
        status, _, err = run("--file", recording, option, path)
        assert (status, err) == (1, f"rainwatchd: {path}: No such file or directory\n")


def test_a_model_that_is_not_there_is_named(
    tmp_path: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "gone.onnx"
    assert main(["--model", str(path), "--file", str(recording)]) == 1
    assert capsys.readouterr().err == f"rainwatchd: model {path}: No such file or directory\n"


def test_the_version_names_the_model(run: Run, tiny_model: Path) -> None:
    digest = read_model(tiny_model).digest
    assert run("--version") == (
        0,
        f"rainwatchd {__version__}\nmodel tiny 1 (licence not stated) sha256:{digest}\n",
        "",
    )


def test_the_version_loads_no_network_and_no_sound(tiny_model: Path) -> None:
    program = (
        "import sys; from rainwatchd.cli import main; main()\n"
        "heavy = {'onnxruntime', 'sounddevice', 'soundfile', 'soxr', 'paho', 'sqlite3', 'yaml'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--version", "--model", tiny_model],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_replay_loads_neither_librosa_nor_matplotlib(tiny_model: Path, recording: Path) -> None:
    program = (
        "import sys; from rainwatchd.cli import main; main()\n"
        "heavy = {'librosa', 'numba', 'scipy', 'tensorflow', 'matplotlib', 'sounddevice'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--model", tiny_model, "--file", recording],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_reader_that_has_enough_brings_no_traceback(tiny_model: Path, recording: Path) -> None:
    process = subprocess.Popen(
        command("--model", tiny_model, "--json", "--file", recording),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert err == ""


def test_realtime_tells_an_onset_when_it_happens_and_can_be_interrupted(
    tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, scene(16000, ("chainsaw", 60.0)), 16000)
    started_s = time.monotonic()
    # What a shell runs in the background ignores interrupts, these tests perhaps among it.
    heeding = ["env", "--default-signal=INT"]
    process = subprocess.Popen(
        [
            *heeding,
            *command("--model", tiny_model, "--json", "--phases", "--realtime", "--file", path),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    onset = json.loads(process.stdout.readline())
    assert onset["phase"] == "onset"
    assert process.poll() is None, "it goes on while the sound does"
    assert time.monotonic() - started_s >= onset["duration_s"]
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.startswith("rainwatchd: interrupted: 0 of 1 recordings heard to their end, 0:00:")
    assert len(err.splitlines()) == 1


def test_a_terminal_sees_progress_and_a_file_does_not(tiny_model: Path, recording: Path) -> None:
    master, slave = os.openpty()
    done = subprocess.run(
        command("--model", tiny_model, "--json", "--file", recording, recording.parent),
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    shown = os.read(master, 1 << 16).decode()
    os.close(master)
    assert "1/1 files" in shown or "0/1 files" in shown
    assert "times real time" in shown
    assert shown.rsplit("\r", 2)[1].strip() == "", "the bar is taken away in the end"
    assert b"\x1b" not in done.stdout
