"""The values that describe what a visitor sees. All are frozen, so they can be shared between threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from app.bars import SetBars
from app.settings import Settings
from app.viewer import Blend, Detail, Found, Line, Overlay, Part, WayKind
from srflow.contract import Aim, ChallengeScores, Direction, SampleRecipe, TruthScores, Wish
from srflow.operations import Mask

__all__ = [
    "Chosen",
    "Explored",
    "Look",
    "Numbers",
    "OpenedPicture",
    "PastStep",
    "PictureRecord",
    "Region",
    "Run",
    "Slider",
    "Source",
    "Sweep",
    "View",
    "WishScale",
]


@dataclass(frozen=True)
class Region:
    """The crop: the part of the low-resolution (LR) picture that is enlarged, in LR pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True)
class Source:
    """A requested picture file, and how it is to be read.

    path: of the file; the session keeps its own copy of an upload.
    kind: "lr", or "hr": to be scaled down first.
    name: of the example, otherwise "".
    restored: whether it came out of a PNG of this page, with that PNG's settings.
    """

    path: Path
    kind: str = "lr"
    name: str = ""
    restored: bool = False


@dataclass(frozen=True, kw_only=True)
class OpenedPicture:
    """The visitor's picture, stored on disk as arrays: LR, and the ground truth if it was scaled down here.

    folder: of the arrays.
    files: folder of the crop's PNG files: input, truth (if there is one) and preview.
    width, height: of the whole LR picture.
    region: the crop that is enlarged.
    subject: id that changes whenever LR pixels, crop or scale change.
    has_alpha: whether there is an opacity channel.
    notes: how the file was converted.
    """

    folder: Path
    files: Path
    source: Source
    width: int
    height: int
    scale_factor: int
    has_truth: bool
    region: Region
    subject: str
    has_alpha: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the crop is the whole picture."""
        return (self.region.width, self.region.height) == (self.width, self.height)

    def whole_region(self) -> OpenedPicture:
        """Return the same picture without a crop."""
        return replace(self, region=Region(0, 0, self.width, self.height))

    def lr(self) -> np.ndarray:
        """Return the crop's LR pixels, uint8 (h, w, 3)."""
        return self._cut("lr.npy", 1)

    def alpha(self) -> np.ndarray | None:
        """Return the crop's opacity at the LR size, uint8 (h, w)."""
        return self._cut("alpha.npy", 1) if self.has_alpha else None

    def truth(self) -> np.ndarray | None:
        """Return the crop's ground truth, uint8 (s h, s w, 3)."""
        return self._cut("truth.npy", self.scale_factor) if self.has_truth else None

    def whole(self) -> np.ndarray:
        """Return the whole LR picture, uint8 (h, w, 3)."""
        return np.load(self.folder / "lr.npy")

    def folders(self) -> Iterator[Path]:
        """The folders that contain its files."""
        yield from (self.folder, self.files, self.source.path.parent)

    def _cut(self, name: str, scale: int) -> np.ndarray:
        array = np.load(self.folder / name, mmap_mode="r")
        rows = slice(self.region.top * scale, (self.region.top + self.region.height) * scale)
        columns = slice(self.region.left * scale, (self.region.left + self.region.width) * scale)
        return np.array(array[rows, columns])  # a copy in memory, not a memory map of the file


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Measurements of a sample; see `srflow.contract.SampleResult`."""

    lr_psnr: float
    bits_per_dimension: float | None
    clipped: float
    flags: tuple[str, ...] = ()
    truth: TruthScores | None = None


@dataclass(frozen=True, kw_only=True)
class PictureRecord:
    """A finished picture of a set, as the viewer, table, downloads and zip use it.

    id: unique in the set; a picture with the same role in the next set has the same id.
    kind: "sample": drawn, with its recipe and numbers; or "reference": something to compare samples with.
    key: letter that shows it in the viewer, or "".
    """

    id: str
    label: str
    kind: Literal["sample", "reference"]
    path: Path
    recipe: SampleRecipe | None = None
    numbers: Numbers | None = None
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A set of samples of one picture, drawn with one set of settings.

    folder: of its files; it may also contain files of earlier sets.
    pictures: finished ones, samples first.
    parts: finished rows of unfinished samples, by sample number.
    diversity, …: see `srflow.contract.SetSummary`.
    atlas: positions in -1 to 1, one per sample.
    overlays: the map of the standard deviation of luma and of RGB, by the keys of `MEASURES`.
    is_drawing: whether more is still to come.
    place: (x, y) in SR pixels, an interesting position; None: not known.
    bars: the calibrated bars; None: not known yet, or there is a single sample.
    """

    folder: Path
    picture: OpenedPicture
    settings: Settings
    pictures: tuple[PictureRecord, ...] = ()
    parts: dict[int, tuple[Part, ...]] = field(default_factory=dict)
    diversity: float | None = None
    split_half_change: float | None = None
    summary_indices: tuple[int, ...] = ()
    distances_to_mean: tuple[float, ...] | None = None
    nearest_to_mean: int | None = None
    medoid: int | None = None
    mean_pairwise_lpips: float | None = None
    pairwise: tuple[tuple[float, ...], ...] | None = None
    challenge: ChallengeScores | None = None
    atlas: tuple[tuple[float, float], ...] = ()
    overlays: dict[str, Overlay] = field(default_factory=dict)
    place: tuple[int, int] | None = None
    bars: SetBars | None = None
    is_drawing: bool = True
    notices: tuple[str, ...] = ()

    @property
    def samples(self) -> tuple[PictureRecord, ...]:
        """The finished samples, in the order in which they were drawn."""
        return tuple(picture for picture in self.pictures if picture.kind == "sample")

    @property
    def references(self) -> dict[str, Path]:
        """The references, by id."""
        return {picture.id: picture.path for picture in self.pictures if picture.kind == "reference"}

    def find(self, name: str) -> PictureRecord | None:
        """Return the picture of that id, if there is one."""
        return next((picture for picture in self.pictures if picture.id == name), None)

    def with_picture(self, picture: PictureRecord) -> Run:
        """Return the same set with one more picture; it replaces a picture with the same id."""
        others = [other for other in self.pictures if other.id != picture.id]
        end = sum(other.kind == "sample" for other in others) if picture.kind == "sample" else len(others)
        return replace(self, pictures=(*others[:end], picture, *others[end:]))

    def folders(self) -> Iterator[Path]:
        """The folders that contain its files."""
        yield self.folder
        yield from self.picture.folders()
        for picture in self.pictures:
            yield picture.path.parent


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The same latents at several temperatures.

    width, height: in SR pixels.
    paths: of the first sample at each temperature.
    points: numbers, averaged over samples.
    is_drawing: whether more is still to come.
    """

    folder: Path
    width: int
    height: int
    subject: str
    paths: dict[float, Path] = field(default_factory=dict)
    points: tuple[dict[str, float | None], ...] = ()
    is_drawing: bool = True


@dataclass(frozen=True, kw_only=True)
class WishScale:
    """The scale of a wish's slider. deviations: of the pictures along it from the mean of the rolls, in theirs."""

    wish: Wish
    aim: Aim
    deviations: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Slider:
    """A way in which a region can differ, shown as a slider.

    strip: pictures of the region along it.
    ends: what its ends show, in words.
    scale: only for a wish.
    remark: a remark for the visitor, or "".
    """

    direction: Direction
    strip: Path
    ends: tuple[str, str]
    scale: WishScale | None = None
    remark: str = ""


