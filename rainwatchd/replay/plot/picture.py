"""A picture of one recording: spectrogram, score curves and detections on one time axis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rainwatchd.hearing.analysis import Analysis
from rainwatchd.hearing.log_mel import band_edges_hz
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec
from rainwatchd.hearing.window import Window
from rainwatchd.replay.plot.columns import Columns, Maxima
from rainwatchd.replay.plot.curves import LONG_S, Curves
from rainwatchd.replay.plot.time_axis import draw_time
from rainwatchd.replay.replay import Found, Heard, Item

_MOST_COLUMNS = 2048
"""About what a picture has pixels across."""

_COLOURS = ("#e4572e", "#f3a712", "#2e86ab", "#76b041", "#8f5fb5", "#b07156")
"""One an alert, bright enough to be seen on the spectrogram as well."""

_GREY = "#80868b"

_TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)

_WIDTH_IN = 12.0
_LABEL_SHARE = 30.0 / (72.0 * _WIDTH_IN * 0.85)
"""Width of a score beside its bar, 30 points, as a share of the time axis."""

_PLACES = 6
"""Of a place in the figure, whose width is 1: a hundredth of a pixel is 5e-6."""

_METADATA = {"svg": {"Date": None}, "svgz": {"Date": None}, "pdf": {"CreationDate": None}}
"""Times of drawing, left out so that the same replay gives the same bytes."""


class Picture:
    """Collects a replay as it goes and draws it in the end; its memory has a bound."""

    def __init__(
        self,
        spec: ModelSpec,
        rules: Mapping[str, DecisionRule],
        path: Path,
        start: datetime | None = None,
    ) -> None:
        """Draw into `path`, in the format of its suffix; `start` is that of the recording."""
        self._path = path
        self._spec = spec
        self._rules = rules
        self._start = start
        self._colours = dict(zip(rules, itertools.cycle(_COLOURS), strict=False))
        self._columns = Columns(spec.n_mels, _MOST_COLUMNS)
        self._frames = 0
        self._curves = Curves(spec, rules)
        self._maxima = Maxima(len(rules), _MOST_COLUMNS)
        self._found: list[Found] = []
        self._heard: Heard | None = None

    def observe(self, analysis: Analysis, window: Window) -> None:
        """Take the window's scores and those of its frames that are new."""
        spec = self._spec
        first = window.start // spec.hop_length
        self._columns.skip(first - self._frames)
        self._frames = max(first, self._frames)
        heard = max(self._frames, 1 + max(0, window.end - spec.n_fft) // spec.hop_length)
        self._columns.push(analysis.log_mel[:, self._frames - first : heard - first])
        self._frames = heard
        for curve, (at_s, score) in enumerate(self._curves.push(window, analysis.step_s)):
            self._maxima.push(curve, at_s, score)

    def take(self, item: Item) -> None:
        """Take a detection, whose end has both of its times, and the recording's name."""
        if isinstance(item, Found) and item.end_s is not None:
            self._found.append(item)
        elif isinstance(item, Heard):
            self._heard = item

    def finish(self) -> None:
        """Draw the picture, if anything was heard; raise `OSError` if it can't be written."""
        heard = self._heard
        if heard is None or heard.peaks is None:
            return
        rows = [
            label for label in self._rules if any(f.detection.label == label for f in self._found)
        ]
        figure = Figure(figsize=(_WIDTH_IN, 6.5), dpi=150, layout="constrained")
        ratios = (0.22 * max(len(rows), 0.1), 3.0, 2.0)
        events, above, below = figure.subplots(3, 1, sharex=True, height_ratios=ratios)
        self._draw_events(events, rows, heard.duration_s)
        self._draw_spectrogram(figure, above)
        if heard.duration_s > LONG_S:
            self._draw_maxima(below)
        else:
            self._curves.draw(below, self._colours)
            self._draw_spans(above, below)
        draw_time(events, below, heard.duration_s, self._start)
        spec = self._spec
        events.set_title(Path(heard.file).name, loc="left", fontsize=11, fontweight="bold")
        events.set_title(f"{spec.name} {spec.version}", loc="right", fontsize=9, color=_GREY)
        _settle(figure)
        kind = self._path.suffix.lower().removeprefix(".")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context({"svg.hashsalt": "rainwatchd"}):
            figure.savefig(self._path, format=kind, metadata=_METADATA.get(kind))

    def _draw_events(self, axes: Axes, rows: list[str], duration_s: float) -> None:
        axes.spines[:].set_visible(False)
        axes.tick_params(axis="both", length=0, labelbottom=False)
        axes.set_ylim(max(1, len(rows)) - 0.5, -0.5)
        axes.set_yticks(range(len(rows)), rows, fontsize=9)
        for row, label in enumerate(rows):
            colour = self._colours[label]
            axes.get_yticklabels()[row].set_color(colour)
            found = [each for each in self._found if each.detection.label == label]
            spans = [(each.start_s, (each.end_s or each.start_s) - each.start_s) for each in found]
            # The edge keeps a short event in a long recording a visible line.
            axes.broken_barh(spans, (row - 0.35, 0.7), facecolor=colour, edgecolor=colour, lw=0.8)
            for at, inside in places_for_labels(spans, duration_s):
                axes.annotate(
                    f"{found[at].detection.peak_score:.2f}",
                    (sum(spans[at][: 1 if inside else 2]), row),
                    (3, 0),
                    textcoords="offset points",
                    va="center",
                    color="white" if inside else colour,
                    fontsize=8,
                    fontweight="bold",
                )

    def _draw_spectrogram(self, figure: Figure, axes: Axes) -> None:
        spec, columns = self._spec, self._columns
        levels_db = np.ma.masked_invalid(columns.levels_db)
        low_db, high_db = np.percentile(levels_db.compressed(), (5, 99.8))
        column_s = columns.frames_each * spec.hop_length / spec.sample_rate_hz
        # A frame stands for the middle of the samples that it is made from.
        begin_s = (spec.n_fft - spec.hop_length) / 2 / spec.sample_rate_hz
        image = axes.imshow(
            levels_db,
            origin="lower",
            aspect="auto",
            interpolation="antialiased",
            cmap="magma",
            vmin=low_db,
            vmax=max(high_db, low_db + 20.0),
            extent=(begin_s, begin_s + levels_db.shape[1] * column_s, -0.5, spec.n_mels - 0.5),
        )
        centres_hz = band_edges_hz(spec.mel)[1:-1]
        ticks_hz = [hz for hz in _TICKS_HZ if centres_hz[0] <= hz <= centres_hz[-1]]
        axes.set_yticks(
            np.interp(ticks_hz, centres_hz, np.arange(spec.n_mels)),
            [f"{hz} Hz" if hz < 1000 else f"{hz // 1000} kHz" for hz in ticks_hz],
        )
        axes.tick_params(axis="x", length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30)
        bar.outline.set_visible(False)
        mean = f"mean of {column_s:.2g} s" if columns.frames_each > 1 else "mel bands"
        bar.set_label(f"{mean}, dB re 1.0\n(power, full scale being ±1)", fontsize=9)

    def _draw_spans(self, above: Axes, below: Axes) -> None:
        for found in self._found:
            colour = self._colours[found.detection.label]
            end_s = found.start_s if found.end_s is None else found.end_s
            below.axvspan(found.start_s, end_s, color=colour, alpha=0.12, lw=0)
            for at_s in (found.start_s, end_s):
                above.axvline(at_s, color=colour, lw=1.0)

    def _draw_maxima(self, axes: Axes) -> None:
        """Draw one row a class: the highest score of each minute, and the threshold."""
        cell_s, cells = self._maxima.cell_s, self._maxima.cells
        edges_s = np.arange(cells.shape[1] + 1) * cell_s
        height = 0.85
        for row, (label, rule) in enumerate(self._rules.items()):
            colour, base = self._colours[label], len(self._rules) - 1.0 - row
            tops = base + height * np.append(cells[row], cells[row][-1:])
            over = np.append(cells[row], cells[row][-1:]) >= rule.on_threshold
            axes.fill_between(edges_s, base, tops, step="post", color=colour, alpha=0.35, lw=0)
            loud = np.where(over, tops, base)
            axes.fill_between(edges_s, base, loud, step="post", color=colour, lw=0)
            axes.axhline(base, color="#d0d0d0", lw=0.8)
            threshold = base + height * rule.on_threshold
            axes.axhline(threshold, color=colour, lw=0.9, ls=(0, (4, 4)))
        labels = list(self._rules)
        axes.set_ylim(-0.03, len(labels))
        axes.set_yticks(np.arange(len(labels))[::-1] + height / 2, labels)
        for tick, label in zip(axes.get_yticklabels(), labels, strict=True):
            tick.set_color(self._colours[label])
        axes.tick_params(axis="y", length=0)
        axes.spines[["top", "right", "left"]].set_visible(False)
        span = "minute" if cell_s == 60.0 else f"{cell_s / 60:g} minutes"
        said = f"highest score of each {span}, 0 to 1; dashed: the threshold"
        axes.set_title(said, loc="right", fontsize=9, color=_GREY)


def _settle(figure: Figure) -> None:
    """Lay the figure out once and for all, at rounded places.

    The layout's solver takes its terms in the order in which they lie in memory: the last bits of
    a place differ from picture to picture, and with them an SVG's ids.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position(original=True).bounds, _PLACES))


def places_for_labels(
    spans: Sequence[tuple[float, float]], duration_s: float
) -> Iterator[tuple[int, bool]]:
    """Yield which of a row's events have room for their score: number, and whether inside the bar.

    `spans` are start and length in seconds, in order of time. A score stands behind its bar
    where nothing follows for a while, else inside of it where it is long, else nowhere.
    """
    needed_s = _LABEL_SHARE * duration_s
    for at, (start_s, length_s) in enumerate(spans):
        end_s = start_s + length_s
        until_s = spans[at + 1][0] if at + 1 < len(spans) else duration_s
        if until_s - end_s >= needed_s:
            yield at, False
        elif length_s >= needed_s:
            yield at, True
