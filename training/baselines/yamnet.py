"""YAMNet (Plakal and Ellis 2020; AudioSet, 521 classes) as a listener."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from rainwatchd.audio.samples import Floats
from rainwatchd.hearing.window import Window
from training.dataset import DataError

_WINDOW = 15600
_STEP = 8000

GROUPS = {
    "chainsaw": ("Chainsaw",),
    "chainsaw, wide": ("Chainsaw", "Light engine (high frequency)", "Power tool"),
    "engine": (
        "Engine",
        "Medium engine (mid frequency)",
        "Heavy engine (low frequency)",
        "Idling",
        "Engine starting",
        "Accelerating, revving, vroom",
        "Motor vehicle (road)",
        "Car",
        "Truck",
        "Bus",
        "Motorcycle",
        "Motorboat, speedboat",
    ),
    "engine, wide": (
        "Vehicle",
        "Engine",
        "Light engine (high frequency)",
        "Medium engine (mid frequency)",
        "Heavy engine (low frequency)",
        "Idling",
        "Motor vehicle (road)",
        "Motorboat, speedboat",
        "Chainsaw",
    ),
}
"""Label -> AudioSet classes of which the highest score counts. The better of the narrow and the
wide reading is the one to compare with."""


class YamnetListener:
    """YAMNet through LiteRT, one window of 0.975 s each half second."""

    name = "YAMNet"
    labels = tuple(GROUPS)
    rate_hz = 16000
    step_s = _STEP / 16000
    window_s = _WINDOW / 16000

    def __init__(self, folder: Path) -> None:
        """Load ``yamnet.tflite`` and ``yamnet_class_map.csv`` from `folder`."""
        from ai_edge_litert.interpreter import Interpreter

        try:
            with (folder / "yamnet_class_map.csv").open(newline="") as file:
                names = [row["display_name"] for row in csv.DictReader(file)]
        except OSError as error:
            raise DataError(f"{folder}: YAMNet is not there ({error})") from error
        self._columns = [[names.index(name) for name in group] for group in GROUPS.values()]
        self._interpreter = Interpreter(str(folder / "yamnet.tflite"), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def windows(self, blocks: Iterable[Floats]) -> Iterator[Window]:
        """Score float32 blocks of shape ``(n,)`` at 16 kHz."""
        pending: Floats = np.zeros(0, np.float32)
        start = 0
        for block in blocks:
            pending = np.concatenate((pending, block))
            while pending.size >= _WINDOW:
                yield self._window(pending[:_WINDOW], start)
                pending = pending[_STEP:]
                start += _STEP

    def _window(self, samples: Floats, start: int) -> Window:
        self._interpreter.set_tensor(self._input, samples)
        self._interpreter.invoke()
        scores = self._interpreter.get_tensor(self._output).reshape(-1)
        picked = tuple(float(scores[columns].max()) for columns in self._columns)
        return Window(start, start + _WINDOW, picked, 0.0)
