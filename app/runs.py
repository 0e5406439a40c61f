"""Drawing a set of samples: the engine's events become files, numbers, and a growing `Run`."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from app.bars import check_set, find_bars
from app.overlays import bar_overlay
from app.records import Numbers, OpenedPicture, PictureRecord, Run
from app.session import Job, Session
from app.settings import Settings
from app.tasks import Part, Update
from app.viewer import Overlay
from app.viewer import Part as Rows
from app.views import atlas_positions
from app.wording import MEASURES, REFERENCES, count, describe_tiles, format_seconds
from srflow.contract import (
    FLAGS_KEY,
    INPUT_KEY,
    LR_KEY,
    MAX_LR_TEXT,
    RECIPE_KEY,
    Engine,
    Estimate,
    InputError,
    MemoryBudgetError,
    Notice,
    PartialSample,
    Progress,
    SampleRecipe,
    SampleRequest,
    SampleResult,
    SetSummary,
    Value,
)
from srflow.luma import LUMA

__all__ = ["draw", "load_map", "make_request", "sample_pixels", "sample_text"]

_MAP_INTERVAL = 1.0  # seconds between updates of the map while samples come in
_ROWS_INTERVAL = 1.0  # seconds between updates of the rows of samples that are made in tiles
_FEATURE_SIDE = 48
_PLACE_SIDE = 16  # SR pixels: side of an interesting area, about the size of a close-up


def make_request(picture: OpenedPicture, settings: Settings) -> SampleRequest:
    """Return the request for the engine."""
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
    engine: Engine,
    session: Session,
    job: Job,
    picture: OpenedPicture,
    settings: Settings,
    former: Run | None = None,
    references: bool = True,
) -> Iterator[Update]:
    """Draw the samples of a picture, then (if requested) the references to compare them with.

    Samples of `former` that the settings include are reused, and only missing ones are drawn.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    if former is not None and former.picture != picture:
        former = None
    writer = _Writer(engine, session, job, picture, settings, former)
    yield Update(
        text="Starting",
        fraction=0.0,
        changed=frozenset({Part.ROWS}),
        draft=replace(session.view, picture=picture, run=writer.run, settings=settings),
    )
    if not writer.missing:
        writer.run = replace(writer.run, is_drawing=False)
        seed = f"seed {settings.seed}"
        text = f"All {count(settings.num_samples)} of {seed} are here already. Take a new seed for different ones."
        yield writer.update(text, Part.END, fraction=None, kind="done", spoken=True)
        return
    for event in engine.sample(writer.request(), job.cancel):
        job.check()
        yield from writer.take(event)
    if references and writer.run.find("zero_temperature") is None:
        yield writer.update("Making pictures to compare with")
        try:
            for reference in engine.references(make_request(picture, settings), job.cancel):
                job.check()
                writer.add_reference(reference.kind, reference.picture)
                yield writer.update("Making pictures to compare with", Part.REFERENCES)
        except MemoryBudgetError as error:  # the samples exist nevertheless
            writer.add_notice(str(error))
    writer.run = replace(writer.run, is_drawing=False)
    seconds = format_seconds(time.monotonic() - writer.started)
    if writer.earlier:
        more = "1 more sample" if len(writer.missing) == 1 else f"{len(writer.missing)} more samples"
        drawn = f"{more} of seed {settings.seed} in {seconds}: {len(writer.run.samples)} now."
    else:
        drawn = f"{count(len(writer.run.samples))} in {seconds}."
    text = " ".join([drawn, *dict.fromkeys(writer.run.notices)])
    yield writer.update(text, Part.END, fraction=None, kind="done", spoken=True)


