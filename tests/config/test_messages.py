"""What is said about each mistake in a configuration file, to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from rainwatchd.config import options as config
from rainwatchd.errors import ConfigError


def mistakes(folder: Path, content: str | bytes) -> list[str]:
    """Load a file that holds `content`; return what is said, the file being ``x.yaml``."""
    path = folder / "x.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert all(mistake.isprintable() for mistake in caught.value.mistakes)
    return [mistake.replace(str(path), "x.yaml") for mistake in caught.value.mistakes]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "mqtt:\n\thost: broker\n",
            "x.yaml:2: a tab at the beginning of the line; YAML takes spaces only",
        ),
        ("lat:\t3\n", "x.yaml:1: a tab behind the colon; put a space"),
        (
            "mqtt:\n  host: broker\n   port: 1883\n",
            "x.yaml:3: indented by 3 spaces, but line 2 above it by 2; the keys of a section stand "
            "exactly below each other",
        ),
        (
            "mqtt:\n  # the broker's name\n  host: broker\n\n port: 1883\n",
            "x.yaml:5: indented by 1 space, but line 3 above it by 2; the keys of a section stand "
            "exactly below each other",
        ),
        (
            " device_id: canopy-1\nlat: 3\n",
            "x.yaml:1: indented by 1 space; what is in no section begins at the left margin",
        ),
        (
            "mqtt:\n  host: broker\n    user ranger\n",
            "x.yaml:2: the value of host runs on into line 3: indent that line as its section is, "
            "with a space behind its colon",
        ),
        (
            "# Where\nlat: 1\ndevice_id:canopy-1\nlon: 2\n",
            "x.yaml:3: device_id:canopy-1 lacks a space behind the colon: device_id: canopy-1",
        ),
        (
            "device_id:canopy-1\n",
            "x.yaml:1: device_id:canopy-1 lacks a space behind the colon: device_id: canopy-1",
        ),
        (
            "mqtt:\n\n  host:broker\n",
            "x.yaml:3: host:broker lacks a space behind the colon: host: broker",
        ),
        (
            'lat: 1\ndevice_id: "canopy-1\nlon: 2\nmqtt:\n  port: 1\n',
            "x.yaml:2: the quote \" isn't closed in this line",
        ),
        (
            "device_id: 'canopy-1\nmodel: 'x'\n",
            "x.yaml:1: the quote ' isn't closed in this line",
        ),
        ('model: "a\n  b"\n', "x.yaml:1: the quote \" isn't closed in this line"),
        ("lat: 1\nlat: 2\n", "x.yaml:2: the key lat stands here for the second time"),
        (
            "lat: &x 1\nlon: *x\n",
            "x.yaml:2: aliases (*name) aren't allowed; quote text that begins with *",
        ),
        ("lat: 1\nlon: [1\n", "x.yaml:2: the bracket [ isn't closed"),
        ("- device_id\n", "x.yaml:1: expected keys with values, such as 'device_id: canopy-7'"),
        ("lat: 1\n[a]: 2\n", "x.yaml:2: a key is one word"),
        ('lat: 1\nmodel: "a\\0b"\n', "x.yaml:2: a NUL character isn't text"),
        ("lat: 1\nmodel: a\0b\n", "x.yaml:2: the character U+0000 isn't text; delete it"),
        ("lat: 1\nmodel: 2024-99-99\n", "x.yaml:2: month must be in 1..12; put text in quotes"),
    ],
)
def test_a_text_that_is_no_yaml(tmp_path: Path, text: str, said: str) -> None:
    assert mistakes(tmp_path, text) == [said]


def test_a_file_in_latin_1(tmp_path: Path) -> None:
    content = "device_id: canopy-1\n# São Gabriel da Cachoeira\nlat: 0\n".encode("latin-1")
    assert mistakes(tmp_path, content) == [
        "x.yaml:2: the byte 0xe3 is not UTF-8; was the file saved as Latin-1? Save it as UTF-8"
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_windows_saves_is_read(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("# São Gabriel\r\ndevice_id: canopy-1\r\n".encode(encoding))
    assert config.load(path).device_id == "canopy-1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "lat: 12\nlon: 200\n",
            "x.yaml:2: lon is 200; allowed: a number from -180 to 180 or null",
        ),
        (
            "device_id: a/b\n",
            "x.yaml:1: device_id is 'a/b'; allowed: 1 to 64 letters, digits, '_', '-' and '.' or "
            "null",
        ),
        ("device_id: 42\n", 'x.yaml:1: device_id is 42, a number; quote it: device_id: "42"'),
        (
            "device_id: no\n",
            'x.yaml:1: device_id is no, which YAML reads as false; quote it: device_id: "no"',
        ),
        (
            "mqtt:\n  host: 2024-01-01\n",
            'x.yaml:2: mqtt.host is 2024-01-01, a date; quote it: host: "2024-01-01"',
        ),
        (
            "lat: no\n",
            "x.yaml:1: lat is no; allowed: a number from -90 to 90 or null",
        ),
        ("mqtt:\n  tls:\n", "x.yaml:2: mqtt.tls is empty; allowed: true or false"),
        (
            "clips:\n  save: 1\n",
            "x.yaml:2: clips.save is 1; allowed: true or false; did you mean true?",
        ),
        (
            "step_s: .nan\n",
            "x.yaml:1: step_s is .nan; allowed: a finite number",
        ),
        ("model:\n  path: x\n", "x.yaml:1: model is a section; allowed: text or null"),
        ("model: [x]\n", "x.yaml:1: model is a list; allowed: text or null"),
        (
            "outbox: 3\n",
            "x.yaml:1: outbox is 3; allowed: a section with the keys max_bytes",
        ),
        (
            "state_directory: ~/rain\n",
            "x.yaml:1: state_directory is ~/rain; only a shell knows ~, write it out: a path from "
            "/ on",
        ),
        ("latitude: 3\n", "x.yaml:1: unknown key latitude; did you mean lat?"),
        (
            "mqtt:\nhost: broker\n",
            "x.yaml:2: host belongs under mqtt: move it there, indented",
        ),
        (
            "max_bytes: 3\n",
            "x.yaml:1: max_bytes belongs under outbox or clips: move it there, indented",
        ),
        (
            "mqtt:\n  lat: 3\n",
            "x.yaml:2: lat doesn't belong under mqtt: begin it at the margin",
        ),
        (
            "\ndevice: x\n",
            "x.yaml:2: unknown key device; did you mean device_id, or device under audio?",
        ),
        (
            "audio:\n  gain: 3\n",
            "x.yaml:2: unknown key audio.gain; allowed: device, channel, zeros_are_faults, "
            "recovery_timeout_s",
        ),
        (
            "mqtt:\n  tls_ca_file: ca.pem\n",
            "x.yaml:2: mqtt: tls_ca_file, tls_cert_file and tls_key_file need tls: true",
        ),
        (
            "decision:\n  chainsaw:\n    span_s: long\n",
            "x.yaml:3: decision.chainsaw.span_s is 'long'; allowed: a number",
        ),
        (
            "decision:\n  chainsaw:\n    span: 1\n",
            "x.yaml:3: unknown key decision.chainsaw.span; did you mean decision.chainsaw.span_s?",
        ),
        (
            "decision:\n  chainsaw:\n    on_threshold: 1.5\n",
            "x.yaml:3: decision.chainsaw.on_threshold is 1.5; allowed: a number above 0 and below "
            "1",
        ),
        (
            "decision:\n  chainsaw:\n    span_s: -1\n",
            "x.yaml:3: decision.chainsaw.span_s is -1; allowed: seconds from 0 to 3600",
        ),
        (
            "decision:\n  chainsaw:\n    smoothing: sum\n",
            "x.yaml:3: decision.chainsaw.smoothing is 'sum'; allowed: ema or mean",
        ),
        (
            "decision:\n  chainsaw: 3\n",
            "x.yaml:2: decision.chainsaw is 3; allowed: a section of keys with values",
        ),
        ("decision: 3\n", "x.yaml:1: decision is 3; allowed: a section of keys with values"),
    ],
)
def test_a_value_that_is_not_allowed(tmp_path: Path, text: str, said: str) -> None:
    assert mistakes(tmp_path, text) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "device_id: “canopy-1”\n",
            [
                "x.yaml:1: device_id is in typographic quotes; use plain ones: device_id: "
                '"canopy-1"',
            ],
        ),
        (
            "mqtt:\n\xa0\xa0host: broker\n",
            [
                "x.yaml:2: a space that is none (U+00A0); type it anew",
            ],
        ),
        (
            "lat:\xa03\n",
            [
                "x.yaml:1: a space that is none (U+00A0); type it anew",
            ],
        ),
        (
            "lat: -3,1\n",
            [
                "x.yaml:1: lat is '-3,1'; allowed: a number from -90 to 90 or null; did you mean "
                "-3.1?",
            ],
        ),
        (
            "lat: 3.1° S\n",
            [
                "x.yaml:1: lat is '3.1° S'; allowed: a number from -90 to 90 or null; did you mean "
                "-3.1?",
            ],
        ),
        (
            "lat: 3.1S\n",
            [
                "x.yaml:1: lat is '3.1S'; allowed: a number from -90 to 90 or null; did you mean "
                "-3.1?",
            ],
        ),
        (
            "lat: 3°06'00\"S\n",
            [
                "x.yaml:1: lat is '3°06\\'00\"S'; allowed: a number from -90 to 90 or null; did "
                "you mean -3.1?",
            ],
        ),
        (
            "device_id = canopy-1\n",
            [
                "x.yaml:1: device_id = canopy-1 has = where a colon belongs: device_id: canopy-1",
            ],
        ),
        (
            "mqtt:\n  host = broker\n",
            [
                "x.yaml:2: host = broker has = where a colon belongs: host: broker",
            ],
        ),
        (
            "lat: 3\nhost = broker\nlon: 4\n",
            [
                "x.yaml:2: host = broker has = where a colon belongs: host: broker",
                "x.yaml:2: host belongs under mqtt: move it there, indented",
            ],
        ),
        (
            "mqtt:\n  - host: broker\n  - port: 1883\n",
            [
                "x.yaml:1: mqtt is a list; write its keys without the dashes",
            ],
        ),
        (
            "lat: 3\nlon\n",
            [
                "x.yaml:2: lon lacks a colon: lon: VALUE",
            ],
        ),
        (
            "Device_ID: canopy\n",
            [
                "x.yaml:1: unknown key Device_ID; did you mean device_id?",
            ],
        ),
        (
            "deviceId: canopy\n",
            [
                "x.yaml:1: unknown key deviceId; did you mean device_id?",
            ],
        ),
        (
            "device-id: canopy\n",
            [
                "x.yaml:1: unknown key device-id; did you mean device_id?",
            ],
        ),
        (
            "mqtt.host: broker\n",
            [
                "x.yaml:1: mqtt.host is for the command line; here host stands under mqtt, "
                "indented",
            ],
        ),
        (
            'mqtt:\n  port: "1883"\n',
            [
                "x.yaml:2: mqtt.port is '1883'; allowed: a whole number from 1 to 65535 or null; "
                "did you mean 1883?",
            ],
        ),
        (
            "mqtt:\n  port: 1883 tcp\n",
            [
                "x.yaml:2: mqtt.port is '1883 tcp'; allowed: a whole number from 1 to 65535 or "
                "null; did you mean 1883?",
            ],
        ),
        (
            "mqtt:\n  tls: ja\n",
            [
                "x.yaml:2: mqtt.tls is 'ja'; allowed: true or false; did you mean true?",
            ],
        ),
        (
            "mqtt:\n  user: a\n  password: secret\n",
            [
                "x.yaml:3: a password doesn't stand here: password_file names a file that holds it",
            ],
        ),
        (
            "mqtt:\n  username: a\n",
            [
                "x.yaml:2: unknown key mqtt.username; did you mean mqtt.user?",
            ],
        ),
        (
            "lat: 3\n---\nlon: 4\n",
            [
                "x.yaml:2: --- begins a second document; one file holds one",
            ],
        ),
        (
            "[mqtt]\nhost=broker\n",
            [
                "x.yaml:1: [mqtt] is no section: write mqtt: and its keys below it, indented",
                "x.yaml:2: host=broker has = where a colon belongs: host: broker",
                "x.yaml:2: host belongs under mqtt: move it there, indented",
            ],
        ),
        (
            "lat: 3#here\n",
            [
                "x.yaml:1: lat is '3#here'; allowed: a number from -90 to 90 or null; did you mean "
                "3?",
            ],
        ),
        (
            "device_id: canopy 1\n",
            [
                "x.yaml:1: device_id is 'canopy 1'; allowed: 1 to 64 letters, digits, '_', '-' and "
                "'.' or null",
            ],
        ),
        (
            "decision:\n  chainsaw:\n    on_threshold: 90%\n",
            [
                "x.yaml:3: decision.chainsaw.on_threshold is '90%'; allowed: a number; did you "
                "mean 0.9?",
            ],
        ),
        (
            "decision:\n  on_threshold: 0.9\n",
            [
                "x.yaml:2: on_threshold is a class's: decision: chainsaw: on_threshold, each below "
                "the one before",
            ],
        ),
        (
            "lon: 300\n",
            [
                "x.yaml:1: lon is 300; allowed: a number from -180 to 180 or null",
            ],
        ),
        (
            "clips:\n  max_bytes: 500MB\n",
            [
                "x.yaml:2: clips.max_bytes is '500MB'; allowed: a whole number at least 0; did you "
                "mean 500000000?",
            ],
        ),
        (
            "clips:\n  max_bytes: 5e8\n",
            [
                "x.yaml:2: clips.max_bytes is '5e8'; allowed: a whole number at least 0; did you "
                "mean 500000000?",
            ],
        ),
        (
            "step_s: 1s\n",
            [
                "x.yaml:1: step_s is '1s'; allowed: a number from 0.05 to 60 or null; did you mean "
                "1?",
            ],
        ),
        (
            "audio:\n  device: USB: Audio\n",
            [
                'x.yaml:2: text with a colon and a space is put in quotes: device: "USB: Audio"',
            ],
        ),
        (
            "audio:\n  channel: left\n",
            [
                "x.yaml:2: audio.channel is 'left'; allowed: a whole number from 1 to 1024 or mean",
            ],
        ),
        (
            'model: "C:\\models\\x.onnx"\n',
            [
                "x.yaml:1: in double quotes \\ means something: model: 'C:\\models\\x.onnx'",
            ],
        ),
        (
            "state_directory: $HOME/rain\n",
            [
                "x.yaml:1: state_directory is $HOME/rain; only a shell knows $HOME, write it out: "
                "a path from / on",
            ],
        ),
        (
            'state_directory: "~"\n',
            [
                "x.yaml:1: state_directory is ~; only a shell knows ~, write it out: a path from / "
                "on",
            ],
        ),
        (
            "device_id: 007\n",
            [
                'x.yaml:1: device_id is 007, a number; quote it: device_id: "007"',
            ],
        ),
        (
            "mqtt:\n  port: 01883\n",
            [
                "x.yaml:2: mqtt.port is '01883'; allowed: a whole number from 1 to 65535 or null; "
                "did you mean 1883?",
            ],
        ),
        (
            "mqtt:\n  host: 10:20\n",
            [
                'x.yaml:2: mqtt.host is 10:20, a number; quote it: host: "10:20"',
            ],
        ),
        (
            "device_id:: canopy\n",
            [
                "x.yaml:1: unknown key device_id:; did you mean device_id?",
            ],
        ),
        (
            "lat: 3;\n",
            [
                "x.yaml:1: lat is '3;'; allowed: a number from -90 to 90 or null; did you mean 3?",
            ],
        ),
        (
            "decision: {chainsaw: {on_threshold: 0.9}\nlat: 3\n",
            [
                "x.yaml:1: the bracket { isn't closed",
            ],
        ),
        (
            "lat: 3\t# here\n",
            [
                "x.yaml:1: a tab in the line; YAML takes spaces only",
            ],
        ),
        (
            "device_id: *canopy\n",
            [
                "x.yaml:1: aliases (*name) aren't allowed; quote text that begins with *",
            ],
        ),
        (
            "device_id: @canopy\n",
            [
                'x.yaml:1: text that begins with @ is put in quotes: device_id: "@canopy"',
                "x.yaml:1: device_id is '@canopy'; allowed: 1 to 64 letters, digits, '_', '-' and "
                "'.' or null",
            ],
        ),
        (
            "mqtt:\n  user: !ranger\n",
            [
                "x.yaml:2: text that begins with ! is put in quotes",
            ],
        ),
        (
            "mqtt:\n  user: %ranger\n",
            [
                'x.yaml:2: text that begins with % is put in quotes: user: "%ranger"',
            ],
        ),
        (
            "device_id: `hostname`\n",
            [
                'x.yaml:1: text that begins with ` is put in quotes: device_id: "`hostname`"',
                "x.yaml:1: device_id is '`hostname`'; allowed: 1 to 64 letters, digits, '_', '-' "
                "and '.' or null",
            ],
        ),
        (
            "device_id: 'canopy's'\n",
            [
                'x.yaml:1: text goes on behind the closing quote \'; use the other: "..."',
                "x.yaml:1: device_id is \"canopy's\"; allowed: 1 to 64 letters, digits, '_', "
                "'-' and '.' or null",
            ],
        ),
        (
            "<<<<<<< HEAD\nlat: 3\n=======\nlat: 4\n>>>>>>> x\n",
            [
                "x.yaml:1: a mark of a merge conflict; delete it, and one of the two versions",
                "x.yaml:3: a mark of a merge conflict; delete it, and one of the two versions",
                "x.yaml:4: the key lat stands here for the second time",
                "x.yaml:5: a mark of a merge conflict; delete it, and one of the two versions",
            ],
        ),
        (
            "mqtt:\n  host: broker\n\tport: 1883\n",
            [
                "x.yaml:3: a tab at the beginning of the line; YAML takes spaces only",
            ],
        ),
        (
            "decision:\nchainsaw:\n  on_threshold: 0.9\n",
            [
                "x.yaml:2: chainsaw belongs under decision: move it there, indented",
            ],
        ),
        (
            "mqtt:\n  user: a\n  password: @secret\n",
            ["x.yaml:3: a password doesn't stand here: password_file names a file that holds it"],
        ),
        (
            "mqtt:\n  password = secret\n",
            ["x.yaml:2: a password doesn't stand here: password_file names a file that holds it"],
        ),
    ],
)
def test_what_people_write_who_know_other_files(tmp_path: Path, text: str, said: list[str]) -> None:
    assert mistakes(tmp_path, text) == said


def test_a_section_whose_keys_are_all_commented_out_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("decision:\n#  chainsaw:\nmqtt:\n#  host: broker\nlat: 3\n")
    assert config.load(path).lat == 3


def test_files_for_the_broker_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("not a key")
    (tmp_path / "password").touch()
    path = tmp_path / "x.yaml"
    path.write_text(
        f"lat: 1\nmqtt:\n  tls: true\n  tls_ca_file: {tmp_path}/ca\n"
        f"  tls_cert_file: {tmp_path}\n  tls_key_file: {tmp_path}/key\n"
        f"  password_file: {tmp_path}/password\nlon: 200\n"
    )
    with pytest.raises(ConfigError) as caught:
        config.load(path, with_files=True)
    *files, lon = [mistake.replace(f"{tmp_path}/", "") for mistake in caught.value.mistakes]
    assert files == [
        "x.yaml:4: mqtt.tls_ca_file ca: No such file or directory; it should hold the certificate "
        "(PEM) of the authority that signed the broker's",
        f"x.yaml:5: mqtt.tls_cert_file {tmp_path}: Is a directory; it should hold the device's "
        "certificate (PEM)",
        "x.yaml:6: mqtt.tls_key_file key: it should hold the private key (PEM) of the device's "
        "certificate, and does not",
        "x.yaml:7: mqtt.password_file password: it should hold the password, and does not",
    ]
    assert lon.startswith("x.yaml:8: lon")

    path.write_text(path.read_text().replace("200", "2"))
    told: list[str] = []
    listening = config.load(path, on_missing=told.append)
    assert listening.mqtt.tls_ca_file, "a device listens all the same"
    assert [mistake.replace(f"{tmp_path}/", "") for mistake in told] == files


def test_all_mistakes_are_named_at_once_by_their_lines(tmp_path: Path) -> None:
    text = """\
device_id: 42
host: broker
mqtt:
\tport: 1883
  tls: 1
   user:ranger
decision:
  chainsaw:
    on_treshold: 2
    off_threshold: 2
  gunshot: {}
model: "
clips:
 save: off
  publish: true
"""
    lines = [mistake.split(": ", 1)[0] for mistake in mistakes(tmp_path, text)]
    assert lines == [f"x.yaml:{number}" for number in (1, 2, 4, 5, 6, 6, 9, 10, 11, 12, 15)]
