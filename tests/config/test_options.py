"""The configuration file: what it accepts, and how exactly it names a mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.config import lines as config_lines
from rainwatchd.config import options as config
from rainwatchd.errors import ConfigError
from rainwatchd.hearing.model_spec import DecisionRule
from tests.tiny_model import SPEC


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "rainwatchd.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, "# nothing set\n")) == config.Config()


def test_a_section_with_every_key_commented_out_means_its_defaults(tmp_path: Path) -> None:
    sections = {key.split(".")[0] for key in config.defaults() if "." in key}
    text = "".join(f"{section}:\n" for section in sorted(sections))
    assert config.load(write(tmp_path, text)) == config.Config()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("lat: 12\nlon: 200\n", 2, r"lon is 200; allowed: a number at least -180 and at most 180"),
        ("device_id: a/b\n", 1, r"device_id is 'a/b'; allowed: 1 to 64 letters"),
        ("device_id: 7\n", 1, r"device_id is 7; allowed: 1 to 64 letters"),
        ("\ndevice: x\n", 2, r"unknown key device; did you mean device_id\?"),
        (
            "decision:\n  saw:\n    span_s: long\n",
            3,
            r"decision.saw.span_s is 'long'; allowed: a",
        ),
        (
            "decision:\n  saw:\n    span: 1\n",
            3,
            r"unknown key decision.saw.span; did you mean",
        ),
        ("decision:\n  saw:\n    on_threshold: 1.5\n", 3, r"is 1.5; allowed: a number above 0"),
        ("decision:\n  saw:\n    span_s: -1\n", 3, r"span_s is -1; allowed: seconds from 0 to"),
        ("decision:\n  saw:\n    smoothing: sum\n", 3, r"is 'sum'; allowed: ema or mean"),
        (
            "\ndecision:\n  saw:\n    on_threshold: true\n",
            4,
            r"saw.on_threshold is True; allowed: a",
        ),
        ("decision:\n  saw: 3\n", 2, r"decision.saw is 3; allowed: a section of keys"),
        ("lat: 1\ndevice_id: 2024-99-99\n", 2, r"month must be in 1..12; put text in quotes"),
        ('lat: 1\nmodel: "a\\0b"\n', 2, r"a NUL character isn't text"),
        ("step_s: .nan\n", 1, r"step_s is nan; allowed: a finite number"),
        ("lat: 1\nlat: 2\n", 2, r"the key lat stands here for the second time"),
        ("lat: &x 1\nlon: *x\n", 2, r"aliases .* aren't allowed"),
        ("lat: [1\n", 2, r"expected ',' or '\]'"),
        ("lat: 1\n\tlon: 2\n", 2, r"cannot start any token"),
        ("- device_id\n", 1, r"expected keys with values"),
        ("model:\n  path: x\n", 1, r"model is .*; allowed: text .* or null"),
    ],
)
def test_a_mistake_is_named_by_file_line_key_and_what_is_allowed(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert re.search(said, message)
    assert "\n" not in message


def test_a_value_of_an_unknown_key_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, "password: hunter2\n"))
    assert "hunter2" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: No such file.*--config"):
        config.load(tmp_path / "absent.yaml")


def test_the_command_line_wins_over_the_file_by_the_same_key(tmp_path: Path) -> None:
    path = write(tmp_path, "lat: 1\ndecision:\n  chainsaw:\n    on_threshold: 0.7\n")
    loaded = config.load(path, {"lat": "-3.5", "decision.chainsaw.on_threshold": "0.9"})
    assert loaded.lat == -3.5
    assert loaded.decision["chainsaw"]["on_threshold"] == 0.9


def test_a_mistake_on_the_command_line_is_named_by_its_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--lat: lat is 91; allowed: "):
        config.load(write(tmp_path, ""), {"lat": "91"})


def test_a_class_with_every_key_commented_out_means_the_models_rule(tmp_path: Path) -> None:
    path = write(tmp_path, "decision:\n  saw:\n    # on_threshold: 0.5\n")
    assert config.load(path).rule("saw", DecisionRule()) == DecisionRule()


def test_an_off_threshold_above_the_on_threshold_is_refused(tmp_path: Path) -> None:
    changed = config.load(write(tmp_path, "decision:\n  chainsaw:\n    on_threshold: 0.1\n"))
    with pytest.raises(ConfigError, match=r"chainsaw.off_threshold is 0.36, above .*, 0.1; set"):
        changed.rules(SPEC)


def test_rules_of_the_file_change_only_what_they_name(tmp_path: Path) -> None:
    text = "decision:\n  chainsaw:\n    on_threshold: 0.7\n"
    loaded = config.load(write(tmp_path, text))
    model = DecisionRule(on_threshold=0.5, off_threshold=0.2, span_s=3.0)
    assert loaded.rule("chainsaw", model) == DecisionRule(
        on_threshold=0.7, off_threshold=0.2, span_s=3.0
    )
    assert loaded.rule("engine", model) == model


CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_documented_file_names_every_key_with_its_default(tmp_path: Path) -> None:
    documented = (CONFIGS / "rainwatchd.yaml").read_text()
    uncommented = re.sub(r"(?m)^( *)#(?=[a-z_]+:)", r"\1", documented)
    document = config_lines.parse(uncommented, "rainwatchd.yaml")

    def spread(values: dict[str, object], above: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in values.items():
            section = isinstance(value, dict) and value
            found |= spread(value, f"{above}{key}.") if section else {above + key: value}  # type: ignore[arg-type]
        return found

    assert spread(document.values, "") == config.defaults()
    assert config.load(write(tmp_path, uncommented)) == config.Config()


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_file_loads(path: Path) -> None:
    config.load(path)


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(values=st.dictionaries(st.sampled_from(sorted(config.defaults())), yaml_values, max_size=4))
def test_values_of_any_kind_load_or_are_explained_in_one_line(values: dict[str, object]) -> None:
    document = config_lines.Document("somewhere")
    try:
        for key, value in values.items():
            document.put(key.split("."), value, f"--{key}")
        config._decode(document)
    except ConfigError as error:
        assert str(error).startswith("--")
        assert "\n" not in str(error)


@settings(max_examples=150, deadline=None)
@given(text=st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@ \n\t1.", max_size=80))
def test_no_text_breaks_the_reader(text: bytes | str) -> None:
    try:
        config_lines.parse(text, "file")
    except ConfigError as error:
        assert str(error).startswith("file:")
        assert "\n" not in str(error)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        config_lines.parse("[" * 5000, "file")
