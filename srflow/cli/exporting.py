"""`srflow sample --export`: writes all samples of a picture to one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from srflow.contract import Bar, Value
    from srflow.evaluation.exporting import ExportFormat
    from srflow.sampling.engine import SamplingEngine

__all__ = ["export_samples"]


def export_samples(
    engine: SamplingEngine,
    lr: np.ndarray,
    pngs: Sequence[Path],
    stem: Path,
    formats: Sequence[ExportFormat],
    bits: int,
) -> list[Path]:
    """Write the samples of one picture once more, in one file.

    They are read from their PNGs, because some may have existed before.

    Args:
        lr: the picture, uint8, (h, w, 3).
        pngs: of all its samples, in order.
        stem: of the files to write, without a suffix.
        bits: of the PNGs.

    Returns: the files.
    Raises: InputError: too much data for a format.
    """
    from srflow.contract import RECIPE_KEY, CalibrationError, SampleRecipe
    from srflow.evaluation.exporting import EXPORTS, LATENTS, SetData, write_set
    from srflow.evaluation.reports import BarSource
    from srflow.pictures import read_picture, read_png_text

    recipes = [SampleRecipe.from_json(read_png_text(path)[RECIPE_KEY]) for path in pngs]
    facts: dict[str, Any] = {"samples": [json.loads(recipe.to_json()) for recipe in recipes]}
    samples = [read_picture(path, bits=bits).pixels for path in pngs]
    bars: dict[Value, Bar] = {}
    coverage = None
    if len(pngs) > 1:
        try:
            source = BarSource(
                calibration=engine.calibration(),
                temperature=recipes[0].temperature,
                num_samples=len(pngs),
                consistency_rounds=recipes[0].consistency_rounds,
            )
            bars = {"luma": source.bar(), "rgb": source.bar("rgb")}
            coverage = engine.calibration().coverage
        except CalibrationError as error:
            facts["why_no_bars"] = str(error)
    latents = engine.encode(lr, samples) if LATENTS.intersection(formats) else None
    data = SetData(samples=samples, facts=facts, bars=bars, coverage=coverage, latents=latents)
    written = []
    for form in dict.fromkeys(formats):
        written.append(stem.with_name(stem.name + EXPORTS[form]))
        write_set(written[-1], form, data)
    return written