@dataclass(frozen=True, kw_only=True)
class Explored:
    """The picture that a visitor explores, and its variants while they are shown.

    state: the picture, a sample or a changed one.
    ways: finished variants.
    count: how many there will be; 0: none are shown.
    kind: the kind of variants, see `app.viewer.Asked`.
    mask: the region; None: the whole picture.
    seed: of the variants' noise.
    dial: how different neighbours are, in percent.
    detail: the latents in which they differ.
    blend: the variant that lies between two pictures, if any.
    found: a region that was requested for painting.
    sliders: of the region, once they are found; () if there are none.
    angles: position of each slider, in degrees.
    levels: depth of each variant in a tree, from 0 on.
    """

    state: PictureRecord
    ways: tuple[PictureRecord, ...] = ()
    count: int = 0
    kind: WayKind = "roll"
    mask: Mask | None = None
    seed: int = 0
    dial: int = 0
    detail: Detail = "all"
    blend: Blend | None = None
    found: Found | None = None
    sliders: tuple[Slider, ...] | None = None
    angles: tuple[int, ...] = ()
    levels: tuple[int, ...] = ()

    @property
    def has_changes(self) -> bool:
        """Whether the state differs from the samples of the set."""
        return self.state.recipe is not None and bool(self.state.recipe.operations)

    def find(self, name: str) -> PictureRecord | None:
        """Return the state or the variant of that id, if there is one."""
        return next((picture for picture in (self.state, *self.ways) if picture.id == name), None)

    def closed(self) -> Explored | None:
        """Return it without the variants; None: nothing has been changed."""
        return Explored(state=self.state) if self.has_changes else None

    def folders(self) -> Iterator[Path]:
        """The folders that contain its files."""
        for picture in (self.state, *self.ways):
            yield picture.path.parent
        for slider in self.sliders or ():
            yield slider.strip.parent


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What a visitor selected to measure: a region of the LR picture, and a line between two points in SR pixels.

    subject: id of the picture that they belong to.
    base: id of the sample whose region was selected.
    """

    subject: str
    place: Mask | None = None
    base: str = ""
    line: Line | None = None


@dataclass(frozen=True)
class View:
    """Everything that a visitor's page shows; the history consists of these.

    explored: the picture that is explored; None: none yet.
    settings: those with which the picture was opened, or last sampled.
    measure: the map that is shown.
    steps: the history that contains the view, for display; views inside the history have none.
    chosen: selected for measuring; None: nothing.
    revision: increases with each change of the session, so that the browser can detect outdated messages.
    """

    picture: OpenedPicture | None = None
    run: Run | None = None
    sweep: Sweep | None = None
    explored: Explored | None = None
    settings: Settings | None = None
    measure: str = "luma"
    steps: tuple[PastStep, ...] = field(default=(), compare=False, repr=False)
    chosen: Chosen | None = field(default=None, compare=False)
    revision: int = field(default=0, compare=False, repr=False)

    @property
    def is_walking(self) -> bool:
        """Whether variants are shown."""
        return self.explored is not None and self.explored.count > 0

    def settled(self) -> View:
        """Return the view as it is after all work has ended."""
        run = None if self.run is None else replace(self.run, is_drawing=False)
        sweep = None if self.sweep is None else replace(self.sweep, is_drawing=False)
        explored = self.explored and replace(self.explored, count=len(self.explored.ways))
        return replace(self, run=run, sweep=sweep, explored=explored)

    def closed(self) -> View:
        """Return the same view without variants."""
        return replace(self, explored=self.explored and self.explored.closed())

    def folders(self) -> set[Path]:
        """Folders that contain files of this view."""
        folders = set()
        if self.picture is not None:
            folders |= set(self.picture.folders())
        if self.run is not None:
            folders |= set(self.run.folders())
        if self.sweep is not None:
            folders.add(self.sweep.folder)
        if self.explored is not None:
            folders |= set(self.explored.folders())
        return folders


@dataclass(frozen=True, kw_only=True)
class Look:
    """The appearance of a history step in the strip.

    kind: what was new in the step.
    path: of the thumbnail.
    key: changes when the thumbnail changes.
    """

    kind: Literal["picture", "samples", "sweep", "explored"]
    path: Path
    key: tuple[object, ...]


@dataclass(frozen=True, kw_only=True)
class PastStep:
    """A step of the history at the time when it is shown.

    number: never reused.
    parent: number of the previous step.
    name: given by the visitor, or "".
    is_current: whether it is shown now.
    is_compared: whether the visitor compares others with it.
    """

    number: int
    parent: int | None
    view: View
    look: Look | None
    name: str = ""
    is_pinned: bool = False
    is_current: bool = False
    is_compared: bool = False
