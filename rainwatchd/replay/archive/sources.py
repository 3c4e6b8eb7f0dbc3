"""Where recordings lie: local paths, and by fsspec buckets and servers."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from rainwatchd.audio.formats import SUFFIXES, printable
from rainwatchd.errors import AudioError
from rainwatchd.replay.folders import find_recordings
from rainwatchd.replay.pool import TRIES

_URL = re.compile(r"([a-z][a-z0-9+]+):/+", re.IGNORECASE)
"""A `Path` has lost one of the two slashes."""

_BLOCK_BYTES = 4 << 20

_PATIENT = frozenset(["s3", "s3a", "gs", "gcs"])
"""Whose file systems try again themselves."""

_PAUSES_S = (0.5, 2.0)
"""Before another try."""

_STAMPS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "md5", "md5Hash", "created")
"""What file systems call that which changes when a file does; the first there is, is taken."""


@dataclass(frozen=True, slots=True)
class Source:
    """One recording, as it was when it was looked for."""

    place: str
    """The path, or the address with its scheme."""
    size: int
    """In bytes."""
    stamp: str
    """Changes when the file does."""

    @property
    def name(self) -> str:
        """The place as one line of text."""
        return printable(Path(self.place)) if url(self.place) is None else self.place

    @property
    def key(self) -> str:
        """Name the place, the same on every machine: 32 hexadecimal digits."""
        return hashlib.blake2b(os.fsencode(self.place), digest_size=16).hexdigest()

    def version(self, fingerprint: str) -> str:
        """Name this state of the recording, heard in that way: 16 hexadecimal digits."""
        text = f"{self.size} {self.stamp} {fingerprint}"
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def changed(self) -> bool:
        """Whether a local recording is not what it was when it was looked for."""
        return url(self.place) is None and _local(Path(self.place)) != self


def url(place: str) -> str | None:
    """Return the address that a place is, None if it is a path."""
    match = _URL.match(place)
    if match is None:
        return None
    slashes = ":///" if match[1].lower() == "file" else "://"
    return f"{match[1]}{slashes}{place[match.end() :]}"


def find_sources(places: Sequence[Path]) -> Iterator[Source | AudioError]:
    """Yield the recordings at and below the places; what is wrong takes its place as an error."""
    local = [place for place in places if url(str(place)) is None]
    for found in find_recordings(local):
        yield found if isinstance(found, AudioError) else _local(found)
    for place in places:
        address = url(str(place))
        if address is not None:
            yield from _remote(address)


@contextmanager
def at_hand(source: Source, scratch: Path) -> Iterator[Path]:
    """Give a path to read the recording by: its own, or that of a copy below `scratch`.

    A remote one is read once, from its beginning to its end, a block at a time, and the copy
    deleted afterwards. Raises `AudioError` when it cannot be had now.
    """
    address = url(source.place)
    if address is None:
        yield Path(source.place)
        return
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        copy = Path(folder) / PurePosixPath(address).name
        free = shutil.disk_usage(folder).free
        if source.size > free:
            raise AudioError(
                f"{address}: {source.size} bytes, and {scratch} has room for {free}; "
                "set TMPDIR to a larger disk"
            )
        _fetch(source, address, copy)
        yield copy


def _local(path: Path) -> Source | AudioError:
    try:
        state = path.stat()
    except OSError as error:
        return AudioError(f"{printable(path)}: {error.strerror}")
    return Source(str(path), state.st_size, str(state.st_mtime_ns))


def _remote(address: str) -> Iterator[Source | AudioError]:
    try:
        files, store = _listing(address)
    except AudioError as error:
        yield error
        return
    found = False
    for path, details in sorted(files.items()):
        if len(files) > 1 and PurePosixPath(path).suffix.lower() not in SUFFIXES:
            continue
        found = True
        size = int(details.get("size") or 0)
        yield Source(store.unstrip_protocol(path), size, _stamp(details))
    if not found:
        yield AudioError(
            f"{address}: no recordings there (looked for {', '.join(sorted(SUFFIXES))})"
        )


def _listing(address: str) -> tuple[dict[str, dict[str, Any]], Any]:
    try:
        import fsspec  # noqa: PLC0415 - a night on a disk needs none of it

        store, path = fsspec.core.url_to_fs(address)
        store.invalidate_cache()
        if "http" in store.protocol:
            return {path: store.info(path)}, store
        return store.find(path, detail=True), store
    except Exception as error:  # each file system raises its own library's
        raise AudioError(f"{address}: {reason(error)}") from error


def _fetch(source: Source, address: str, copy: Path) -> None:
    """Copy a recording as it was when it was looked for; try again where that may help."""
    tries = 1 if address.partition(":")[0] in _PATIENT else TRIES
    for pause_s in (*_PAUSES_S[: tries - 1], None):
        try:
            size = _copy(address, copy, source.size)
            break
        except AudioError:
            raise
        except Exception as error:  # each file system raises its own library's
            if pause_s is None or isinstance(error, FileNotFoundError | PermissionError):
                raise AudioError(f"{address}: {reason(error)}") from error
            time.sleep(pause_s)
    if source.size and size < source.size:
        raise AudioError(f"{address}: {size} of {source.size} bytes came; try again")
    files, _ = _listing(address)
    if [_stamp(details) for details in files.values()] != [source.stamp]:
        raise AudioError(f"{address}: changed while it was read; run again")


def _copy(address: str, copy: Path, size: int) -> int:
    """Return how many bytes came, of which no more are kept than there should be."""
    import fsspec  # noqa: PLC0415

    came = 0
    store, path = fsspec.core.url_to_fs(address)
    with (
        store.open(path, "rb", block_size=_BLOCK_BYTES, cache_type="readahead") as there,
        copy.open("wb") as here,
    ):
        while block := there.read(_BLOCK_BYTES):
            came += len(block)
            if size and came > size:
                return came
            try:
                here.write(block)
                here.flush()
            except OSError as error:
                raise AudioError(
                    f"{address}: no room for its copy in {copy.parent.parent}: {error.strerror}; "
                    "set TMPDIR to a larger disk"
                ) from error
    return came


def _stamp(details: dict[str, Any]) -> str:
    return next((str(details[name]) for name in _STAMPS if details.get(name)), "")


def reason(error: Exception) -> str:
    """Say in one line what a file system complains of."""
    if isinstance(error, ImportError):
        return f"{error}; pip install 'rainwatchd[s3]', gcsfs (gs://), paramiko (sftp://), aiohttp"
    text = " ".join(str(getattr(error, "strerror", None) or error).split())
    return text or type(error).__name__
