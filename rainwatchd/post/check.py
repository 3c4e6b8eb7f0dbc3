"""``--check``: tries everything that the post needs, and says how to mend what is wrong."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from rainwatchd.config.trials import Finding, tried
from rainwatchd.errors import RainwatchError
from rainwatchd.post.messages import SUBSCRIPTION
from rainwatchd.post.options import PostConfig
from rainwatchd.post.post import check_exposure, open_listener
from rainwatchd.post.session import PostSession
from rainwatchd.post.web.accounts import Accounts

CREDENTIAL = Path("/etc/credstore/rainwatch-post-mqtt-password")
"""The unit's ``LoadCredential=``; readable by root."""


def check(config: PostConfig) -> Iterator[Finding]:
    """Try part after part; none keeps the others from being tried."""
    trials: dict[str, Callable[[PostConfig], str]] = {
        "disk": _disk,
        "users": _users,
        "page": _page,
        "map": _map,
        "broker": _broker,
    }
    return tried(config, f"post {config.identity}", trials, 8)


def _disk(config: PostConfig) -> str:
    directory = Path(config.state_directory)
    if not directory.is_dir():
        parent = next(path for path in directory.parents if path.is_dir())
        if not os.access(parent, os.W_OK):
            raise RainwatchError(f"{directory}: can't be made by this user; see state_directory")
        return f"{directory} isn't there yet and can be made"
    try:
        with tempfile.NamedTemporaryFile(dir=directory):
            free_bytes = shutil.disk_usage(directory).free
    except OSError as error:
        raise RainwatchError(f"{directory}: {error.strerror}; see state_directory") from error
    if free_bytes < config.storage.clips_min_free_bytes:
        raise RainwatchError(
            f"{directory}: {free_bytes >> 20} MiB free, less than storage.clips_min_free_bytes:"
            " no sound will be kept"
        )
    return f"{directory} can be written, {free_bytes >> 20} MiB free"


def _users(config: PostConfig) -> str:
    accounts = Accounts(Path(config.state_directory))
    check_exposure(config, accounts)
    if not accounts.any:
        return "nobody has a password; only this machine is let in"
    return f"passwords for {', '.join(accounts.names)}"


def _page(config: PostConfig) -> str:
    listener = open_listener(config)
    port = listener.getsockname()[1]
    listener.close()
    encrypted = "over TLS" if config.listen.tls else "unencrypted"
    return f"{config.listen.host}:{port} is free, {encrypted}"


def _map(config: PostConfig) -> str:
    said = []
    for key in ("geojson_file", "picture_file"):
        name = getattr(config.map, key)
        if name is None:
            continue
        try:
            content = Path(name).read_bytes()
            if key == "geojson_file":
                msgspec.json.decode(content, type=dict)
        except OSError as error:
            raise RainwatchError(f"map.{key} {name}: {error.strerror}") from error
        except ValueError as error:
            raise RainwatchError(f"map.{key} {name}: not GeoJSON: {error}") from error
        said.append(name)
    return ", ".join(said) or "devices and alerts alone; see map.geojson_file"


def _broker(config: PostConfig) -> str:
    options = config.mqtt
    handed_over = "CREDENTIALS_DIRECTORY" in os.environ
    if not (handed_over or options.password_file) and os.access(CREDENTIAL, os.R_OK):
        try:
            options = msgspec.structs.replace(options, password_file=str(CREDENTIAL))
        except ValueError as error:
            raise RainwatchError(str(error)) from error
    # A name of its own: the broker would throw out a running post of the same name.
    session = PostSession(options, f"rainwatch-post-{config.identity}-check", SUBSCRIPTION, 0)
    wake_fd = os.eventfd(0)
    try:
        session.open()
        while not session.ready:
            session.gather(wake_fd, 1.0)
    finally:
        session.close()
        os.close(wake_fd)
    host, port = options.address
    encrypted = "over TLS" if options.tls else "unencrypted"
    return f"{host}:{port} answers and lets the post read, {encrypted}"
