"""Drawing samples for a visitor: the engine's events become files and numbers, and a scene for the viewer."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.pictures import LR_KEY
from app.settings import Settings
from app.state import Job, OpenedPicture, Run, SampleRecord, Visitor
from app.viewer import Overlay, Picture, Scene
from app.views import COLORS, atlas_positions, colorize, grey, scale_top
from app.wording import REFERENCE_LABELS, format_seconds
from srflow.contract import (
    RECIPE_KEY,
    Cancelled,
    Engine,
    Estimate,
    Notice,
    PartialSample,
    Progress,
    SampleRequest,
    SampleResult,
    SetSummary,
)

__all__ = ["MEASURES", "Step", "build_scene", "draw", "load_map", "make_request", "picture_files", "write_map"]

MEASURES = {"luma": "Luma", "rgb": "RGB"}
_MAP_INTERVAL = 1.0  # seconds between updates of the map while samples come in
_REFERENCE_KEYS = {"input": "i", "bicubic": "b", "encoder": "e", "zero_temperature": "t", "mean": "m", "truth": "g"}
_FEATURE_SIDE = 48


@dataclass(frozen=True)
class Step:
    """News from a run. fresh: what of it changed: "samples", "map", "references", "end"."""

    text: str
    fraction: float
    fresh: frozenset[str] = frozenset()


def make_request(picture: OpenedPicture, settings: Settings) -> SampleRequest:
    """What the engine is asked for."""
    return SampleRequest(
        lr=picture.lr(),
        model=settings.model,
        num_samples=settings.num_samples,
        first_index=settings.first_index,
        seed=settings.seed,
        temperature=settings.temperature,
        consistency_rounds=settings.consistency_rounds,
        ground_truth=picture.truth(),
        precision=settings.precision,
        tile=settings.tile,
        pairwise_lpips=settings.pairwise and settings.num_samples > 1,
    )


def draw(
    engine: Engine, visitor: Visitor, settings: Settings, job: Job, measure: str = "luma", references: bool = True
) -> Iterator[Step]:
    """Draw the samples of the visitor's picture, then (if wanted) the references to compare them with.

    What is finished is in `visitor.run`, whatever happens after.
    Raises: whatever the engine raises; Cancelled also when a newer job has begun.
    """
    picture = visitor.picture
    assert picture is not None
    request = make_request(picture, settings)
    former = visitor.run
    run = Run(folder=visitor.new_folder("run"), picture=picture, settings=settings, query=settings.to_query())
    run.references = dict(_kept_references(former, run))
    visitor.replace_run(run)
    writer = _Writer(engine, run, measure)
    writer.write_inputs(request)
    for event in engine.sample(request, job.cancel):
        if job.cancel.is_set():
            raise Cancelled("Stopped.")
        yield from writer.take(event)
    if references and "zero_temperature" not in run.references:
        yield Step("Making pictures to compare with", 1.0)
        for reference in engine.references(request, job.cancel):
            run.references[reference.kind] = writer.save(f"{reference.kind}.png", reference.picture, where="references")
            yield Step("Making pictures to compare with", 1.0, frozenset({"references"}))
    run.finished = True
    seconds = time.monotonic() - writer.started
    text = " ".join([f"{_count(len(run.samples))} in {format_seconds(seconds)}.", *dict.fromkeys(run.notices)])
    yield Step(text, 1.0, frozenset({"end"}))


def _count(number: int) -> str:
    return "1 sample" if number == 1 else f"{number} samples"


def _kept_references(former: Run | None, run: Run) -> Iterator[tuple[str, Path]]:
    """References do not depend on temperature and seed: they are kept while nothing else changed."""
    if former is None or former.picture != run.picture:
        return
    names = ("model", "consistency_rounds", "precision", "tile")
    if all(getattr(former.settings, name) == getattr(run.settings, name) for name in names):
        for kind, path in former.references.items():
            if kind != "mean" and path.exists():
                yield kind, path


class _Writer:
    """Puts one run's events on disk and into its record."""

    def __init__(self, engine: Engine, run: Run, measure: str) -> None:
        self.engine = engine
        self.run = run
        self.measure = measure
        self.started = time.monotonic()
        self.fraction = 0.0
        self.lr_text = ""
        self.features: list[np.ndarray] = []
        self.last_map = 0.0
        self.num_maps = 0

    def write_inputs(self, request: SampleRequest) -> None:
        """The LR picture (also as text for the samples' files) and the ground truth."""
        path = self.run.references.get("input") or self.save("input.png", request.lr, where="references")
        self.run.references["input"] = path
        self.lr_text = base64.b64encode(path.read_bytes()).decode()
        if request.ground_truth is not None and "truth" not in self.run.references:
            self.run.references["truth"] = self.save("truth.png", request.ground_truth, where="references")

    def save(self, name: str, picture: np.ndarray, text: dict[str, str] | None = None, where: str = "run") -> Path:
        """Write a PNG to the run's folder, or to that of pictures which later runs may use as well."""
        folder = self.run.folder
        if where == "references":
            # Named with "run" first, so that it goes when no run needs it any more.
            folder = folder.with_name(f"{folder.name}-references")
            folder.mkdir(exist_ok=True)
        self.engine.save_png(folder / name, picture, text)
        return folder / name

    def take(self, event: object) -> Iterator[Step]:
        """Write down one event."""
        if isinstance(event, Estimate):
            yield self.step(f"About {format_seconds(event.seconds)}" if event.seconds > 0 else "Starting")
        elif isinstance(event, Progress):
            self.fraction = event.fraction
            yield self.step(event.text)
        elif isinstance(event, Notice):
            self.run.notices.append(event.text)
            yield self.step(event.text)
        elif isinstance(event, PartialSample):
            yield self.step(f"Sample {event.index + 1}: row {event.top + len(event.rows)}")
        elif isinstance(event, SampleResult):
            self.take_sample(event)
            yield self.step(f"{_count(len(self.run.samples))} of {self.run.settings.num_samples}", "samples")
        elif isinstance(event, SetSummary):
            yield from self.take_summary(event)

    def step(self, text: str, *fresh: str) -> Step:
        """News with the fraction known last."""
        return Step(text, self.fraction, frozenset(fresh))

    def take_sample(self, event: SampleResult) -> None:
        """Write a sample's PNG, with its recipe inside."""
        name = f"sample-{event.index + 1:02d}.png"
        text = {RECIPE_KEY: event.recipe.to_json(), LR_KEY: self.lr_text}
        if event.picture is None:
            raise RuntimeError(f"The engine put sample {event.index} into {event.path}; the page asks for pictures.")
        path = self.save(name, event.picture, text)
        self.features.append(_small(event.picture))
        self.run.samples.append(
            SampleRecord(
                recipe=event.recipe,
                path=path,
                lr_psnr=event.lr_psnr,
                bits_per_dimension=event.bits_per_dimension,
                clipped=event.clipped,
                flags=event.flags,
                truth=event.truth,
            )
        )

    def take_summary(self, event: SetSummary) -> Iterator[Step]:
        """Numbers always; files of the map only now and then, and at the end."""
        run = self.run
        run.diversity, run.split_half_change = event.diversity, event.split_half_change
        run.summary_indices = event.indices
        if event.final:
            run.distances_to_mean, run.nearest_to_mean = event.distances_to_mean, event.nearest_to_mean
            run.medoid, run.mean_pairwise_lpips = event.medoid, event.mean_pairwise_lpips
            run.challenge = event.challenge
            pairs = event.pairwise_lpips
            run.pairwise = None if pairs is None else tuple(tuple(map(float, row)) for row in pairs)
            run.atlas = tuple(atlas_positions(self.features, pairs)) if len(self.features) > 1 else ()
        elif len(event.indices) < 2 or time.monotonic() - self.last_map < _MAP_INTERVAL:
            return
        np.save(run.folder / "std_luma.npy", event.std_luma.astype(np.float32))
        np.save(run.folder / "std_rgb.npy", event.std_rgb.astype(np.float32))
        self.num_maps += 1
        run.references["mean"] = self.save(f"mean-{self.num_maps}.png", event.mean)
        if len(event.indices) > 1:
            write_map(self.engine, run, self.measure)
        self.last_map = time.monotonic()
        yield self.step(f"{_count(len(run.samples))} of {run.settings.num_samples}", "map")


