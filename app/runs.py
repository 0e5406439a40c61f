"""Drawing samples for a visitor: the engine's events become files and numbers, and a scene for the viewer."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.pictures import LR_KEY, write_inputs
from app.settings import Settings
from app.state import Job, OpenedPicture, Run, SampleRecord, Visitor
from app.viewer import Overlay, Part, Picture, Scene
from app.views import COLORS, atlas_positions, colorize, grey, scale_top
from app.wording import REFERENCE_LABELS, START_NOTE, describe_tiles, format_seconds
from srflow.contract import (
    RECIPE_KEY,
    Cancelled,
    Engine,
    Estimate,
    MemoryBudgetError,
    Notice,
    PartialSample,
    Progress,
    SampleRequest,
    SampleResult,
    SetSummary,
)

__all__ = [
    "MEASURES",
    "Step",
    "build_scene",
    "draw",
    "load_map",
    "make_request",
    "picture_files",
    "sample_pixels",
    "sample_text",
    "start_scene",
    "write_map",
]

MEASURES = {"luma": "Luma", "rgb": "RGB"}
_MAP_INTERVAL = 1.0  # seconds between updates of the map while samples come in
_PARTS_INTERVAL = 1.0  # seconds between updates of the rows of samples that are made in tiles
_REFERENCE_KEYS = {"input": "i", "bicubic": "b", "encoder": "e", "zero_temperature": "t", "mean": "m", "truth": "g"}
_FEATURE_SIDE = 48
_PLACE_SIDE = 16  # SR pixels of a place, about as much as a crop shows


@dataclass(frozen=True)
class Step:
    """News from a run. fresh: what of it changed: "samples", "parts", "map", "references", "end"."""

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
    run = Run(folder=visitor.new_folder("run"), picture=picture, settings=settings, measure=measure)
    run.references = dict(_kept_references(former, run)) | write_inputs(engine, picture)
    run.place = former.place if former is not None and former.picture == picture else None
    visitor.replace_run(run)
    writer = _Writer(engine, run)
    for event in engine.sample(request, job.cancel):
        if job.cancel.is_set():
            raise Cancelled("Stopped.")
        yield from writer.take(event)
    if references and "zero_temperature" not in run.references:
        yield Step("Making pictures to compare with", 1.0)
        try:
            for reference in engine.references(request, job.cancel):
                path = writer.save(f"{reference.kind}.png", reference.picture, where="references")
                run.references[reference.kind] = path
                yield Step("Making pictures to compare with", 1.0, frozenset({"references"}))
        except MemoryBudgetError as error:  # the samples are there all the same
            run.notices.append(str(error))
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
            if kind in ("bicubic", "encoder", "zero_temperature") and path.exists():
                yield kind, path


class _Writer:
    """Puts one run's events on disk and into its record."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self.engine = engine
        self.run = run
        self.started = time.monotonic()
        self.fraction = 0.0
        self.text = "Starting"
        self.text_of = sample_text(run.references["input"])
        self.pending: list[PartialSample] = []
        self.num_parts = 0
        self.last_parts = float("-inf")
        self.features: list[np.ndarray] = []
        self.last_map = 0.0
        self.num_maps = 0

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
            times = [f"About {format_seconds(event.seconds)}" if event.seconds > 0 else "Starting"]
            yield self.step(", ".join(times + describe_tiles(event)))
        elif isinstance(event, Progress):
            self.fraction, self.text = event.fraction, event.text
            yield self.step(event.text)
        elif isinstance(event, Notice):
            self.run.notices.append(event.text)
            yield self.step(event.text)
        elif isinstance(event, PartialSample):
            if event.top == 0:  # perhaps anew, in smaller tiles
                self.forget_parts(event.index)
            self.pending.append(event)
            if self.are_parts_due():
                self.write_parts()
                yield self.step(self.text, "parts")
        elif isinstance(event, SampleResult):
            self.take_sample(event)
            yield self.step(f"{_count(len(self.run.samples))} of {self.run.settings.num_samples}", "samples")
        elif isinstance(event, SetSummary):
            yield from self.take_summary(event)

    def step(self, text: str, *fresh: str) -> Step:
        """News with the fraction known last."""
        return Step(text, self.fraction, frozenset(fresh))

    def are_parts_due(self) -> bool:
        """Whether rows have not been shown for a while."""
        return time.monotonic() - self.last_parts >= _PARTS_INTERVAL

    def write_parts(self) -> None:
        """Write the rows that have come in since the last time, as few files as they make."""
        for first, rows in _join_rows(self.pending):
            self.num_parts += 1
            path = self.save(f"part-{self.num_parts}.png", rows)
            self.run.parts.setdefault(first.index, []).append(Part(first.top, len(rows), path))
        self.pending.clear()
        self.last_parts = time.monotonic()

    def forget_parts(self, index: int) -> None:
        """Of a sample that is finished, or begun anew; the files go with the run."""
        self.pending = [part for part in self.pending if part.index != index]
        self.run.parts.pop(index, None)

    def take_sample(self, event: SampleResult) -> None:
        """Write a sample's PNG, with its recipe inside."""
        name = f"sample-{event.index + 1:02d}.png"
        with sample_pixels(event) as pixels:
            path = self.save(name, pixels, self.text_of(event))
            self.features.append(_small(pixels))
        self.forget_parts(event.index)
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
            # Once for each picture: crops that wander off at each new temperature cannot be compared.
            run.place = run.place or (_most_diverse(event.std_luma) if len(event.indices) > 1 else None)
        elif len(event.indices) < 2 or time.monotonic() - self.last_map < _MAP_INTERVAL:
            return
        np.save(run.folder / "std_luma.npy", event.std_luma.astype(np.float32))
        np.save(run.folder / "std_rgb.npy", event.std_rgb.astype(np.float32))
        self.num_maps += 1
        run.references["mean"] = self.save(f"mean-{self.num_maps}.png", event.mean)
        if len(event.indices) > 1:
            write_map(self.engine, run)
        self.last_map = time.monotonic()
        yield self.step(f"{_count(len(run.samples))} of {run.settings.num_samples}", "map")


