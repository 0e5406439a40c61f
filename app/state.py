"""What the page remembers of a visitor: a folder of files, the picture, the recipes of the last run. No big arrays."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from app.settings import Settings
from app.viewer import Overlay, Part
from srflow.contract import ChallengeScores, InputError, Recipe, TruthScores

__all__ = ["Job", "OpenedPicture", "Region", "Run", "SampleRecord", "Visitor", "Visitors"]

MAX_VISITORS = 200
"""More are not kept: the one that has been away longest loses its files."""


@dataclass(frozen=True)
class Region:
    """A part of the LR picture, in its pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class OpenedPicture:
    """The visitor's picture, on disk as arrays: LR, and the ground truth if it was scaled down here.

    width, height: of the whole LR picture. region: what is sampled. subject: changes whenever LR pixels, region or
    scale do. name: of the example, else "".
    """

    folder: Path
    width: int
    height: int
    scale_factor: int
    has_truth: bool
    region: Region
    subject: str
    name: str = ""

    def whole_region(self) -> OpenedPicture:
        """The same picture, all of it."""
        return replace(self, region=Region(0, 0, self.width, self.height))

    def lr(self) -> np.ndarray:
        """The region's LR pixels, uint8 (h, w, 3)."""
        return self._cut("lr.npy", 1)

    def truth(self) -> np.ndarray | None:
        """The region's ground truth, uint8 (s h, s w, 3)."""
        return self._cut("truth.npy", self.scale_factor) if self.has_truth else None

    def whole(self) -> np.ndarray:
        """The whole LR picture, uint8."""
        return np.load(self.folder / "lr.npy")

    def _cut(self, name: str, scale: int) -> np.ndarray:
        array = np.load(self.folder / name, mmap_mode="r")
        rows = slice(self.region.top * scale, (self.region.top + self.region.height) * scale)
        columns = slice(self.region.left * scale, (self.region.left + self.region.width) * scale)
        return np.array(array[rows, columns])  # a copy in memory, not a window to the file


@dataclass(frozen=True, kw_only=True)
class SampleRecord:
    """A finished sample: its file and its numbers."""

    recipe: Recipe
    path: Path
    lr_psnr: float
    bits_per_dimension: float
    clipped: float
    flags: tuple[str, ...]
    truth: TruthScores | None

    @property
    def id(self) -> str:
        """By which the viewer knows it."""
        return f"s{self.recipe.index}"

    @property
    def label(self) -> str:
        """For people, counted from 1."""
        return f"Sample {self.recipe.index + 1}"


@dataclass(kw_only=True)
class Run:
    """Samples of one picture with one set of settings, growing while they are drawn.

    parts: finished rows of samples that are not finished, by their numbers.
    place: (x, y) in SR pixels, where it is worth looking; None: not known.
    measure: which standard deviation the map shows, "luma" or "rgb"; it may be changed while samples come in.
    """

    folder: Path
    picture: OpenedPicture
    settings: Settings
    measure: str = "luma"
    samples: list[SampleRecord] = field(default_factory=list)
    parts: dict[int, list[Part]] = field(default_factory=dict)
    references: dict[str, Path] = field(default_factory=dict)
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
    overlay: Overlay | None = None
    place: tuple[int, int] | None = None
    finished: bool = False
    notices: list[str] = field(default_factory=list)


@dataclass
class Job:
    """Work under way for one visitor; a newer one cancels it."""

    number: int
    cancel: threading.Event = field(default_factory=threading.Event)


class Visitor:
    """One open page. Handlers of the same page run in several threads at once, so jobs are counted under a lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.picture: OpenedPicture | None = None
        self.run: Run | None = None
        self._job = Job(0)
        self._preparation = threading.Event()
        self._lock = threading.Lock()
        self._num_folders = 0

    def begin(self) -> Job:
        """Cancel what is under way and make a new job the current one: the latest wish wins."""
        with self._lock:
            self._job.cancel.set()
            self._job = Job(self._job.number + 1)
            return self._job

    def stop(self) -> None:
        """Cancel what is under way."""
        self._job.cancel.set()

    def begin_preparation(self) -> threading.Event:
        """Cancel the preparation under way, and return the event that will cancel the new one."""
        with self._lock:
            self._preparation.set()
            self._preparation = threading.Event()
            return self._preparation

    def is_current(self, job: Job) -> bool:
        """Whether nothing newer has begun."""
        return self._job is job

    def new_folder(self, name: str) -> Path:
        """An empty folder for this visitor's files."""
        with self._lock:
            self._num_folders += 1
            folder = self.folder / f"{name}-{self._num_folders}"
        folder.mkdir(parents=True)
        return folder

    def replace_run(self, run: Run) -> None:
        """Make this the run that is shown. The former one's files stay for now: a browser may be loading them."""
        former, self.run = self.run, run
        kept = [run] if former is None else [run, former]
        used = {path.parent for kept_run in kept for path in kept_run.references.values()}
        self.keep_only("run", used | {kept_run.folder for kept_run in kept})
        self.keep_only("picture", {run.picture.folder} | ({self.picture.folder} if self.picture else set()))

    def replace_picture(self, picture: OpenedPicture) -> None:
        """Make this the picture. Files of others go with the next run."""
        self.picture = picture
        used = {picture.folder} | ({self.run.picture.folder} if self.run else set())
        self.keep_only("picture", used)

    def close(self) -> None:
        """Stop all work and remove all files."""
        self.stop()
        self._preparation.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep_only(self, name: str, used: set[Path]) -> None:
        """Remove the folders of that name (see `new_folder`) that are not in `used`."""
        for folder in self.folder.glob(f"{name}-*"):
            if folder not in used:
                shutil.rmtree(folder, ignore_errors=True)


class Visitors:
    """Makes visitors, each with a folder that nobody can guess; all files go when the program ends.

    parent: where the folders are made. Inside Gradio's cache, files are served as they are; from anywhere else, each
    would be hashed and copied there again at every update.
    """

    def __init__(self, parent: str | Path) -> None:
        Path(parent).mkdir(parents=True, exist_ok=True)
        self._root = tempfile.TemporaryDirectory(prefix="srflow-", dir=parent)
        self._visitors: OrderedDict[str, Visitor] = OrderedDict()
        self._lock = threading.Lock()

    def open(self) -> Visitor:
        """A new visitor."""
        visitor = self.open_outside()
        folder = visitor.folder
        with self._lock:
            self._visitors[folder.name] = visitor
            old = [self._visitors.popitem(last=False)[1] for _ in range(len(self._visitors) - MAX_VISITORS)]
        for gone in old:
            gone.close()
        return visitor

    def open_outside(self) -> Visitor:
        """A visitor that is not counted, for whoever closes it."""
        folder = Path(self._root.name) / secrets.token_hex(16)
        folder.mkdir(parents=True)
        return Visitor(folder)

    def touch(self, visitor: Visitor | None) -> Visitor:
        """Check what a session holds, and note that it is in use. Raises: InputError: if the visitor was forgotten."""
        with self._lock:
            if visitor is None or visitor.folder.name not in self._visitors:
                raise InputError("This page has been away too long and its files are gone. Please reload it.")
            self._visitors.move_to_end(visitor.folder.name)
        return visitor

    def forget(self, visitor: Visitor | None) -> None:
        """Close a visitor whose session ended."""
        if visitor is None:
            return
        with self._lock:
            self._visitors.pop(visitor.folder.name, None)
        visitor.close()

    def __len__(self) -> int:
        return len(self._visitors)
