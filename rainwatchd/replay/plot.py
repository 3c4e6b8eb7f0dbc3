"""A picture of one replay: log-mel spectrogram, score curves and detections on one time axis."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.analysis import Analysis
from rainwatchd.hearing.log_mel import band_edges_hz
from rainwatchd.hearing.model_spec import DecisionRule, ModelSpec
from rainwatchd.hearing.window import Window
from rainwatchd.replay.replay import Found, Heard, Item

_MOST_COLUMNS = 4096
"""More than a picture has pixels across; a longer recording shows maxima over several frames."""

_COLOURS = ("#e4572e", "#f3a712", "#2e86ab", "#76b041", "#8f5fb5", "#b07156")
"""One an alert, bright enough to be seen on the spectrogram as well."""

_GREY = "#80868b"

_TICKS_HZ = (100, 250, 500, 1000, 2000, 4000, 8000, 16000)


class Picture:
    """Collects a replay as it goes and draws it in the end; its memory has a bound."""

    def __init__(self, spec: ModelSpec, rules: Mapping[str, DecisionRule], path: Path) -> None:
        self._path = path
        self._spec = spec
        self._rules = rules
        self._columns = Columns(spec.n_mels, _MOST_COLUMNS)
        self._frames = 0
        self._times_s: list[float] = []
        self._scores: list[tuple[float, ...]] = []
        self._found: list[Found] = []
        self._heard: Heard | None = None

    def observe(self, analysis: Analysis, window: Window) -> None:
        """Take the window's scores and those of its frames that are new."""
        spec = self._spec
        first = window.start // spec.hop_length
        heard = max(self._frames, 1 + max(0, window.end - spec.n_fft) // spec.hop_length)
        self._columns.push(analysis.log_mel[:, self._frames - first : heard - first])
        self._frames = heard
        self._times_s.append((window.start + window.end) / 2 / spec.sample_rate_hz)
        self._scores.append(window.scores)

    def take(self, item: Item) -> None:
        """Take a detection, whose end has both of its times, and the recording's name."""
        if isinstance(item, Found) and item.end_s is not None:
            self._found.append(item)
        elif isinstance(item, Heard):
            self._heard = item

    def finish(self) -> None:
        """Draw the picture and write it as PNG, if anything was heard."""
        heard = self._heard
        if heard is None or heard.peaks is None:
            return
        figure = Figure(figsize=(12, 6.5), dpi=150, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        colours = dict(zip(self._rules, itertools.cycle(_COLOURS), strict=False))
        self._draw_spectrogram(figure, above)
        self._draw_scores(below, colours)
        self._draw_detections(above, below, colours)
        spec = self._spec
        above.set_title(Path(heard.file).name, loc="left", fontsize=11, fontweight="bold", pad=22)
        above.set_title(f"{spec.name} {spec.version}", loc="right", fontsize=9, color=_GREY, pad=22)
        below.set_xlim(0.0, heard.duration_s)
        below.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 3, 5, 6, 10]))
        below.xaxis.set_major_formatter(FuncFormatter(lambda at_s, _: _clock(at_s)))
        figure.savefig(self._path, format="png")

    def _draw_spectrogram(self, figure: Figure, axes: Axes) -> None:
        spec = self._spec
        levels_db = self._columns.levels_db
        low_db, high_db = np.percentile(levels_db, (5, 99.8))
        end_s = spec.mel.samples_in(self._frames) / spec.sample_rate_hz
        image = axes.imshow(
            levels_db,
            origin="lower",
            aspect="auto",
            interpolation="nearest",
            cmap="magma",
            vmin=low_db,
            vmax=max(high_db, low_db + 20.0),
            extent=(0.0, end_s, -0.5, spec.n_mels - 0.5),
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
        bar.set_label("dB")

    def _draw_scores(self, axes: Axes, colours: Mapping[str, str]) -> None:
        marker = "o" if len(self._times_s) == 1 else None
        for label, curve in zip(self._spec.labels, zip(*self._scores, strict=True), strict=True):
            colour = colours.get(label, _GREY)
            width = 1.8 if label in colours else 1.0
            axes.plot(self._times_s, curve, marker=marker, color=colour, lw=width, label=label)
            if label in colours:
                threshold = self._rules[label].on_threshold
                axes.axhline(threshold, color=colour, lw=0.8, ls=(0, (4, 4)), alpha=0.7)
        axes.set_ylim(-0.03, 1.03)
        axes.set_ylabel("score")
        axes.grid(axis="y", color="#e6e6e6", lw=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=len(self._spec.labels),
            frameon=False,
            fontsize=9,
        )

    def _draw_detections(self, above: Axes, below: Axes, colours: Mapping[str, str]) -> None:
        rows = list(dict.fromkeys(found.detection.label for found in self._found))
        over = above.get_xaxis_transform()
        for found in self._found:
            label, colour = found.detection.label, colours[found.detection.label]
            end_s = found.start_s if found.end_s is None else found.end_s
            height = 1.02 + 0.02 * rows.index(label)
            above.plot(
                [found.start_s, end_s],
                [height, height],
                transform=over,
                color=colour,
                lw=4,
                solid_capstyle="butt",
                clip_on=False,
            )
            below.axvspan(found.start_s, end_s, color=colour, alpha=0.12, lw=0)
            for at_s in (found.start_s, end_s):
                above.axvline(at_s, color=colour, lw=1.0)
            above.annotate(
                f"{label} {found.detection.peak_score:.2f}",
                (found.start_s, 1.0),
                (4, -4),
                xycoords=over,
                textcoords="offset points",
                va="top",
                color="white",
                fontsize=9,
                fontweight="bold",
                clip_on=True,
            )


class Columns:
    """Frames of any number in at most `most` columns: when full, neighbours are merged."""

    def __init__(self, n_mels: int, most: int) -> None:
        self._levels: Floats = np.full((n_mels, most), -np.inf, np.float32)
        self._frames_each = 1
        self._frames = 0

    @property
    def levels_db(self) -> Floats:
        """Shape ``(n_mels, columns)``: the maximum of each column's frames."""
        return self._levels[:, : -(-self._frames // self._frames_each)]

    def push(self, frames: Floats) -> None:
        """Take dB, shape ``(n_mels, n)``."""
        for frame in frames.T:
            column = self._frames // self._frames_each
            if column == self._levels.shape[1]:
                self._merge()
                column //= 2
            np.maximum(self._levels[:, column], frame, out=self._levels[:, column])
            self._frames += 1

    def _merge(self) -> None:
        merged = np.maximum(self._levels[:, ::2], self._levels[:, 1::2])
        self._levels.fill(-np.inf)
        self._levels[:, : merged.shape[1]] = merged
        self._frames_each *= 2


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(seconds, 60.0)
    text = f"{int(minutes) % 60:02}:{seconds:04.1f}".removesuffix(".0")
    return f"{int(minutes) // 60}:{text}" if minutes >= 60 else text