@contextmanager
def sample_pixels(sample: SampleResult) -> Iterator[np.ndarray]:
    """A sample's picture, wherever the engine put it; a file of its own is removed afterwards."""
    if sample.picture is not None:
        yield sample.picture
        return
    assert sample.path is not None
    try:
        yield np.load(sample.path, mmap_mode="r")
    finally:
        Path(sample.path).unlink(missing_ok=True)


def sample_text(lr_file: Path) -> Callable[[SampleResult], dict[str, str]]:
    """What a sample's PNG carries as text: its recipe and its LR picture, so that it can be drawn again anywhere."""
    lr_text = base64.b64encode(lr_file.read_bytes()).decode()
    return lambda sample: {RECIPE_KEY: sample.recipe.to_json(), LR_KEY: lr_text}


def _join_rows(parts: Sequence[PartialSample]) -> Iterator[tuple[PartialSample, np.ndarray]]:
    """Rows of the same sample that follow each other, as one array, with the part that they begin with."""
    joined: list[PartialSample] = []
    for part in sorted(parts, key=lambda part: (part.index, part.top)):
        if joined and (part.index, part.top) != (joined[-1].index, joined[-1].top + len(joined[-1].rows)):
            yield joined[0], np.concatenate([one.rows for one in joined])
            joined = []
        joined.append(part)
    if joined:
        yield joined[0], np.concatenate([one.rows for one in joined])


def _most_diverse(std: np.ndarray) -> tuple[int, int]:
    """The middle (x, y) of the block where the samples differ most."""
    side = min(_PLACE_SIDE, *std.shape)
    rows, columns = std.shape[0] // side, std.shape[1] // side
    blocks = std[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3))
    row, column = divmod(int(blocks.argmax()), columns)
    return column * side + side // 2, row * side + side // 2


def _small(picture: np.ndarray) -> np.ndarray:
    """Block means of the luma, at most 48 a side: enough to tell samples apart in the atlas."""
    thin = max(1, max(picture.shape) // (8 * _FEATURE_SIDE))  # no more is needed, and it may be a file of gigabytes
    luma = picture[::thin, ::thin] @ np.float32([0.299, 0.587, 0.114])
    step = max(1, max(luma.shape) // _FEATURE_SIDE)
    rows, columns = luma.shape[0] // step, luma.shape[1] // step
    return luma[: rows * step, : columns * step].reshape(rows, step, columns, step).mean((1, 3))


def load_map(run: Run, measure: str) -> np.ndarray:
    """Standard deviation over the samples, float32 (H, W), 8-bit units; rgb: root of the channels' mean square."""
    if measure == "rgb":
        return np.sqrt(np.square(np.load(run.folder / "std_rgb.npy")).mean(-1))
    return np.load(run.folder / "std_luma.npy")


def write_map(engine: Engine, run: Run) -> None:
    """Write the map's coloured and grey PNG, of the run's measure, for the viewer's overlay."""
    values = load_map(run, run.measure)
    top = scale_top(values)
    # A new name each time: the viewer and caches on the way know files by their address.
    stem = run.folder / f"map-{time.time_ns()}"
    paths = stem.with_name(f"{stem.name}-colour.png"), stem.with_name(f"{stem.name}-grey.png")
    engine.save_png(paths[0], colorize(values, top))
    engine.save_png(paths[1], grey(values, top))
    run.overlay = Overlay(paths[0], "Diversity", 0.0, top, COLORS, "8-bit σ", paths[1])


def start_scene(engine: Engine, picture: OpenedPicture, settings: Settings) -> Scene:
    """What the viewer shows of a picture that no sample was drawn of: everything is in its place already."""
    run = Run(folder=picture.folder, picture=picture, settings=settings, references=write_inputs(engine, picture))
    return build_scene(run, waiting=True, note=START_NOTE)


def build_scene(run: Run, waiting: bool, note: str = "") -> Scene:
    """What the viewer shows of a run; `waiting`: places are kept for what is still to come."""
    scale = run.picture.scale_factor
    pictures = list(_sample_pictures(run, waiting))
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
        placeholder="input",
        suggested_place=run.place,
        note=note,
    )


def _sample_pictures(run: Run, waiting: bool) -> Iterator[Picture]:
    """The samples in their order; not those of which there is nothing, unless they are waited for."""
    done = {sample.recipe.index: sample for sample in run.samples}
    first = run.settings.first_index
    for index in range(first, first + run.settings.num_samples):
        if sample := done.get(index):
            yield Picture(sample.id, sample.label, sample.path, badge="flagged" if sample.flags else "")
        elif waiting or index in run.parts:
            yield Picture(f"s{index}", f"Sample {index + 1}", parts=tuple(run.parts.get(index, ())))


def picture_files(run: Run) -> dict[str, Path]:
    """All pictures of a run that can be downloaded, by their ids in the viewer."""
    files = {sample.id: sample.path for sample in run.samples} | run.references
    if run.overlay is not None:
        files["map"] = Path(run.overlay.path)
    return files
