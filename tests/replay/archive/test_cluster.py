"""The same on a cluster of processes on the loopback."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import distributed
import msgspec
import numpy as np
import pytest
import soundfile

from rainwatchd.config.options import Config
from rainwatchd.errors import RainwatchError
from rainwatchd.replay import division
from rainwatchd.replay.archive import cluster as module
from rainwatchd.replay.archive.parts import done_parts
from rainwatchd.replay.archive.run import Shard, run_archive
from tests.replay.archive.conftest import parts
from tests.sounds import scene
from tests.tiny_model import SPEC, write_tiny_model


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    local_cluster: Any = distributed.LocalCluster
    with local_cluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=50,
    ) as cluster:
        yield cluster


def hear(places: list[Path], out: Path, model: Path, dask: str | None) -> tuple[bool, str]:
    err = io.StringIO()
    config = Config(model=str(model))
    settings: dict[str, Any] = {"jobs": 1, "shard": Shard(), "scores": True, "dask": dask}
    return run_archive(places, config, out, err=err, **settings), err.getvalue()


@pytest.mark.slow
def test_a_cluster_hears_what_one_machine_hears(
    night: Path,
    tiny_model: Path,
    tmp_path: Path,
    cluster: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where a worker is killed, and a recording is long."""
    monkeypatch.setattr(division, "LONG_S", 90.0)
    monkeypatch.setattr(division, "_LEAST_S", 60.0)
    long, out = tmp_path / "long_20240512_200000.wav", tmp_path / "out"
    soundfile.write(long, np.tile(scene(22050, ("chainsaw", 12.0), (None, 28.0)), 6), 22050)
    hear([night, long], tmp_path / "whole", tiny_model, None)
    ended = threading.Event()

    def kill() -> None:
        while not ended.is_set() and not done_parts(out).names:
            time.sleep(0.02)
        os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        whole, err = hear([night, long], out, tiny_model, cluster.scheduler_address)
    finally:
        ended.set()
        killer.join()
    assert whole
    assert "5 of 5 recordings done" in err
    assert parts(out) == parts(tmp_path / "whole")
    assert not done_parts(out).pieces


def test_a_worker_with_another_model_refuses(
    night: Path, tiny_model: Path, tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is replaced when the run has begun, as it may be on another machine."""
    model = tmp_path / "model.onnx"
    model.write_bytes(tiny_model.read_bytes())
    on_cluster = module.on_cluster

    def replaced(*arguments: Any) -> Any:
        write_tiny_model(model, msgspec.structs.replace(SPEC, version="other"))
        return on_cluster(*arguments)

    monkeypatch.setattr(module, "on_cluster", replaced)
    with pytest.raises(RainwatchError, match="not the one that this run began with"):
        hear([night / "b"], tmp_path / "out", model, cluster.scheduler_address)
    assert not parts(tmp_path / "out")


def test_a_scheduler_that_is_away_is_one_line(
    night: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.5)
    with pytest.raises(RainwatchError, match=r"--dask tcp://127.0.0.1:9: no scheduler answers"):
        hear([night], tmp_path / "out", tiny_model, "tcp://127.0.0.1:9")
