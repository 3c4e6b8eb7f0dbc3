"""A file that is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

DRAFT = ".part"
"""Ends the name of a hidden file that is being written; a killed process may leave it."""


def write_whole(path: Path, content: bytes, mark: str = "") -> None:
    """Write a file by one rename, so that no full disk or power cut leaves half of it.

    `mark` tells the drafts of writers apart that may write the same file at once.

    Raises ``OSError``, which names `path`; what was there before is still there then.
    """
    draft = path.with_name(f".{path.name}{mark}{DRAFT}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            # A power cut must not leave a name without its content.
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        # A write that fails names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error