class _Writer:
    """Writes the events of one drawing to disk and into its `Run`.

    Attributes:
        run: the set so far.
        earlier: reused samples.
        missing: numbers of the samples to draw.
    """

    def __init__(
        self,
        engine: Engine,
        session: Session,
        job: Job,
        picture: OpenedPicture,
        settings: Settings,
        former: Run | None,
    ) -> None:
        self.engine, self.picture, self.settings = engine, picture, settings
        self.session, self.job = session, job
        self.started = time.monotonic()
        self.fraction = 0.0
        self.text = "Starting"
        self.pending: list[PartialSample] = []
        self.num_rows_files = 0
        self.last_rows = float("-inf")
        self.features: dict[int, np.ndarray] = {}
        self.next_map = 0.0
        self.num_maps = 0
        self.text_of = sample_text(picture)
        wanted = range(settings.first_index, settings.first_index + settings.num_samples)
        self.earlier = _earlier(former, settings, wanted)
        self.missing = [index for index in wanted if index not in self.earlier]
        self.run: Run = Run(
            folder=session.new_folder(job, "run"),
            picture=picture,
            settings=settings,
            pictures=(*self.earlier.values(), *_kept_references(picture, former, settings)),
            place=None if former is None else former.place,
        )
        if former is not None and self.earlier:
            # The previous statistics of the set stay valid until new ones arrive.
            names = ("diversity", "split_half_change", "summary_indices", "overlays", "bars")
            self.run = replace(self.run, **{name: getattr(former, name) for name in names})
            if not self.missing:
                self.run = replace(former, is_drawing=False)

    def request(self) -> SampleRequest:
        """Return the request for the missing samples. Existing samples come before them, and enter the summary."""
        pictures = []
        if self.run.diversity is not None or len(self.earlier) == 1:
            for index, record in self.earlier.items():
                pixels = self.engine.read_picture(record.path).pixels
                self.features[index] = _small(pixels)
                pictures.append((index, pixels))
        return replace(
            make_request(self.picture, self.settings),
            num_samples=len(self.missing),
            first_index=self.missing[0],
            earlier=tuple(pictures),
        )

    def update(self, text: str, *parts: Part, fraction: float | None = -1.0, **options: object) -> Update:
        """Return the run so far; it is committed only when it has something to show."""
        changed = frozenset(parts)
        changes: Mapping[str, object] = {}
        if changed:
            changes = {"picture": self.picture, "run": self.run, "settings": self.settings}
        fraction = self.fraction if fraction == -1.0 else fraction
        return Update(text=text, fraction=fraction, changed=changed, changes=changes, **options)  # type: ignore[arg-type]

    def save(
        self,
        name: str,
        picture: np.ndarray,
        text: Mapping[str, str] | None = None,
        alpha: np.ndarray | None = None,
    ) -> Path:
        """Write a PNG to the run's folder."""
        self.engine.save_png(self.run.folder / name, picture, text, alpha=alpha)
        return self.run.folder / name

    def add_reference(self, kind: str, picture: np.ndarray) -> None:
        """Write a reference to its own folder, because later sets may use it after this set's files are deleted."""
        folder = self.session.new_folder(self.job, "reference")
        self.engine.save_png(folder / f"{kind}.png", picture)
        self.run = self.run.with_picture(_reference(kind, folder / f"{kind}.png"))

    def add_notice(self, text: str) -> None:
        """Store a notice of the engine to show at the end."""
        self.run = replace(self.run, notices=(*self.run.notices, text))

    def take(self, event: object) -> Iterator[Update]:
        """Process one event."""
        if isinstance(event, Estimate):
            times = [f"About {format_seconds(event.seconds)}" if event.seconds > 0 else "Starting"]
            text = ", ".join(times + describe_tiles(event))
            yield replace(self.update(text), spoken=True)
        elif isinstance(event, Progress):
            self.fraction, self.text = event.fraction, event.text
            yield self.update(event.text)
        elif isinstance(event, Notice):
            self.add_notice(event.text)
            yield self.update(event.text)
        elif isinstance(event, PartialSample):
            if event.top == 0:  # perhaps for the second time, in smaller tiles
                self.forget_rows(event.index)
            self.pending.append(event)
            if self.are_rows_due():
                self.write_rows()
                yield self.update(self.text, Part.ROWS)
        elif isinstance(event, SampleResult):
            self.take_sample(event)
            text = f"Sample {len(self.run.samples)} of {self.settings.num_samples}"
            yield self.update(text, Part.SAMPLES, spoken=True)
        elif isinstance(event, SetSummary):
            yield from self.take_summary(event)

    def are_rows_due(self) -> bool:
        """Return whether enough time has passed to show new rows."""
        return time.monotonic() - self.last_rows >= _ROWS_INTERVAL

    def write_rows(self) -> None:
        """Write the rows that have arrived since the last time, to as few files as possible."""
        rows = dict(self.run.parts)
        for first, pixels in _join_rows(self.pending):
            self.num_rows_files += 1
            path = self.save(f"rows-{self.num_rows_files}.png", pixels)
            rows[first.index] = (*rows.get(first.index, ()), Rows(first.top, len(pixels), path))
        self.run = replace(self.run, parts=rows)
        self.pending.clear()
        self.last_rows = time.monotonic()

    def forget_rows(self, index: int) -> None:
        """Drop the rows of a sample that is finished or restarted; the files are deleted with the run."""
        self.pending = [rows for rows in self.pending if rows.index != index]
        self.run = replace(self.run, parts={i: rows for i, rows in self.run.parts.items() if i != index})

    def take_sample(self, event: SampleResult) -> None:
        """Write a sample's PNG, with its recipe inside."""
        with sample_pixels(event) as pixels:
            text = self.text_of(event.recipe, event.flags)
            path = self.save(f"sample-{event.index + 1:02d}.png", pixels, text, self.picture.alpha())
            self.features[event.index] = _small(pixels)
        self.forget_rows(event.index)
        self.run = self.run.with_picture(
            PictureRecord(
                id=f"s{event.index}",
                label=f"Sample {event.index + 1}",
                kind="sample",
                path=path,
                recipe=event.recipe,
                numbers=Numbers(
                    lr_psnr=event.lr_psnr,
                    bits_per_dimension=event.bits_per_dimension,
                    clipped=event.clipped,
                    flags=event.flags,
                    truth=event.truth,
                ),
            )
        )

    def take_summary(self, event: SetSummary) -> Iterator[Update]:
        """Store the numbers of every summary; write the map's files only at intervals, and at the end."""
        self.run = replace(
            self.run,
            diversity=event.diversity,
            split_half_change=event.split_half_change,
            summary_indices=event.indices,
        )
        if event.final:
            pairs = event.pairwise_lpips
            features = [self.features[index] for index in event.indices]
            # Choose the position once per picture: close-ups that move after each temperature change cannot be
            # compared.
            place = self.run.place or (_most_diverse(event.std_luma) if len(event.indices) > 1 else None)
            self.run = replace(
                self.run,
                distances_to_mean=event.distances_to_mean,
                nearest_to_mean=event.nearest_to_mean,
                medoid=event.medoid,
                mean_pairwise_lpips=event.mean_pairwise_lpips,
                challenge=event.challenge,
                pairwise=None if pairs is None else tuple(tuple(map(float, row)) for row in pairs),
                atlas=tuple(atlas_positions(features, pairs)) if len(features) > 1 else (),
                place=place,
            )
        elif len(event.indices) < 2 or time.monotonic() < self.next_map:
            return
        started = time.monotonic()
        self.write_maps(event)
        # For a large picture writing takes long: spend at most a fifth of the time on it.
        self.next_map = time.monotonic() + max(_MAP_INTERVAL, 4 * (time.monotonic() - started))
        yield self.update(f"Sample {len(self.run.samples)} of {self.settings.num_samples}", Part.MAP)

    def write_maps(self, event: SetSummary) -> None:
        """Write the mean, the standard deviations as numbers, and as pictures for the viewer."""
        self.num_maps += 1
        self.run = self.run.with_picture(_reference("mean", self.save(f"mean-{self.num_maps}.png", event.mean)))
        # A reader finds the old numbers or the new ones, never a partial file.
        unfinished = self.run.folder / "unfinished.npz"
        rgb = np.sqrt(np.square(event.std_rgb).mean(-1))
        np.savez(unfinished, luma=event.std_luma.astype(np.float32), rgb=rgb.astype(np.float32))
        unfinished.replace(_map_file(self.run))
        if len(event.indices) < 2:
            return
        bars = find_bars(self.engine, self.picture, self.settings, len(event.indices))
        if event.final:
            bars = check_set(self.engine, self.picture, [sample.path for sample in self.run.samples], bars)
        # The name is new each time, because the viewer and HTTP caches identify files by their address.
        stem = f"map-{self.num_maps}"
        maps: tuple[tuple[Value, np.ndarray], ...] = (("luma", event.std_luma), ("rgb", event.std_rgb))
        overlays: dict[str, Overlay] = {
            measure: bar_overlay(self.save, f"{stem}-{measure}", measure, std, bars) for measure, std in maps
        }
        self.run = replace(self.run, overlays=overlays, bars=bars)


