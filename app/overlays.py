"""The map over the pictures: bars in grey levels if these are calibrated, otherwise standard deviations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from app.bars import SetBars
from app.viewer import Overlay
from app.views import COLORS, colorize, grey, scale_top
from srflow.contract import Value

__all__ = ["bar_overlay"]


def bar_overlay(
    save: Callable[[str, np.ndarray], Path], stem: str, measure: Value, std: np.ndarray, bars: SetBars
) -> Overlay:
    """Write the map's files, and return the overlay.

    Args:
        save: writes a picture under a name, and returns its path.
        stem: of the files' names.
        std: of the samples, as in `SetSummary`: (H, W) for luma, or (H, W, 3) for rgb.
        bars: of the set.
    """
    values = std if bars.coverage is None else bars.half_width(measure, std)
    if values.ndim == 3:
        values = np.sqrt(np.square(values).mean(-1))
    top, highest = scale_top(values), max(float(values.max()), 1.0)
    is_bar = bars.coverage is not None
    return Overlay(
        save(f"{stem}.png", colorize(values, top)),
        bars.title(measure) if is_bar else "Diversity",
        0.0,
        top,
        COLORS,
        "grey levels" if is_bar else "8-bit σ",
        save(f"{stem}-grey.png", grey(values, highest)),
        values_top=highest,
        bars=bars.coverage,
        of_luma=measure == "luma",
        remark=bars.remark(measure),
        details=bars.details(measure),
    )
