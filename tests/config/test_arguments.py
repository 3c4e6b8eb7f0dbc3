"""The keys as options: what is taken, what is refused, and the list of them."""

from __future__ import annotations

import argparse

import pytest

from rainwatchd.config import arguments
from rainwatchd.config import options as config


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="x", usage="x", allow_abbrev=False)
    parser.add_argument("--file", nargs="+")
    parser.add_argument("--verbose", action="store_true")
    return parser


def test_keys_stand_between_the_programs_own_options(parser: argparse.ArgumentParser) -> None:
    words = [
        "--file",
        "a",
        "b",
        "--lat",
        "-3.5",
        "--mqtt.host=b",
        "--verbose",
        "--audio.device",
        "",
    ]
    own, given = arguments.read_keys(parser, words)
    assert own.file == ["a", "b"]
    assert own.verbose
    assert given == {"lat": "-3.5", "mqtt.host": "b", "audio.device": ""}


def test_a_class_of_any_model_has_its_keys(parser: argparse.ArgumentParser) -> None:
    words = ["--decision.gunshot.on_threshold", "0.5", "--decision.a b.span_s=3"]
    _, given = arguments.read_keys(parser, words)
    assert given == {"decision.gunshot.on_threshold": "0.5", "decision.a b.span_s": "3"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mqtt.hots", "b"], "unknown argument '--mqtt.hots'; did you mean --mqtt.host?"),
        (["--latitude=3"], "unknown argument '--latitude'; did you mean --lat?"),
        (["--verbos"], "unknown argument '--verbos'; did you mean --verbose?"),
        (
            ["--decision.saw.on_treshold", "1"],
            "unknown argument '--decision.saw.on_treshold'; did you mean "
            "--decision.saw.on_threshold?",
        ),
        (["--zzz"], "unknown argument '--zzz'; --help and --help-config say what there is"),
        (["stray"], "unknown argument 'stray'; --help and --help-config say what there is"),
        (["--lat"], "argument --lat: expected one argument"),
    ],
)
def test_an_unknown_option_is_told_with_the_one_it_resembles(
    parser: argparse.ArgumentParser,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    with pytest.raises(SystemExit) as stop:
        arguments.read_keys(parser, words)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"usage: x\nx: error: {said}\n"


def test_every_key_is_listed_below_its_section(capsys: pytest.CaptureFixture[str]) -> None:
    arguments.print_keys()
    shown = capsys.readouterr().out
    for key in config.defaults():
        assert f"\n  --{key} VALUE" in shown
    assert shown.index("\nmqtt:\n") < shown.index("--mqtt.port VALUE") < shown.index("\noutbox:\n")
    assert "a whole number from 1 to 65535 or null (default: null)" in shown
    assert "--decision.CLASS.on_threshold VALUE\n" in shown
    assert all(len(line) <= 100 for line in shown.splitlines())
