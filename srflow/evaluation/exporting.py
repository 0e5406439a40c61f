"""Exporting sets of samples for other programs: NPZ, float32 TIFF stack, OME-TIFF, CSV, and their latents.

Values are grey levels, 0 to 255, whatever bit depth the samples were drawn with.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from srflow.calibration.file import Bar, Value
from srflow.contract import Encoded
from srflow.errors import InputError
from srflow.evaluation.measuring import with_luma
from srflow.evaluation.reports import LineReport
from srflow.files import atomic_write

__all__ = ["EXPORTS", "LATENTS", "ExportFormat", "SetData", "as_csv", "profile_table", "write_set"]

ExportFormat = Literal["npz", "tiff", "ome-tiff", "latents", "latents-npz"]
EXPORTS: dict[ExportFormat, str] = {
    "npz": ".npz",
    "tiff": ".tif",
    "ome-tiff": ".ome.tif",
    "latents": ".latents.safetensors",
    "latents-npz": ".latents.npz",
}
"""Suffix of the files of each format."""

LATENTS = frozenset({"latents", "latents-npz"})
"""The formats that contain latents instead of pictures."""

_MAX_CLASSIC_TIFF = 2**32 - 2**25  # bytes; ImageJ does not read BigTIFF


@dataclass(frozen=True, kw_only=True)
class SetData:
    """A set to be written.

    samples: (H, W, 3) each: uint8, or uint16 if they were drawn with 16 bits.
    facts: settings, recipes and numbers, as JSON values.
    bars: of single pixels, if they are calibrated, with the share that they promise.
    latents: of the samples, for the formats that contain these.
    """

    samples: Sequence[np.ndarray]
    facts: Mapping[str, Any]
    bars: Mapping[Value, Bar] = field(default_factory=dict)
    coverage: float | None = None
    latents: Encoded | None = None

    def levels(self) -> np.ndarray:
        """Return the samples in grey levels, (K, H, W, 3), float32."""
        step = np.float32(257 if self.samples[0].dtype == np.uint16 else 1)
        return np.stack([sample.astype(np.float32) / step for sample in self.samples])


def write_set(path: str | Path, form: ExportFormat, data: SetData) -> None:
    """Write a set atomically.

    npz: unchanged samples, (K, H, W, 3); mean and sigma (divisor K - 1) of R, G, B and brightness, (H, W, 4), float32;
        if bars are calibrated, half_width, (H, W, 4), and coverage; facts, a JSON text.
    tiff: an ImageJ stack, float32, one slice per sample, one channel per colour; the facts are its "Info". ome-tiff:
    the same for programs that read OME: Z is the sample, C the colour; the facts are its description.

    latents: the format of `Latents.load`, with the facts in its metadata (`read_metadata`) under that name.
    latents-npz: level_0, level_1, …, (K, C, h, w), float32; log_prob, (K,), in nats; facts.

    Raises: InputError: no such format, no sample, or too much data for the format. OSError: it cannot be written.
    """
    if form not in get_args(ExportFormat):
        raise InputError(f"The format is {form!r}; choose one of {', '.join(EXPORTS)}.")
    if not data.samples:
        raise InputError("There is no sample to export. Draw some first.")
    facts = json.dumps(data.facts)
    arrays: dict[str, Any]
    if form == "latents":
        _save_latents(path, data, facts)
        return
    with atomic_write(path, "wb") as file:
        if form == "npz":
            arrays = {**_arrays(data), "facts": np.array(facts)}
            np.savez(file, **arrays)
        elif form == "latents-npz":
            arrays = {**_latent_arrays(data), "facts": np.array(facts)}
            np.savez(file, **arrays)
        else:
            file.write(_tiff(form, data.levels().transpose(0, 3, 1, 2), facts))


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Format a table as text: comma, decimal point, one line per row. None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def profile_table(report: LineReport, names: Sequence[str]) -> str:
    """Format a line as CSV: one row per pixel. names: of the samples."""
    width = "sigma" if report.coverage is None else f"half_width_of_{100 * report.coverage:g}_percent_bar"
    columns = [report.distances, report.pixels[:, 0], report.pixels[:, 1], report.mean, report.half_width]
    heads = ["distance", "x", "y", "mean", width]
    if report.truth is not None:
        heads.append("truth")
        columns.append(report.truth)
    return as_csv([*heads, *names], zip(*columns, *report.samples, strict=True))


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else value


def _arrays(data: SetData) -> dict[str, np.ndarray]:
    values = np.stack([with_luma(sample) for sample in data.levels()])  # (K, H, W, 4)
    count = len(values)
    arrays = {"samples": np.stack(data.samples), "mean": values.mean(axis=0)}
    if count > 1:
        sigma = arrays["sigma"] = values.std(axis=0, ddof=1, dtype=np.float64).astype(np.float32)
        if data.bars and data.coverage is not None:
            kinds: tuple[Value, ...] = ("rgb", "rgb", "rgb", "luma")
            widths = [data.bars[kind].half_width(sigma[..., i], count) for i, kind in enumerate(kinds)]
            arrays["half_width"] = np.stack(widths, axis=-1).astype(np.float32)
            arrays["coverage"] = np.array(data.coverage)
    return arrays


def _save_latents(path: str | Path, data: SetData, facts: str) -> None:
    import torch  # only needed for latents

    from srflow.latents import Latents

    assert data.latents is not None
    Latents([torch.from_numpy(level) for level in data.latents.levels]).save(path, {"facts": facts})


def _latent_arrays(data: SetData) -> dict[str, np.ndarray]:
    assert data.latents is not None
    levels = {f"level_{number}": level for number, level in enumerate(data.latents.levels)}
    return {**levels, "log_prob": data.latents.log_probs}


def _tiff(form: ExportFormat, levels: np.ndarray, facts: str) -> memoryview:
    """Return the file's bytes: tifffile needs a file name, and a temporary file has none.

    Args: levels: (K, 3, H, W), float32.
    """
    import tifffile

    file = io.BytesIO()
    if form == "tiff":
        if levels.nbytes > _MAX_CLASSIC_TIFF:
            raise InputError(
                f"The stack would have {levels.nbytes / 1e9:.1f} GB; ImageJ's files can have 4 GB. Export ome-tiff "
                "or npz, or a smaller region."
            )
        more = {"axes": "ZCYX", "mode": "composite", "Info": facts, "min": 0.0, "max": 255.0}
        tifffile.imwrite(file, levels, imagej=True, metadata=more)
    else:
        channels = {"Name": ["Red", "Green", "Blue"]}
        more = {"axes": "ZCYX", "Channel": channels, "Description": facts}
        tifffile.imwrite(file, levels, ome=True, photometric="minisblack", metadata=more)
    return file.getbuffer()
