"""One recording as windows, the whole of it or a piece, from the ring buffer on as live sound is.

A piece decodes the recording from its beginning, as the whole does: the resampler's last bits
depend on where it began, and so does what is known of damage and of gaps. Only the windows of the
piece are looked at, which is most of the work, so that the pieces' windows in a row are those of
the whole, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rainwatchd.audio.files.times import Start
from rainwatchd.audio.recording import Recording
from rainwatchd.audio.ring import Chunk, Gap
from rainwatchd.config.options import Config
from rainwatchd.errors import AudioError
from rainwatchd.hearing.analysis import Analysis, Scorer
from rainwatchd.hearing.window import Window
from rainwatchd.replay.pool import Tell

_NEVER = 1 << 62
"""Beyond any sample's index."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording: its windows are those that begin in it."""

    index: int
    """Counted from 0."""
    count: int
    start_s: float
    stop_s: float | None
    """None is the end of the recording, wherever that is."""

    def samples(self, rate_hz: int) -> range:
        """Return the samples that it is at the model's rate."""
        stop = _NEVER if self.stop_s is None else round(self.stop_s * rate_hz)
        return range(round(self.start_s * rate_hz), stop)


@dataclass(frozen=True)
class Opened:
    """The beginning of a recording from which sound is to be had."""

    start: Start | None
    """When it was recorded; None where nothing tells it."""


@dataclass(frozen=True)
class Ending:
    """How the hearing of a recording ended."""

    duration_s: float = 0.0
    """How much of it was heard."""
    failure: str | None = None
    """Why not all of it was: one line that names the file."""
    warnings: tuple[str, ...] = ()


Passage = Opened | Window | Gap | Ending
"""What comes of a recording in its order; it is opened, if it can be, and it ends."""


class Listening:
    """A recording that is open, as windows and gaps at the model's rate."""

    def __init__(
        self,
        source: Recording,
        classifier: Scorer,
        step_s: float | None,
        utc_offset: timedelta | None = None,
        only: range | None = None,
    ) -> None:
        """`only` has the windows scored that begin in it; others come without scores."""
        self.opened = Opened(source.start(utc_offset))
        self.analysis = Analysis(classifier, source.rate_hz, step_s, only=only)
        self._source = source
        self._failure: str | None = None

    def __iter__(self) -> Iterator[Window | Gap]:
        """Yield all that can be heard; only then say in `ending` what is wrong with the rest."""
        try:
            for item in self._source.items():
                yield from self._heard(item)
        except AudioError as error:
            self._failure = str(error)
        yield from self.analysis.finish()

    @property
    def ending(self) -> Ending:
        """How it ended, once it has."""
        source = self._source
        return Ending(source.position_s, self._failure, tuple(source.warnings))

    def _heard(self, item: Chunk | Gap) -> Iterator[Window | Gap]:
        analysis = self.analysis
        if isinstance(item, Chunk) or analysis.bridges(item):
            yield from analysis.push(item)
            return
        # Sound before a gap may be shorter than a window, or end between two steps.
        yield from analysis.finish()
        yield from analysis.push(item)
        yield analysis.at_model_rate(item)


def hear_piece(
    path: Path,
    piece: Piece,
    classifier: Scorer,
    tell: Tell,
    *,
    config: Config,
    utc_offset: timedelta | None,
) -> Iterator[Passage]:
    """Yield what comes of a piece; tell how many seconds, and which part of the whole, that is.

    The ending is that of the whole if the piece is the last; others end where the next begins.
    """
    audio = config.audio
    rate_hz = classifier.spec.sample_rate_hz
    own = piece.samples(rate_hz)
    source = Recording(path, audio.channel_number, zeros_are_faults=audio.zeros_are_faults)
    began: float | None = None
    try:
        source.open()
        listening = Listening(source, classifier, config.step_s, utc_offset, own)
        yield listening.opened
        for passage in listening:
            if passage.start < own.start:
                tell(0.0, 0.0)
                continue
            if passage.start >= own.stop:
                break
            began = source.progress if began is None else began
            tell((passage.end - own.start) / rate_hz, source.progress - began)
            yield passage
        yield listening.ending
    except AudioError as error:
        yield Ending(failure=str(error))
    finally:
        source.close()
