"""Recordings that lie on a server, by a real one on the loopback."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError
from rainwatchd.replay.archive.run import Shard, run_archive
from rainwatchd.replay.archive.sources import Source, at_hand, find_sources, url
from rainwatchd.replay.exports.reading import read_archive
from tests.replay.archive.conftest import parts


class _Moody(SimpleHTTPRequestHandler):
    """Fails as long as it is told to."""

    failing = False

    def send_head(self) -> io.BytesIO | None:
        if type(self).failing:
            self.send_error(500)
            return None
        return super().send_head()  # type: ignore[return-value]

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(night: Path) -> Iterator[str]:
    _Moody.failing = False
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Moody, directory=str(night))) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_an_address_is_told_from_a_path() -> None:
    assert url(str(Path("s3://forest/night"))) == "s3://forest/night"
    assert url(str(Path("file:///cards/night"))) == "file:///cards/night"
    assert url("/data/night.wav") is None
    assert url("c/night.wav") is None


def test_a_server_that_fails_costs_a_try_and_no_part(
    server: str, tiny_model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("aiohttp")
    place = Path(f"{server}/b/20240512_210000.flac")

    def hear() -> tuple[bool, str]:
        err = io.StringIO()
        whole = run_archive(
            [place],
            Config(model=str(tiny_model)),
            tmp_path / "out",
            jobs=1,
            shard=Shard(),
            scores=False,
            dask=None,
            utc_offset=None,
            err=err,
        )
        return whole, err.getvalue()

    _Moody.failing = True
    whole, err = hear()
    assert not whole
    assert err.startswith(f"rainwatchd: {server}/b/20240512_210000.flac: ")
    assert not parts(tmp_path / "out")
    _Moody.failing = False
    whole, _ = hear()
    assert whole
    (record,) = read_archive(tmp_path / "out").records
    assert record.path == f"{server}/b/20240512_210000.flac"
    assert record.start is not None
    assert [sound.label for sound in record.sounds] == ["engine"]


def test_a_copy_is_gone_when_it_was_heard(tmp_path: Path) -> None:
    """By the file system in memory, which reads as a bucket does."""
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://night/x.wav", "wb") as file:
        file.write(b"x" * 5000)
    (source,) = find_sources([Path("memory://night")])
    assert isinstance(source, Source)
    assert (source.place, source.size) == ("memory:///night/x.wav", 5000)
    with at_hand(source, tmp_path) as copy:
        assert (copy.name, copy.stat().st_size) == ("x.wav", 5000)
    assert not list(tmp_path.iterdir())


def test_a_copy_that_came_in_part_is_refused(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://night/y.wav", "wb") as file:
        file.write(b"y" * 5000)
    short = Source("memory:///night/y.wav", 6000, "")
    with pytest.raises(AudioError, match="5000 of 6000 bytes came"), at_hand(short, tmp_path):
        pass


def test_a_store_without_its_driver_says_what_to_install() -> None:
    (error,) = find_sources([Path("gs://forest/night")])
    assert isinstance(error, AudioError)
    assert "gcsfs" in str(error)
