"""The folder of sounds: a file an event, within a quota, those without a verdict going first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from rainwatchd.post.messages import EVENT_ID
from rainwatchd.post.options import StorageOptions
from rainwatchd.post.records.intake import Intake
from rainwatchd.post.records.store import Store
from rainwatchd.whole import DRAFT, write_whole

_AT_A_TIME = 50


class ClipFolder:
    """Files ``ID.opus`` in `directory`; which of them there are is known to the store."""

    def __init__(
        self,
        directory: Path,
        options: StorageOptions,
        store: Store,
        intake: Intake,
        free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        self._directory = directory
        self._options = options
        self._store = store
        self._intake = intake
        self._free_bytes = free_bytes
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, event_id: str) -> Path:
        """Name the file of an event; raise ``ValueError`` for what is no event's id."""
        if not EVENT_ID.fullmatch(event_id):
            raise ValueError(f"{event_id!r} is no event id")
        return self._directory / f"{event_id}.opus"

    def write(self, event_id: str, opus: bytes) -> None:
        """Write a file that is there whole or not at all; raise ``OSError`` as the disk does."""
        write_whole(self.path(event_id), opus)

    def sync(self) -> None:
        """Bring the names of what was written onto the medium too."""
        handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def make_room(self, needed_bytes: int) -> None:
        """Remove what is worth least until `needed_bytes` fit into the quota, or nothing is left.

        A file goes after the store has forgotten it, so that none is missed that the store knows.
        """
        while surplus_bytes := self._surplus_bytes(needed_bytes):
            rows = self._store.rows(
                "SELECT event_id, size_bytes FROM clips ORDER BY judged, received_ms LIMIT ?",
                (_AT_A_TIME,),
            )
            gone = []
            for row in rows:
                if surplus_bytes > 0:
                    gone.append(row["event_id"])
                    surplus_bytes -= row["size_bytes"]
            with self._store.writing() as db:
                for event_id in gone:
                    self._intake.lost_clip(db, event_id)
            for event_id in gone:
                self.path(event_id).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove files that the store doesn't know: a killed run wrote them and got no further."""
        known = {row["event_id"] for row in self._store.rows("SELECT event_id FROM clips")}
        with os.scandir(self._directory) as entries:
            strangers = [
                entry.path
                for entry in entries
                if entry.name.endswith(DRAFT)
                or (entry.name.endswith(".opus") and entry.name.removesuffix(".opus") not in known)
            ]
        for path in strangers:
            Path(path).unlink(missing_ok=True)

    def _surplus_bytes(self, needed_bytes: int) -> int:
        taken = self._store.row("SELECT coalesce(sum(size_bytes), 0) AS bytes FROM clips")
        taken_bytes = int(taken["bytes"]) if taken is not None else 0
        free_bytes = self._free_bytes(self._directory)
        missing_bytes = self._options.clips_min_free_bytes + needed_bytes - free_bytes
        over_bytes = taken_bytes + needed_bytes - self._options.clips_max_bytes
        # What others have put onto the disk can't be mended by giving up more than there is.
        return min(taken_bytes, max(0, over_bytes, missing_bytes))
