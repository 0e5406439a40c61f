"""The download of a whole set: all pictures of a run, and a JSON with its settings and numbers, in one zip."""

from __future__ import annotations

import json
import math
import secrets
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from app.records import PictureRecord, Run
from app.runs import load_map
from srflow.contract import Engine, EngineInfo, InputError

__all__ = ["STD_SCALE", "bar_facts", "run_facts", "save_std", "write_zip"]

STD_SCALE = 256
"""Grey values of a 16-bit PNG per 8-bit unit of standard deviation."""


def write_zip(engine: Engine, run: Run | None, folder: Path, explored: PictureRecord | None = None) -> Path:
    """Write the zip into the folder.

    It contains all samples and the explored picture (PNGs with their recipes), the input, references, mean, the
    standard deviation of luma as a 16-bit PNG (`STD_SCALE` grey values per 8-bit unit), the maps in colour, and
    run.json.

    Raises: InputError: there are no samples.
    """
    if run is None or not run.samples:
        raise InputError("There are no samples to download yet. Press Sample first.")
    files = {f"samples/{sample.path.name}": sample.path for sample in run.samples}
    files |= {f"references/{kind}.png": path for kind, path in run.references.items() if kind != "mean"}
    if explored is not None:
        files["explored.png"] = explored.path
    if "mean" in run.references:
        files["mean.png"] = run.references["mean"]
    stem = secrets.token_hex(4)  # a second click may arrive while the first zip is being written
    if run.overlays:
        std = folder / f"std-{stem}.png"
        save_std(engine, run, std)
        files["std-luma-16bit.png"] = std
        files |= {f"diversity-map-{measure}.png": Path(overlay.path) for measure, overlay in run.overlays.items()}
    path = folder / f"samples-{stem}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, source in files.items():
            archive.write(source, name)
        archive.writestr("run.json", json.dumps(run_facts(engine.info(), run), indent=1))
    return path


def save_std(engine: Engine, run: Run, path: Path) -> None:
    """Write the standard deviation of luma as a 16-bit PNG. Raises: InputError: there is none."""
    values = load_map(run, "luma")
    engine.save_png(path, np.rint(np.clip(values * STD_SCALE, 0, 65535)).astype(np.uint16))


def bar_facts(run: Run) -> dict[str, Any] | None:
    """Return what a run's bars promise, or why nothing is promised, as JSON values; None: there is no map."""
    bars = run.bars
    if bars is None:
        return None
    if bars.coverage is None:
        return {"calibrated": False, "why": bars.why_not}
    count = bars.num_samples
    facts: dict[str, Any] = {
        "calibrated": True,
        "coverage": bars.coverage,
        "num_samples": count,
        # The files of the map have σ with the divisor N, not N − 1.
        "half_width": {
            measure: {
                "factor_of_std": float(bar.half_width(1e6, count)) / 1e6 * math.sqrt(count / (count - 1)),
                "at_least": float(bar.half_width(0, count)),
                "held_on_other_pictures": bar.coverage_checked,
            }
            for measure, bar in bars.pixels.items()
        },
        "is_reduction_known": bars.is_reduction_known,
        "holds_for": bars.details("luma"),
    }
    if bars.check is not None:
        facts["truth_inside"] = dict(bars.check.inside)
        facts["truth_ranks"] = list(bars.check.ranks)
    return facts


def run_facts(info: EngineInfo, run: Run) -> dict[str, Any]:
    """Return the settings, recipes and numbers of a run as JSON values."""
    model = next(model for model in info.models if model.key == run.settings.model)
    samples = []
    for sample in run.samples:
        values: dict[str, Any] = {"file": f"samples/{sample.path.name}"}
        if sample.recipe is not None:
            values["recipe"] = json.loads(sample.recipe.to_json())
        if numbers := sample.numbers:
            values |= {
                "lr_psnr_db": numbers.lr_psnr,
                "bits_per_dimension": numbers.bits_per_dimension,
                "clipped": numbers.clipped,
                "flags": list(numbers.flags),
            }
            if numbers.truth is not None:
                values["truth"] = asdict(numbers.truth)
        samples.append(values)
    return {
        "program": "SRFlow-DA Explorer",
        "version": info.version,
        "model": asdict(model),
        "settings": asdict(run.settings),
        "region": asdict(run.picture.region),
        "samples": samples,
        "set": {
            "indices": list(run.summary_indices),
            "diversity": run.diversity,
            "split_half_change": run.split_half_change,
            "distances_to_mean": run.distances_to_mean,
            "nearest_to_mean": run.nearest_to_mean,
            "medoid": run.medoid,
            "mean_pairwise_lpips": run.mean_pairwise_lpips,
            "pairwise_lpips": run.pairwise,
            "bars": bar_facts(run),
            "challenge": None if run.challenge is None else asdict(run.challenge),
        },
        "std_png_units": f"1/{STD_SCALE} of an 8-bit unit",
        "finished": len(run.samples) >= run.settings.num_samples,
    }
