"""The configuration file: what it accepts, and how exactly it names a mistake."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rainwatchd.config import options as config
from rainwatchd.config.lines import Document
from rainwatchd.config.reading import parse
from rainwatchd.errors import ConfigError
from rainwatchd.hearing.model_file import OPEN, PACKAGED
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


def test_a_value_of_an_unknown_key_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, "password: hunter2\n"))
    assert "hunter2" not in str(caught.value)


def mistakes(path: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    return list(caught.value.mistakes)


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
    path = write(tmp_path, "decision:\n  chainsaw:\n    # on_threshold: 0.5\n")
    assert config.load(path).rule("chainsaw", DecisionRule()) == DecisionRule()


def test_rules_are_held_against_the_model_with_file_and_line(
    tmp_path: Path, tiny_model: Path
) -> None:
    path = write(
        tmp_path,
        f"model: {tiny_model}\ndecision:\n  chainsaws:\n    on_threshold: 0.5\n  gunshot: {{}}\n",
    )
    assert mistakes(path) == [
        f"{path}:3: decision.chainsaws: tiny has no such alert; did you mean chainsaw? Allowed: "
        "chainsaw, engine, storm",
        f"{path}:5: decision.gunshot: tiny has no such alert; allowed: chainsaw, engine, storm",
    ]
    path = write(
        tmp_path,
        f"model: {tiny_model}\n"
        "decision:\n"
        "  chainsaw:\n"
        "    span_s: 3\n"
        "    on_threshold: 0.1\n"
        "  engine:\n"
        "    off_threshold: 0.9\n",
    )
    assert mistakes(path) == [
        f"{path}:5: decision.chainsaw.off_threshold is 0.36, above on_threshold, 0.1; set both, "
        "off_threshold the lower",
        f"{path}:7: decision.engine.off_threshold is 0.9, above on_threshold, 0.6; set both, "
        "off_threshold the lower",
    ]


def test_a_shipped_model_is_chosen_by_its_name(tmp_path: Path) -> None:
    assert config.load(write(tmp_path, "")).model_path == PACKAGED
    assert config.load(write(tmp_path, "model: open")).model_path == OPEN
    assert config.load(write(tmp_path, "model: /srv/own.onnx")).model_path == Path("/srv/own.onnx")


def test_a_model_that_cannot_be_read_is_not_the_rules_mistake(tmp_path: Path) -> None:
    text = f"model: {tmp_path}/gone.onnx\ndecision:\n  gunshot:\n    on_threshold: 0.5\n"
    loaded = config.load(write(tmp_path, text))
    with pytest.raises(ConfigError, match=r"^decision.gunshot: tiny has no such alert; allowed"):
        loaded.rules(SPEC)


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
    document = parse(uncommented, "rainwatchd.yaml")

    def spread(values: dict[str, object], above: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in values.items():
            section = isinstance(value, dict) and value
            found |= spread(value, f"{above}{key}.") if section else {above + key: value}  # type: ignore[arg-type]
        return found

    assert spread(document.values, "") == config.defaults()
    assert config.load(write(tmp_path, uncommented)) == config.Config()


DAEMON = sorted(path for path in CONFIGS.glob("*.yaml") if path.stem != "rainwatch-post")


@pytest.mark.parametrize("path", DAEMON, ids=lambda path: path.name)
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
    document = Document("somewhere")
    try:
        for key, value in values.items():
            document.put(key.split("."), value, f"--{key}", str(value))
        config._decode(document)
    except ConfigError as error:
        for mistake in error.mistakes:
            assert mistake.startswith("--")
            assert mistake.isprintable()


@settings(max_examples=150, deadline=None)
@given(text=st.binary(max_size=200) | st.text(alphabet="ab:-[]{}&*!|>'\"#%@ \n\t1.", max_size=80))
def test_no_text_breaks_the_reader(text: bytes | str) -> None:
    try:
        found = parse(text, "file").mistakes
    except ConfigError as error:
        found = list(error.mistakes)
        assert found
    for mistake in found:
        assert re.match(r"file:\d+: ", mistake)
        assert mistake.isprintable()


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ConfigError, match="nested too deeply"):
        parse("[" * 5000, "file")


@pytest.mark.parametrize(
    ("machine_id", "name"),
    [
        ("0123456789abcdef0123456789abcdef\n", "forest-pi-cdef"),
        ("uninitialized\n", "forest-pi"),
        (None, "forest-pi"),
    ],
)
def test_cloned_cards_have_different_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine_id: str | None, name: str
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "forest pi")
    if machine_id is not None:
        (tmp_path / "machine-id").write_text(machine_id)
    assert config._own_name(tmp_path / "machine-id") == name
