"""What a visitor takes away: all pictures of a run and a JSON of its settings and numbers, as one zip."""

from __future__ import annotations

import json
import secrets
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from app.state import Run
from srflow.contract import Engine, EngineInfo, InputError

__all__ = ["run_facts", "write_zip"]

STD_SCALE = 256
"""16-bit grey values per 8-bit unit of standard deviation."""


def write_zip(engine: Engine, run: Run | None) -> Path:
    """Write the zip into the run's folder.

    In it: every sample (PNG with its recipe inside), input, references, mean, the standard deviation as a 16-bit PNG
    (`STD_SCALE` grey values an 8-bit unit), the coloured map, and run.json.
    Raises: InputError: if there are no samples.
    """
    if run is None or not run.samples:
        raise InputError("There are no samples to download yet. Press Sample first.")
    files = {f"samples/{sample.path.name}": sample.path for sample in run.samples}
    files |= {f"references/{kind}.png": path for kind, path in run.references.items() if kind != "mean"}
    if "mean" in run.references:
        files["mean.png"] = run.references["mean"]
    if run.overlay is not None:
        std = np.load(run.folder / "std_luma.npy")
        engine.save_png(run.folder / "std.png", np.rint(np.clip(std * STD_SCALE, 0, 65535)).astype(np.uint16))
        files |= {"std-luma-16bit.png": run.folder / "std.png", "diversity-map.png": Path(run.overlay.path)}
    path = run.folder / "samples.zip"
    unfinished = path.with_suffix(f".{secrets.token_hex(4)}")  # a second press may find the first under way
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for name, source in files.items():
            archive.write(source, name)
        archive.writestr("run.json", json.dumps(run_facts(engine.info(), run), indent=1))
    unfinished.replace(path)
    return path


def run_facts(info: EngineInfo, run: Run) -> dict[str, Any]:
    """Settings, recipes and numbers of a run, as JSON values."""
    model = next(model for model in info.models if model.key == run.settings.model)
    samples = []
    for sample in run.samples:
        values = {
            "file": f"samples/{sample.path.name}",
            "lr_psnr_db": sample.lr_psnr,
            "bits_per_dimension": sample.bits_per_dimension,
            "clipped": sample.clipped,
            "flags": list(sample.flags),
            "recipe": asdict(sample.recipe),
        }
        if sample.truth is not None:
            values["truth"] = asdict(sample.truth)
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
            "challenge": None if run.challenge is None else asdict(run.challenge),
        },
        "std_png_units": f"1/{STD_SCALE} of an 8-bit unit",
        "finished": run.finished,
    }