def _earlier(former: Run | None, settings: Settings, wanted: range) -> dict[int, PictureRecord]:
    """Return the reusable samples of `former`, by number: an unbroken series at the start of the wanted ones."""
    if former is None or not former.settings.draws_same(settings):
        return {}
    found = {sample.recipe.index: sample for sample in former.samples if sample.recipe is not None}
    earlier = {}
    for index in wanted:
        if index not in found:
            break
        earlier[index] = found[index]
    is_complete = len(earlier) == len(wanted)
    if is_complete and settings.pairwise and former.pairwise is None:
        return {}  # pairwise distances are requested, which the engine computes only for samples that it draws
    if is_complete and len(found) != len(wanted):
        return {}  # a smaller set has other statistics
    return earlier


def _kept_references(picture: OpenedPicture, former: Run | None, settings: Settings) -> Iterator[PictureRecord]:
    """Return input and truth, and the references if nothing that they depend on has changed."""
    yield _reference("input", picture.files / "input.png")
    if former is not None:
        names = ("model", "consistency_rounds", "precision", "tile")
        if all(getattr(former.settings, name) == getattr(settings, name) for name in names):
            yield from (r for r in former.pictures if r.id in ("bicubic", "encoder", "zero_temperature"))
    if picture.has_truth:
        yield _reference("truth", picture.files / "truth.png")


