"""The post's YAML file."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from rainwatchd.errors import ConfigError
from rainwatchd.post.options import PostConfig, load

DOCUMENTED = Path(__file__).parents[2] / "configs/rainwatch-post.yaml"


def write(folder: Path, text: str) -> Path:
    path = folder / "post.yaml"
    path.write_text(text)
    return path


def test_the_documented_file_names_every_key_with_its_default(tmp_path: Path) -> None:
    uncommented = re.sub(r"(?m)^( *)#(?=[a-z_]+:)", r"\1", DOCUMENTED.read_text())
    assert load(write(tmp_path, uncommented)) == PostConfig()
    for section in ("listen", "mqtt", "storage", "map"):
        for field in msgspec.structs.fields(type(getattr(PostConfig(), section))):
            assert re.search(rf"(?m)^  {field.encode_name}:", uncommented), field.encode_name
    for field in msgspec.structs.fields(PostConfig):
        assert re.search(rf"(?m)^{field.encode_name}:", uncommented), field.encode_name
    assert load(DOCUMENTED) == PostConfig()


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "listen:\n  port: 1\n")
    assert load(path, {"listen.port": "8081"}).listen.port == 8081


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("naem: x", "1: unknown key naem; did you mean name?"),
        ("listen:\n  port: 99999", "2: listen.port is 99999"),
        ("mqtt:\n  host: b.example.org\n  password_file: /x", "mqtt.tls"),
        ("mqtt:\n  user:\n  keepalive_s: 1", "3: mqtt.keepalive_s is 1"),
        ("listen:\n  tls_key_file: /x", "tls_key_file needs tls_cert_file"),
        ("map:\n  picture_file: /x", "picture_file and picture_bounds go together"),
        ("positions:\n  a: {lat: 100, lon: 5}", "2: positions.a.lat is 100"),
        ("positions:\n  a:", "2: positions.a is empty"),
        ("positions: 3", "1: positions is 3"),
    ],
)
def test_a_mistake_is_named_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    assert said in str(caught.value)
