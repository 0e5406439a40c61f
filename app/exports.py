"""Exports of a set for other programs: files of all samples, and tables of measurements."""

from __future__ import annotations

import json
import secrets
import zipfile
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from app.downloads import run_facts
from app.measuring import Samples, chosen_of, measure_chosen_line, measure_chosen_place
from app.records import Run, View
from app.tasks import Update
from srflow.contract import Encoded, Engine, InputError
from srflow.evaluation.exporting import EXPORTS, LATENTS, ExportFormat, SetData, as_csv, profile_table, write_set
from srflow.evaluation.reports import place_facts, report_agreement

__all__ = ["FORMATS", "export"]

FORMATS: dict[str, str] = {
    "npz": "NPZ (NumPy)",
    "tiff": "TIFF stack (float32)",
    "ome-tiff": "OME-TIFF (float32)",
    "csv": "Tables (CSV in a zip)",
    "latents": "Latents (safetensors)",
    "latents-npz": "Latents (NPZ)",
}


def export(engine: Engine, samples: Samples, view: View, form: str, folder: Path) -> Iterator[Update | Path]:
    """Write the set of a view into a folder. When latents are exported, the explored picture comes last.

    Yields progress, and the file at the end.

    Args:
        form: a key of `FORMATS`.
        folder: gets a file with a new name.

    Raises: InputError: there are no samples.
    """
    run = view.run
    if run is None or not run.samples:
        raise InputError("There are no samples to export yet. Press Sample first.")
    target = folder / secrets.token_hex(4)
    target.mkdir()
    stem = f"tau{run.settings.temperature:g}-seed{run.settings.seed}-{len(run.samples)}samples"
    facts = run_facts(engine.info(), run)
    if form == "csv":
        path = target / f"{stem}-tables.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in _tables(samples, view, run):
                archive.writestr(name, text)
            archive.writestr("run.json", json.dumps(facts, indent=1))
        yield path
        return
    kind: ExportFormat = form  # type: ignore[assignment]
    path = target / f"{stem}{EXPORTS[kind]}"
    if form in LATENTS:
        write_set(path, kind, (yield from _with_latents(engine, samples, view, run, facts)))
        yield path
        return
    bars, count = run.bars, len(run.samples)
    is_of_all = bars is not None and bars.num_samples == count
    data = SetData(
        samples=samples.read(run),
        facts=facts,
        bars=bars.pixels if bars is not None and is_of_all else {},
        coverage=bars.coverage if bars is not None and is_of_all else None,
    )
    write_set(path, kind, data)
    yield path


def _with_latents(
    engine: Engine, samples: Samples, view: View, run: Run, facts: Mapping[str, Any]
) -> Generator[Update, None, SetData]:
    """Return the set with its latents, in the order in which the facts name the samples."""
    pictures, records = [*samples.read(run)], [*run.samples]
    if view.explored is not None and view.explored.has_changes:
        records.append(view.explored.state)
        pictures.append(engine.read_picture(view.explored.state.path).pixels)
    order = [
        {"label": record.label, "recipe": None if record.recipe is None else json.loads(record.recipe.to_json())}
        for record in records
    ]
    latents: Encoded | None = None
    for event in engine.encode_each(run.picture.lr(), pictures, run.settings.model):
        if isinstance(event, Encoded):
            latents = event
        else:
            yield Update(text=event.text, fraction=event.fraction)
    return SetData(samples=pictures, facts={**facts, "latents": order}, latents=latents)


def _tables(samples: Samples, view: View, run: Run) -> Iterator[tuple[str, str]]:
    """Return name and text of each table that is not empty."""
    yield "samples.csv", _samples_table(run)
    if len(run.samples) < 2:
        return
    pixels, chosen = samples.read(run), chosen_of(view)
    place = None
    if chosen is not None and chosen.place is not None:
        place = measure_chosen_place(pixels, run, chosen.place)
        heads = ["channel", *place_facts(place)["channels"]["brightness"]]
        rows = [[name, *values.values()] for name, values in place_facts(place)["channels"].items()]
        yield "place.csv", as_csv(heads, rows)
    if chosen is not None and chosen.line is not None:
        yield "line.csv", profile_table(measure_chosen_line(pixels, run, chosen.line), [s.label for s in run.samples])
    found = report_agreement(pixels, place)
    if found is not None:
        rows = [[f, 1 / f, c] for f, c in zip(found.frequencies, found.correlation, strict=True)]
        yield "agreement.csv", as_csv(["cycles_per_pixel", "size_in_pixels", "ring_correlation"], rows)


def _samples_table(run: Run) -> str:
    heads = [
        "sample",
        "seed",
        "lr_psnr_db",
        "bits_per_dimension",
        "clipped",
        "rmse_to_mean",
        "lpips",
        "psnr_db",
        "flags",
    ]
    distances = dict(zip(run.summary_indices, run.distances_to_mean or (), strict=False))
    rows = []
    for sample in run.samples:
        recipe, numbers = sample.recipe, sample.numbers
        index = None if recipe is None else recipe.index
        truth = None if numbers is None else numbers.truth
        rows.append(
            [
                sample.label if index is None else index + 1,
                None if recipe is None else recipe.seed,
                None if numbers is None else numbers.lr_psnr,
                None if numbers is None else numbers.bits_per_dimension,
                None if numbers is None else numbers.clipped,
                None if index is None else distances.get(index),
                None if truth is None else truth.lpips,
                None if truth is None else truth.psnr,
                "" if numbers is None else "; ".join(numbers.flags),
            ]
        )
    return as_csv(heads, rows)