def _reference(kind: str, path: Path) -> PictureRecord:
    label, key = REFERENCES[kind]
    return PictureRecord(id=kind, label=label, kind="reference", path=path, key=key)


def _map_file(run: Run) -> Path:
    return run.folder / "std.npz"


def load_map(run: Run, measure: str) -> np.ndarray:
    """Load the standard deviation over the samples, float32 (H, W), in 8-bit units.

    measure: "luma", or "rgb" for the root mean square of the channels.
    Raises: InputError: there is none.
    """
    try:
        with np.load(_map_file(run)) as arrays:
            return arrays[measure]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"The {MEASURES[measure]} map of this set is missing. Draw the samples again.") from error


@contextmanager
def sample_pixels(sample: SampleResult) -> Iterator[np.ndarray]:
    """Return a sample's pixels from memory or from its temporary file, which is deleted afterwards."""
    if sample.picture is not None:
        yield sample.picture
        return
    assert sample.path is not None
    try:
        yield np.load(sample.path, mmap_mode="r")
    finally:
        Path(sample.path).unlink(missing_ok=True)


def sample_text(picture: OpenedPicture) -> Callable[[SampleRecipe, Sequence[str]], dict[str, str]]:
    """Return a function that makes the text of a sample's PNG from its recipe and flags.

    The text also says how the input file was converted, and contains the LR picture unless that is too large to be read
    again.
    """
    lr_text = base64.b64encode((picture.files / "input.png").read_bytes()).decode()
    more = {LR_KEY: lr_text} if len(lr_text) <= MAX_LR_TEXT else {}
    if picture.notes:
        more[INPUT_KEY] = ", ".join(picture.notes)

    def text_of(recipe: SampleRecipe, flags: Sequence[str]) -> dict[str, str]:
        flag_text = {FLAGS_KEY: ", ".join(flags)} if flags else {}
        return {RECIPE_KEY: recipe.to_json()} | flag_text | more

    return text_of


def _join_rows(parts: Sequence[PartialSample]) -> Iterator[tuple[PartialSample, np.ndarray]]:
    """Join successive rows of the same sample into one array; return it with the first part."""
    joined: list[PartialSample] = []
    for part in sorted(parts, key=lambda part: (part.index, part.top)):
        if joined and (part.index, part.top) != (joined[-1].index, joined[-1].top + len(joined[-1].rows)):
            yield joined[0], np.concatenate([one.rows for one in joined])
            joined = []
        joined.append(part)
    if joined:
        yield joined[0], np.concatenate([one.rows for one in joined])


def _most_diverse(std: np.ndarray) -> tuple[int, int]:
    """Return the centre (x, y) of the block where the samples differ most."""
    side = min(_PLACE_SIDE, *std.shape)
    rows, columns = std.shape[0] // side, std.shape[1] // side
    blocks = std[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3))
    row, column = divmod(int(blocks.argmax()), columns)
    return column * side + side // 2, row * side + side // 2


def _small(picture: np.ndarray) -> np.ndarray:
    """Return block means of the luma, at most 48 a side: enough to distinguish samples in the similarity map."""
    thin = max(1, max(picture.shape) // (8 * _FEATURE_SIDE))  # a fraction is enough, and the file may have gigabytes
    luma = picture[::thin, ::thin] @ LUMA.astype(np.float32)
    step = max(1, max(luma.shape) // _FEATURE_SIDE)
    rows, columns = luma.shape[0] // step, luma.shape[1] // step
    return luma[: rows * step, : columns * step].reshape(rows, step, columns, step).mean((1, 3))
