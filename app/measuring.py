"""Measurements of a set in a selected region and along a line. The mathematics is in `srflow.evaluation.reports`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.records import Chosen, Run, View
from srflow.contract import Engine
from srflow.evaluation.reports import BarSource, Line, LineReport, PlaceReport, report_line, report_place
from srflow.operations import Mask

__all__ = ["Samples", "chosen_of", "measure_chosen_line", "measure_chosen_place"]

_MAX_KEPT = 200_000_000  # bytes of pixels


class Samples:
    """Reads the samples of a set and caches the latest ones, because visitors usually measure several regions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._paths: tuple[Path, ...] = ()
        self._pixels: list[np.ndarray] = []

    def read(self, run: Run) -> Sequence[np.ndarray]:
        """Return the samples in order, uint8, (H, W, 3) each."""
        paths = tuple(sample.path for sample in run.samples)
        with self._lock:
            if paths == self._paths:
                return self._pixels
        pixels = [self._engine.read_picture(path).pixels for path in paths]
        if sum(picture.nbytes for picture in pixels) <= _MAX_KEPT:
            with self._lock:
                self._paths, self._pixels = paths, pixels
        return pixels


def chosen_of(view: View) -> Chosen | None:
    """Return what the visitor selected to measure, if it belongs to a set of two or more samples."""
    picture, run, chosen = view.picture, view.run, view.chosen
    if picture is None or run is None or chosen is None or len(run.samples) < 2 or chosen.subject != picture.subject:
        return None
    return chosen


def measure_chosen_place(samples: Sequence[np.ndarray], run: Run, place: Mask) -> PlaceReport:
    """Return the means over a region of the LR picture, and bars about them."""
    return report_place(samples, place, run.picture.scale_factor, _bars(run, len(samples)), run.picture.truth())


def measure_chosen_line(samples: Sequence[np.ndarray], run: Run, line: Line) -> LineReport:
    """Return the brightness along a line, and bars about it."""
    return report_line(samples, line, _bars(run, len(samples)), run.picture.truth())


def _bars(run: Run, num_samples: int) -> BarSource:
    bars, settings = run.bars, run.settings
    return BarSource(
        calibration=None if bars is None else bars.calibration,
        temperature=settings.temperature,
        num_samples=num_samples,
        consistency_rounds=settings.consistency_rounds,
        why_not="" if bars is None else bars.why_not,
    )
