"""What was measured of a set: a chosen place, a line, and down to which size its samples agree."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.bars import SetBars
from app.records import Chosen, Run, View
from srflow.contract import CalibrationError, Engine, Value
from srflow.evaluation.agreement import MIN_SIDE, Agreement, find_agreement
from srflow.evaluation.measuring import line_pixels, measure_line, measure_place
from srflow.operations import Mask

__all__ = [
    "CHANNELS",
    "LineReport",
    "PlaceReport",
    "Samples",
    "agreement_of",
    "chosen_of",
    "measure_chosen_line",
    "measure_chosen_place",
]

CHANNELS = ("Red", "Green", "Blue", "Brightness")

_MAX_KEPT = 200_000_000  # bytes of pixels


@dataclass(frozen=True, kw_only=True)
class PlaceReport:
    """Means over a place.

    box: left, top, right, bottom of it. area: both in SR pixels. means, lowest, highest: of the samples' means, by
    `CHANNELS`. half_width: of the bars; None: they are not calibrated, and `why_not` says why; sigma: standard
    deviation of the samples' means. truth: None: it is not known.
    """

    box: tuple[int, int, int, int]
    area: float
    num_samples: int
    means: np.ndarray
    sigma: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    half_width: np.ndarray | None
    why_not: str = ""
    coverage: float | None = None
    truth: np.ndarray | None = None


@dataclass(frozen=True, kw_only=True)
class LineReport:
    """Brightness along a line.

    ends: as in `Chosen`. pixels: (N, 2) of x and y. distances: from the first one, in pixels. mean: over the samples.
    half_width: of the bars, or else, where `coverage` is None, the standard deviation of the samples. samples: (K, N).
    truth: None: it is not known.
    """

    ends: tuple[int, int, int, int]
    pixels: np.ndarray
    distances: np.ndarray
    samples: np.ndarray
    mean: np.ndarray
    half_width: np.ndarray
    coverage: float | None
    why_not: str = ""
    truth: np.ndarray | None = None


class Samples:
    """Reads the samples of a set; those read last are kept, since a place is rarely the only one that is looked at."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._paths: tuple[Path, ...] = ()
        self._pixels: list[np.ndarray] = []

    def read(self, run: Run) -> Sequence[np.ndarray]:
        """uint8, (H, W, 3) each, in their order."""
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
    """What the visitor chose to measure, if there is a set of two samples or more that it belongs to."""
    picture, run, chosen = view.picture, view.run, view.chosen
    if picture is None or run is None or chosen is None or len(run.samples) < 2 or chosen.subject != picture.subject:
        return None
    return chosen


def measure_chosen_place(samples: Sequence[np.ndarray], run: Run, place: Mask) -> PlaceReport:
    """Means over a place of the LR picture, and bars about them: see `srflow.evaluation.measuring.measure_place`."""
    scale = run.picture.scale_factor
    left, top, right, bottom = box = tuple(edge * scale for edge in place.support)
    weights = np.kron(place.array(place.support), np.ones((scale, scale), np.uint8)) / 255
    cut = np.s_[top:bottom, left:right]
    found = measure_place([sample[cut] for sample in samples], weights)
    truth = run.picture.truth()
    report = PlaceReport(
        box=(box[0], box[1], box[2], box[3]),
        area=found.area,
        num_samples=len(samples),
        means=found.mean,
        sigma=found.sigma,
        lowest=found.values.min(axis=0),
        highest=found.values.max(axis=0),
        half_width=None,
        truth=None if truth is None else measure_place([truth[cut]] * 2, weights).mean,
    )
    bars = run.bars
    if bars is None or bars.calibration is None:
        return replace(report, why_not="" if bars is None else bars.why_not)
    try:
        drawn = run.settings.temperature, len(samples), run.settings.consistency_rounds
        kinds: tuple[Value, ...] = ("rgb", "rgb", "rgb", "luma")
        widths = [
            float(bars.calibration.bar(*drawn, kind, found.side).half_width(sigma, len(samples)))
            for kind, sigma in zip(kinds, found.sigma, strict=True)
        ]
    except CalibrationError as error:
        return replace(report, why_not=str(error))
    return replace(report, half_width=np.array(widths), coverage=bars.calibration.coverage)


def measure_chosen_line(samples: Sequence[np.ndarray], run: Run, line: tuple[int, int, int, int]) -> LineReport:
    """Brightness along a line, with bars as they are for single pixels."""
    pixels, distances = line_pixels(line[:2], line[2:])
    values = measure_line(samples, pixels)
    truth = run.picture.truth()
    bars = run.bars if run.bars is not None else SetBars(num_samples=len(samples))
    is_bar = bars.coverage is not None and bars.num_samples == len(samples)
    half = bars.half_width("luma", values.std(axis=0)) if is_bar else values.std(axis=0, ddof=1)
    return LineReport(
        ends=line,
        pixels=pixels,
        distances=distances,
        samples=values,
        mean=values.mean(axis=0),
        half_width=half,
        coverage=bars.coverage if is_bar else None,
        why_not=bars.why_not,
        truth=None if truth is None else measure_line([truth], pixels)[0],
    )


def agreement_of(samples: Sequence[np.ndarray], place: PlaceReport | None) -> Agreement | None:
    """Of a place, if it is large enough; else of the whole picture. None: that is too small, too."""
    if place is not None:
        left, top, right, bottom = place.box
        if min(right - left, bottom - top) >= MIN_SIDE:
            samples = [sample[top:bottom, left:right] for sample in samples]
    return find_agreement(samples) if min(samples[0].shape[:2]) >= MIN_SIDE else None
