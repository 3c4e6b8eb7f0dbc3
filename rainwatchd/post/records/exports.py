"""What leaves the post for other programs: a table of events, and judged sounds to learn from."""

from __future__ import annotations

import csv
import io
import itertools
import re
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime

from rainwatchd.post.records.clips import ClipFolder
from rainwatchd.post.records.queries import MAX_PAGE, Filter, Json, Queries

BACKGROUND = "background"
"""The class of what was no alarm after all."""

COLUMNS = (
    "event_id", "device_id", "class", "at", "start", "end", "duration_s", "score", "peak_score",
    "level_dbfs", "lat", "lon", "model", "clock_synced", "historical", "end_reason", "incident",
    "received", "clip", "verdict", "verdict_class", "verdict_by", "verdict_at",
)  # fmt: skip

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell's text for a formula."""


def events(queries: Queries, wanted: Filter) -> Iterator[Json]:
    """Yield every event, newest first, a page at a time."""
    further: str | None = None
    while True:
        page, further = queries.events(wanted, further, MAX_PAGE)
        yield from page
        if further is None:
            return


def csv_chunks(found: Iterator[Json]) -> Iterator[bytes]:
    """Yield a table with a header, some lines at a time."""
    yield _line(COLUMNS)
    while some := list(itertools.islice(found, MAX_PAGE)):
        yield b"".join(
            _line([_cell(_flat(event).get(column)) for column in COLUMNS]) for event in some
        )


def label(event: Json) -> str | None:
    """Return the class that a ranger says an event belongs to, None where nobody can tell."""
    verdict = event["verdict"]
    if verdict is None or verdict["verdict"] == "unsure":
        return None
    if verdict["class"] is not None:
        return str(verdict["class"])
    return str(event["class"]) if verdict["verdict"] == "true" else BACKGROUND


def zip_chunks(found: Iterator[Json], clips: ClipFolder) -> Iterator[bytes]:
    """Yield an archive of judged sounds: ``CLASS/DEVICE_START_ID.opus``, and ``labels.csv``.

    Class folders are what ``python -m training`` reads. Written as it is read: the archive never
    lies in memory or on the disk.
    """
    pipe = _Pipe()
    table = [_line(("file", *COLUMNS))]
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:
        for event in found:
            folder = label(event)
            path = clips.path(event["event_id"])
            if folder is None or not event["clip"] or not path.is_file():
                continue
            name = f"{_safe(folder)}/{_name(event)}"
            archive.writestr(_member(name, event), path.read_bytes())
            cells = [_cell(_flat(event).get(column)) for column in COLUMNS]
            table.append(_line([name, *cells]))
            yield pipe.taken()
        archive.writestr(zipfile.ZipInfo("labels.csv"), b"".join(table))
    yield pipe.taken()


class _Pipe(io.RawIOBase):
    """What `zipfile` writes to: can't be sought in, and is emptied as it goes."""

    def __init__(self) -> None:
        self._chunks = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, chunk: bytes) -> int:  # type: ignore[override]
        self._chunks += chunk
        return len(chunk)

    def taken(self) -> bytes:
        chunks, self._chunks = bytes(self._chunks), bytearray()
        return chunks


def _member(name: str, event: Json) -> zipfile.ZipInfo:
    at = datetime.fromisoformat(event["at"])
    # The format knows no year before 1980.
    stamp = (max(at.year, 1980), at.month, at.day, at.hour, at.minute, at.second)
    info = zipfile.ZipInfo(name, stamp)
    info.external_attr = 0o644 << 16
    return info


def _name(event: Json) -> str:
    stamp = re.sub(r"[-:]|\.\d+", "", event["start"])
    return f"{_safe(event['device_id'])}_{stamp}_{event['event_id'][-12:]}.opus"


def _safe(text: str) -> str:
    """Make a file's name of hostile text: no folder above, no hidden file, no other script."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:64].strip("_-") or "unnamed"


def _flat(event: Json) -> Json:
    verdict = event["verdict"] or {}
    return event | {
        "verdict": verdict.get("verdict"),
        "verdict_class": verdict.get("class"),
        "verdict_by": verdict.get("by"),
        "verdict_at": verdict.get("at"),
    }


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _line(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode("utf-8", "replace")