def _small(picture: np.ndarray) -> np.ndarray:
    """Block means of the luma, at most 48 a side: enough to tell samples apart in the atlas."""
    luma = picture @ np.float32([0.299, 0.587, 0.114])
    step = max(1, max(luma.shape) // _FEATURE_SIDE)
    rows, columns = luma.shape[0] // step, luma.shape[1] // step
    return luma[: rows * step, : columns * step].reshape(rows, step, columns, step).mean((1, 3))


def load_map(run: Run, measure: str) -> np.ndarray:
    """Standard deviation over the samples, float32 (H, W), 8-bit units; rgb: root of the channels' mean square."""
    if measure == "rgb":
        return np.sqrt(np.square(np.load(run.folder / "std_rgb.npy")).mean(-1))
    return np.load(run.folder / "std_luma.npy")


def write_map(engine: Engine, run: Run, measure: str) -> None:
    """Write the map's coloured and grey PNG, for the viewer's overlay."""
    values = load_map(run, measure)
    top = scale_top(values)
    # A new name each time: the viewer and caches on the way know files by their address.
    stem = run.folder / f"map-{time.time_ns()}"
    paths = stem.with_name(f"{stem.name}-colour.png"), stem.with_name(f"{stem.name}-grey.png")
    engine.save_png(paths[0], colorize(values, top))
    engine.save_png(paths[1], grey(values, top))
    run.overlay = Overlay(paths[0], "Diversity", 0.0, top, COLORS, "8-bit σ", paths[1])


def build_scene(run: Run, waiting: bool) -> Scene:
    """What the viewer shows of a run; `waiting`: places are kept for the samples still to come."""
    scale = run.picture.scale_factor
    pictures = [
        Picture(sample.id, sample.label, sample.path, badge="flagged" if sample.flags else "") for sample in run.samples
    ]
    if waiting:
        first, done = run.settings.first_index, {sample.recipe.index for sample in run.samples}
        pending = [i for i in range(first, first + run.settings.num_samples) if i not in done]
        pictures += [Picture(f"s{index}", f"Sample {index + 1}") for index in pending]
    for kind, key in _REFERENCE_KEYS.items():
        # Places are kept for those to come as well, or the row of buttons would grow under the visitor's pointer.
        if kind in run.references or (waiting and (kind != "truth" or run.picture.has_truth)):
            pictures.append(Picture(kind, REFERENCE_LABELS[kind], run.references.get(kind), "reference", key=key))
    return Scene(
        run.picture.region.width * scale,
        run.picture.region.height * scale,
        pictures,
        overlay=run.overlay,
        subject=f"{run.picture.subject} {scale}",
    )


def picture_files(run: Run) -> dict[str, Path]:
    """All pictures of a run that can be downloaded, by their ids in the viewer."""
    files = {sample.id: sample.path for sample in run.samples} | run.references
    if run.overlay is not None:
        files["map"] = Path(run.overlay.path)
    return files
