"""Bars about the mean of a set: their width, what they promise and why, and whether they contain the truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.settings import Settings
from app.wording import format_percent
from srflow.contract import Bar, Calibration, CalibrationError, Engine, Value
from srflow.evaluation.measuring import TruthCheck, check_truth

if TYPE_CHECKING:
    from app.records import OpenedPicture

__all__ = ["SetBars", "check_set", "find_bars"]

_OF_WHAT: Mapping[Value, str] = {"luma": "pixels", "rgb": "values of red, green and blue"}


@dataclass(frozen=True, kw_only=True)
class SetBars:
    """The calibrated bars of a set of samples, or the reason why there are none.

    num_samples: the size of the set.
    calibration: None: the model has none.
    pixels: the bars of single pixels, by measure; empty: there are none, and `why_not` says why.
    is_reduction_known: whether the LR picture was made by the bicubic interpolation for which the bars were checked.
    check: how well the bars contain the truth; None: the truth is unknown.
    """

    num_samples: int
    calibration: Calibration | None = None
    pixels: Mapping[Value, Bar] = field(default_factory=dict)
    why_not: str = ""
    is_reduction_known: bool = False
    check: TruthCheck | None = None

    @property
    def coverage(self) -> float | None:
        """The promised share; None: nothing is promised."""
        return self.calibration.coverage if self.calibration is not None and self.pixels else None

    def half_width(self, measure: Value, std: np.ndarray) -> np.ndarray:
        """Half-width of the bars in grey levels. std: over the samples, with the divisor N as in `SetSummary`."""
        count = self.num_samples
        return self.pixels[measure].half_width(std * math.sqrt(count / (count - 1)), count)

    def title(self, measure: Value) -> str:
        """Title of the map's scale."""
        assert self.coverage is not None
        return f"{format_percent(self.coverage)} of true {_OF_WHAT[measure]} lie within ± this"

    def remark(self, measure: Value) -> str:
        """Short remark shown beside the scale, where it cannot be overlooked."""
        if self.coverage is None:
            return "Not calibrated"
        words = (
            [] if self.is_reduction_known else ["Holds only if this picture was scaled down by bicubic interpolation"]
        )
        if self.check is not None:
            held, promised = format_percent(self.check.inside[measure]), format_percent(self.coverage)
            words.append(f"Truth inside in {held} (promised {promised})")
        return ". ".join(words) or "What this promises"

    def sentence(self) -> str:
        """Sentence for the panel: what is promised, and what share of the truth the bars contain."""
        if self.coverage is None:
            return f"bars are not calibrated: {self.why_not}"
        promised = format_percent(self.coverage)
        if self.check is None:
            return f"bars are made to contain {promised} of true pixels"
        held = format_percent(self.check.inside["luma"])
        return f"bars contain {held} of the true pixels here (promised {promised}, on average over pictures)"

    def details(self, measure: Value) -> str:
        """Explain the basis of the promise, or why nothing is promised."""
        if self.coverage is None:
            return f"{self.why_not} The map shows the standard deviation (σ) of the samples instead."
        assert self.calibration is not None
        found, bar = self.calibration, self.pixels[measure]
        words = [f"The width was chosen on {found.num_pictures} pictures with a known truth."]
        if found.check is not None and bar.coverage_checked is not None:
            words.append(
                f"On {found.check.num_pictures} others ({found.check.hr}), such bars contained "
                f"{format_percent(bar.coverage_checked, 1)}."
            )
        words.append("The promise is an average over pictures like these, scaled down by bicubic interpolation.")
        if measure == "rgb":
            words.append(
                "It applies to each colour channel separately; the map shows the root mean square of the three."
            )
        if not self.is_reduction_known:
            words.append("It is unknown how this picture was scaled down: for any other method, nothing is promised.")
        return " ".join(words)


def find_bars(engine: Engine, picture: OpenedPicture, settings: Settings, num_samples: int) -> SetBars:
    """Return the bars of a set of `num_samples` samples; if there are none, the reason."""
    bars = SetBars(num_samples=num_samples, is_reduction_known=picture.has_truth)
    calibration = None
    try:
        calibration = engine.calibration(settings.model)
        drawn = settings.temperature, num_samples, settings.consistency_rounds
        pixels: dict[Value, Bar] = {"luma": calibration.bar(*drawn), "rgb": calibration.bar(*drawn, "rgb")}
    except CalibrationError as error:
        return replace(bars, calibration=calibration, why_not=str(error))
    return replace(bars, calibration=calibration, pixels=pixels)


def check_set(engine: Engine, picture: OpenedPicture, samples: Sequence[Path], bars: SetBars) -> SetBars:
    """Return the bars with a check against the ground truth; if the truth is unknown, return them unchanged."""
    truth = picture.truth()
    if truth is None or len(samples) < 2:
        return bars
    pictures = (engine.read_picture(path).pixels for path in samples)
    return replace(bars, check=check_truth(truth, pictures, bars.pixels))
