"""Recordings in a bucket, by a real client and a server on the loopback."""

from __future__ import annotations

import io
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import s3fs

from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError
from rainwatchd.replay.archive.run import Shard, run_archive
from rainwatchd.replay.archive.sources import Source, at_hand, find_sources
from rainwatchd.replay.exports.reading import read_archive
from tests.replay.archive.bucket import Proxy, bucket_server
from tests.replay.archive.conftest import NIGHT, parts


@pytest.fixture(scope="module")
def server() -> Iterator[Proxy]:
    with bucket_server() as proxy:
        yield proxy


@pytest.fixture
def store(server: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Open the bucket as this machine's settings say."""
    server.failing, server.failed, server.pause_s = {}, 0, 0.0
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    store = s3fs.S3FileSystem()
    store.mkdir("forest")
    yield store
    store.rm("forest", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


def found(address: str) -> Source:
    (source,) = find_sources([Path(address)])
    assert isinstance(source, Source)
    return source


def refused(source: Source, scratch: Path) -> str:
    with pytest.raises(AudioError) as caught, at_hand(source, scratch):
        pass
    assert not list(scratch.iterdir())
    return str(caught.value)


def test_a_bucket_is_heard_as_a_folder_is(
    night: Path, tiny_model: Path, tmp_path: Path, store: Any, server: Proxy
) -> None:
    """Though the server fails for a while and is slow."""
    store.put(str(night), "forest/night", recursive=True)
    server.failing, server.pause_s = {"ridge_20240512_200000.wav": 2, "unknown.wav": 1}, 0.002
    config, err = Config(model=str(tiny_model)), io.StringIO()
    settings: dict[str, Any] = {"jobs": 1, "scores": False, "dask": None}
    run_archive([night], config, tmp_path / "here", shard=Shard(), err=err, **settings)
    place = Path("s3://forest/night")
    assert run_archive([place], config, tmp_path / "there", shard=Shard(), err=err, **settings)
    assert server.failed == 3
    here, there = read_archive(tmp_path / "here"), read_archive(tmp_path / "there")
    assert [record.path for record in there.records] == sorted(
        f"s3://forest/night/{name}" for name in NIGHT
    )
    assert [
        [(sound.label, sound.start_s, sound.end_s, sound.start) for sound in record.sounds]
        for record in there.records
    ] == [
        [(sound.label, sound.start_s, sound.end_s, sound.start) for sound in record.sounds]
        for record in here.records
    ]
    before = parts(tmp_path / "there")
    err = io.StringIO()
    assert run_archive([place], config, tmp_path / "there", shard=Shard(), err=err, **settings)
    assert "4 were done before" in err.getvalue()
    assert parts(tmp_path / "there") == before


def test_a_server_that_goes_on_failing_is_a_line(store: Any, server: Proxy, tmp_path: Path) -> None:
    store.pipe("forest/x.wav", bytes(5000))
    source = found("s3://forest/x.wav")
    server.failing = {"x.wav": 10**6}
    assert refused(source, tmp_path) == "s3://forest/x.wav: Internal Server Error"
    assert server.failed > 1, "it was tried again"


def test_what_changes_while_it_is_read_is_not_heard(store: Any, tmp_path: Path) -> None:
    store.pipe("forest/x.wav", b"x" * 5000)
    source = found("s3://forest/x.wav")
    store.pipe("forest/x.wav", b"y" * 5000)
    assert refused(source, tmp_path) == ("s3://forest/x.wav: changed while it was read; run again")
    store.rm("forest/x.wav")
    assert refused(source, tmp_path).startswith("s3://forest/x.wav: ")


def test_a_full_scratch_disk_is_told_as_one(store: Any, tmp_path: Path) -> None:
    store.pipe("forest/x.wav", bytes(300_000))
    source = found("s3://forest/x.wav")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        assert refused(source, tmp_path).startswith(
            f"s3://forest/x.wav: no room for its copy in {tmp_path}: File too large; set TMPDIR"
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("store")
def test_a_bucket_that_is_not_there_is_a_line() -> None:
    (error,) = find_sources([Path("s3://desert/night")])
    assert isinstance(error, AudioError)
    assert str(error).startswith("s3://desert/night: ")
    assert "\n" not in str(error)


@pytest.mark.usefixtures("store")
def test_missing_credentials_are_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3fs.S3FileSystem.clear_instance_cache()
    (error,) = find_sources([Path("s3://forest/night")])
    assert str(error) == "s3://forest/night: Unable to locate credentials"
