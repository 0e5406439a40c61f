"""Reports of measurements of a set: a region and a line, with bars if these are calibrated; also as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from srflow.calibration.file import Bar, Calibration, Value
from srflow.errors import CalibrationError, NotCalibratedError
from srflow.evaluation.agreement import MIN_SIDE, Agreement, Window, find_agreement, window_of
from srflow.evaluation.measuring import line_pixels, measure_line, measure_place
from srflow.operations import Mask

__all__ = [
    "CHANNELS",
    "BarSource",
    "Line",
    "LineReport",
    "PlaceReport",
    "agreement_facts",
    "line_facts",
    "place_facts",
    "report_agreement",
    "report_line",
    "report_place",
]

CHANNELS = ("Red", "Green", "Blue", "Brightness")

Line = tuple[int, int, int, int]
"""x and y of the first pixel, x and y of the last."""


@dataclass(frozen=True, kw_only=True)
class BarSource:
    """Where the bars of a set come from: a calibration, or the reason for none, and how the set was drawn."""

    calibration: Calibration | None
    temperature: float
    num_samples: int
    consistency_rounds: int
    why_not: str = ""

    def bar(self, value: Value = "luma", box: int = 1) -> Bar:
        """Return the bar, see `Calibration.bar`. Raises: NotCalibratedError: there is none."""
        if self.calibration is None:
            raise NotCalibratedError(self.why_not or "There is no calibration.")
        return self.calibration.bar(self.temperature, self.num_samples, self.consistency_rounds, value, box)


@dataclass(frozen=True, kw_only=True)
class PlaceReport:
    """Means over a region.

    box: its left, top, right, bottom.
    area: both in SR pixels.
    weights: (h, w) of the box, 0 to 1.
    means, lowest, highest: of the samples' means, by `CHANNELS`.
    half_width: of the bars; None: they are not calibrated, and `why_not` says why.
    sigma: standard deviation of the samples' means.
    truth: None: it is not known.
    """

    box: Line
    area: float
    weights: np.ndarray = field(repr=False)
    num_samples: int
    means: np.ndarray
    sigma: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    half_width: np.ndarray | None = None
    why_not: str = ""
    coverage: float | None = None
    truth: np.ndarray | None = None

    @cached_property
    def window(self) -> Window:
        """The window of the region for its Fourier ring correlation."""
        return window_of(self.weights)

    @property
    def has_agreement(self) -> bool:
        """Whether the region is large enough for the Fourier ring correlation."""
        return min(self.weights.shape) >= MIN_SIDE and self.window.side >= MIN_SIDE


@dataclass(frozen=True, kw_only=True)
class LineReport:
    """Brightness along a line.

    pixels: (N, 2) of x and y.
    distances: from the first one, in pixels.
    mean: over the samples.
    half_width: of the bars or, if `coverage` is None, the standard deviation of the samples.
    samples: (K, N).
    truth: None: it is not known.
    """

    ends: Line
    pixels: np.ndarray
    distances: np.ndarray
    samples: np.ndarray
    mean: np.ndarray
    half_width: np.ndarray
    coverage: float | None = None
    why_not: str = ""
    truth: np.ndarray | None = None


def report_place(
    samples: Sequence[np.ndarray], place: Mask, scale: int, bars: BarSource, truth: np.ndarray | None = None
) -> PlaceReport:
    """Return means over a region of the LR picture, with bars based on the samples' own spread of that mean.

    Bars of means are calibrated for squares; for a region, those of the square of the same area are used.

    Args:
        samples, truth: (H, W, 3), 0 to 255.
        scale: SR pixels per LR pixel.

    Raises: InputError: see `measure_place`.
    """
    left, top, right, bottom = (edge * scale for edge in place.support)
    weights = place.weights(scale)
    cut = np.s_[top:bottom, left:right]
    found = measure_place([sample[cut] for sample in samples], weights)
    report = PlaceReport(
        box=(left, top, right, bottom),
        area=found.area,
        weights=weights,
        num_samples=len(samples),
        means=found.mean,
        sigma=found.sigma,
        lowest=found.values.min(axis=0),
        highest=found.values.max(axis=0),
        truth=None if truth is None else measure_place([truth[cut]] * 2, weights).mean,
    )
    kinds: tuple[Value, ...] = ("rgb", "rgb", "rgb", "luma")
    try:
        widths = [
            float(bars.bar(kind, found.side).half_width(sigma, len(samples)))
            for kind, sigma in zip(kinds, found.sigma, strict=True)
        ]
    except CalibrationError as error:
        return replace(report, why_not=str(error))
    assert bars.calibration is not None
    return replace(report, half_width=np.array(widths), coverage=bars.calibration.coverage)


def report_line(
    samples: Sequence[np.ndarray], line: Line, bars: BarSource, truth: np.ndarray | None = None
) -> LineReport:
    """Return the brightness along a line, pixel by pixel, with the bars of single pixels.

    Arguments as of `report_place`.
    """
    pixels, distances = line_pixels(line[:2], line[2:])
    values = measure_line(samples, pixels)
    report = LineReport(
        ends=line,
        pixels=pixels,
        distances=distances,
        samples=values,
        mean=values.mean(axis=0),
        half_width=values.std(axis=0, ddof=1),
        truth=None if truth is None else measure_line([truth], pixels)[0],
    )
    try:
        half = bars.bar().half_width(report.half_width, len(samples))
    except CalibrationError as error:
        return replace(report, why_not=str(error))
    assert bars.calibration is not None
    return replace(report, half_width=half, coverage=bars.calibration.coverage)


def report_agreement(samples: Sequence[np.ndarray], place: PlaceReport | None = None) -> Agreement | None:
    """Return the agreement in a region if it is large enough, otherwise in the whole picture.

    None: that is too small, too.
    """
    if place is not None and place.has_agreement:
        left, top, right, bottom = place.box
        return find_agreement([sample[top:bottom, left:right] for sample in samples], window=place.window)
    return find_agreement(samples) if min(samples[0].shape[:2]) >= MIN_SIDE else None


def place_facts(report: PlaceReport) -> dict[str, Any]:
    """Return the report as JSON values."""
    columns = {
        "mean": report.means,
        "half_width": report.half_width,
        "sigma": report.sigma,
        "lowest": report.lowest,
        "highest": report.highest,
        "truth": report.truth,
    }
    channels = {
        name.lower(): {what: None if values is None else float(values[i]) for what, values in columns.items()}
        for i, name in enumerate(CHANNELS)
    }
    return {
        "box": list(report.box),
        "area": report.area,
        "num_samples": report.num_samples,
        "coverage": report.coverage,
        "why_no_bar": report.why_not or None,
        "channels": channels,
    }


def line_facts(report: LineReport) -> dict[str, Any]:
    """Return the report as JSON values; half_width is σ if the coverage is None."""
    values = asdict(report) | {"why_no_bar": report.why_not or None}
    del values["why_not"]
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}


def agreement_facts(found: Agreement | None) -> dict[str, Any] | None:
    """Return the agreement as JSON values."""
    if found is None:
        return None
    return {
        "size_in_pixels": found.size,
        "reaches_end": found.reaches_end,
        "frequencies": found.frequencies.tolist(),
        "correlation": found.correlation.tolist(),
    }
