"""Pictures, decoded once into a memory-mapped store, and patches drawn from it.

A batch is a function of (seed, phase, step) and every patch of it of its index too, so a resumed run sees the same
patches, and so do several processes that share a batch between them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from queue import Empty, Full, Queue

import numpy as np
import torch
from torch import Tensor

from srflow.contract import DatasetError, InputError
from srflow.files import atomic_write
from srflow.images import downscale_uint8, list_images, load_image

__all__ = [
    "MAX_SHIFT",
    "Batch",
    "Draws",
    "PatchSampler",
    "PictureStore",
    "Prefetcher",
    "Sources",
    "centre_crops",
    "default_cache_folder",
]

_FORMAT = 1  # raised when the files' layout changes, so that old caches are not read
_MULTIPLE = 8  # pictures are cropped to this (top-left, as in the NTIRE protocol): LR sizes are whole at x4 and x8
MAX_SHIFT = 3  # pixels; feature networks have strides of 2 and 4 first
_BATCH_STREAM = 2**32 - 1  # in place of a patch's index: what a whole batch has in common
_NUM_NAMED = 8  # pictures that one message names
_MARGIN_LR = 4  # LR pixels round a patch; MATLAB's antialiased bicubic kernel reaches 2


def default_cache_folder() -> Path:
    """$SRFLOW_CACHE, or `srflow` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SRFLOW_CACHE") or Path(base) / "srflow")


@dataclass(frozen=True)
class Sources:
    """Which files a store was made of.

    folder: the last part of their folder's path. count: how many files. sha256: of the list of their own SHA-256 sums
    and their paths below the folder, as `sha256sum` prints them, sorted by path; "-" stands for the sum of a file that
    cannot be read.
    """

    folder: str
    count: int
    sha256: str


class PictureStore:
    """Pictures of a folder as uint8 RGB in one memory-mapped file.

    The store's name is made of the pictures' paths, sizes and times and of the reductions, so that a changed folder
    gets a new one. It takes 3 bytes a pixel on disk, reduced ones included (DF2K: about 30 GB, with halves and thirds
    41), and no memory beyond what the operating system caches. `reductions` says by which factor each picture was
    reduced, (N,); `sources` which files they are, None for a store that was not opened by `open`.

    Args: folder: a finished store, see `open`.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.key: str = folder.name
        self.sources: Sources | None = None
        self.names: list[str] = [entry["name"] for entry in index["pictures"]]
        self.skipped: dict[str, str] = index["skipped"]
        self.sizes = np.array([entry["size"] for entry in index["pictures"]], dtype=np.int64).reshape(-1, 2)
        self.reductions = np.array([entry.get("reduction", 1) for entry in index["pictures"]], dtype=np.int64)
        areas = 3 * self.sizes.prod(1)
        self._offsets = np.concatenate([[0], np.cumsum(areas)])
        self._pixels = np.memmap(folder / "pixels.bin", dtype=np.uint8, mode="r", shape=(int(self._offsets[-1]),))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        """Picture `index`, uint8 (H, W, 3), read-only; H and W are multiples of 8."""
        height, width = self.sizes[index]
        start = int(self._offsets[index])
        return self._pixels[start : start + int(height * width) * 3].reshape(int(height), int(width), 3)

    @classmethod
    def open(
        cls,
        pictures: Path,
        cache: Path | None = None,
        report: Callable[[str], None] = lambda _message: None,
        reductions: Sequence[int] = (1,),
    ) -> PictureStore:
        """The store of the folder `pictures` and its subfolders, linked ones too, built first where there is none yet.

        Args:
            cache: where stores are kept; default: `default_cache_folder()`.
            report: is called with one line of text for what a person should know: how many pictures were found, the
                build, each skipped file.
            reductions: every picture is stored once for each of these factors, scaled down by it (MATLAB's bicubic).

        Raises: DatasetError: no such folder, no readable picture in it, or no room for the store.
        """
        paths = _pictures_below(pictures)
        num_folders = len({path.parent for path in paths})
        report(
            f"Found {len(paths)} pictures in {num_folders} {'folder' if num_folders == 1 else 'folders'} of {pictures}."
        )
        folder = (cache or default_cache_folder()) / f"pictures-{_listing_key(pictures, paths, reductions)}"
        store = cls._existing(folder)
        if store is None:
            report(f"Decoding {len(paths)} pictures of {pictures} into {folder} (once).")
            _build_store(pictures, paths, folder, reductions)
            store = cls(folder)
        store.sources = _sources(pictures, paths, folder)
        for name, reason in store.skipped.items():
            report(f"Skipped {name}: {reason}")
        if not len(store):
            raise DatasetError(
                f"None of the {len(paths)} files in {pictures} can be used: {next(iter(store.skipped.values()))}"
            )
        return store

    @classmethod
    def _existing(cls, folder: Path) -> PictureStore | None:
        """The store in `folder`; None, and the folder removed, if it is damaged; None if there is none."""
        if not folder.exists():
            return None
        try:
            return cls(folder)
        except (OSError, ValueError, KeyError):
            shutil.rmtree(folder, ignore_errors=True)
            return None


def _pictures_below(folder: Path) -> list[Path]:
    """The pictures in `folder` and its subfolders, links to folders included; each folder once, by its real path."""
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}; give a folder with pictures.")
    paths: list[Path] = []
    seen: set[Path] = set()

    def walk(current: Path) -> None:
        real = current.resolve()
        if real in seen:  # a link that leads back, or a second one to the same folder
            return
        seen.add(real)
        with suppress(DatasetError, InputError):  # a folder without pictures
            paths.extend(list_images(current))
        for below in sorted(current.iterdir()):
            if below.is_dir():
                walk(below)

    try:
        walk(folder)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be searched for pictures: {error}.") from error
    if not paths:
        raise DatasetError(f"There are no pictures in {folder} or its subfolders.")
    return paths


def _listing_key(folder: Path, paths: list[Path], reductions: Sequence[int]) -> str:
    # Not named where there are none, so that stores from before there were any are still found.
    of_reductions = "" if tuple(reductions) == (1,) else f" {list(reductions)}"
    digest = hashlib.sha256(f"{_FORMAT}{of_reductions} {folder.resolve()}".encode())
    for path in paths:
        status = path.stat()
        digest.update(f"\n{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:20]


def _sources(root: Path, paths: list[Path], folder: Path) -> Sources:
    """What the store in `folder` was made of. Files are hashed once: a changed file would have a new store."""
    file = folder / "sources.json"
    with suppress(OSError, ValueError, TypeError):
        return Sources(root.resolve().name, **json.loads(file.read_text(encoding="utf-8")))
    sums = {path.relative_to(root).as_posix(): _sha256(path) for path in paths}
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    values = {"count": len(paths), "sha256": hashlib.sha256(listing.encode()).hexdigest()}
    with suppress(OSError), atomic_write(file, "w") as stream:  # a cache that cannot be written is hashed again
        stream.write(json.dumps(values))
    return Sources(root.resolve().name, **values)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "-"


def _decode(path: Path, reductions: Sequence[int]) -> list[tuple[int, np.ndarray | str]]:
    """(factor, picture downscaled by it and cropped to multiples of 8, or the reason why it is skipped) per factor."""
    try:
        picture = load_image(path)
    except (InputError, OSError) as error:
        return [(1, str(error))]
    return [(reduction, _reduced(picture, reduction)) for reduction in reductions]


def _reduced(picture: np.ndarray, reduction: int) -> np.ndarray | str:
    multiple = _MULTIPLE * reduction
    height, width = (side - side % multiple for side in picture.shape[:2])
    if height == 0 or width == 0:
        return f"it has {picture.shape[1]}x{picture.shape[0]} pixels; at least {multiple}x{multiple} are needed."
    cropped = picture[:height, :width]
    return cropped if reduction == 1 else downscale_uint8(cropped, reduction)  # the identity would take long


def _build_store(root: Path, paths: list[Path], folder: Path, reductions: Sequence[int]) -> None:
    """Write the store under another name and rename it, so that a killed build leaves no half store behind."""
    workers = min(4, os.cpu_count() or 1)
    pictures, skipped = [], {}
    temporary: str | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)
        remaining = iter(paths)
        with (Path(temporary) / "pixels.bin").open("wb") as pixels, ThreadPoolExecutor(workers) as pool:
            # In small groups, so that no more than that many pictures are in memory.
            while group := list(islice(remaining, 2 * workers)):
                for path, versions in zip(group, pool.map(partial(_decode, reductions=reductions), group), strict=True):
                    for reduction, picture in versions:
                        name = f"{path.relative_to(root)}{'' if reduction == 1 else f' (1/{reduction})'}"
                        if isinstance(picture, str):
                            skipped[name] = picture
                            continue
                        pixels.write(np.ascontiguousarray(picture).data)
                        pictures.append({"name": name, "size": picture.shape[:2], "reduction": reduction})
            if not pictures:
                pixels.write(b"\0")  # an empty file cannot be mapped
            pixels.flush()
            os.fsync(pixels.fileno())
        index = {"format": _FORMAT, "pictures": pictures, "skipped": skipped}
        (Path(temporary) / "index.json").write_text(json.dumps(index), encoding="utf-8")
        try:
            Path(temporary).rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another run built the same store meanwhile
                raise
    except OSError as error:
        raise DatasetError(
            f"The picture store {folder} cannot be written: {error}. It needs 3 bytes a pixel; choose another place "
            "with --cache or SRFLOW_CACHE."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@dataclass(frozen=True)
class Draws:
    """What of a batch is random beyond crops and noise: how its samples are drawn and looked at.

    num_samples: samples for each patch.
    temperatures: one temperature for each batch is drawn between these two.
    latent_shapes: (C, H, W) of the model's latents for a patch.
    critic_noise: whether noise is drawn for discriminators.
    """

    num_samples: int
    temperatures: tuple[float, float]
    latent_shapes: tuple[tuple[int, int, int], ...]
    critic_noise: bool = False


@dataclass(frozen=True)
class Batch:
    """HR patches (B, 3, P, P) and LR patches (B, 3, P/s, P/s), float32 in [0, 1].

    noise: (B, 3, P, P), to be added to HR for the likelihood, in the unit of HR.
    latents: for samples of each patch, at the batch's temperature: per level (B, num_samples, C, H, W); empty where a
        stage draws none.
    critic_noise: (B, 1 + num_samples, 3, P, P), standard normal: for HR and for the samples; None where it is not used.
    shift: (2,), whole numbers from 0 to `MAX_SHIFT`: by how many pixels rows and columns are cropped before a feature
        network looks, so that its strides do not always meet the flow's blocks of pixels in the same way.
    numbers: where each patch comes from: (picture, top, left, orientation), (B, 4).
    """

    hr: Tensor
    noise: Tensor
    lr: Tensor
    latents: tuple[Tensor, ...]
    critic_noise: Tensor | None
    shift: Tensor
    numbers: np.ndarray

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format) -> Batch:
        """The same batch on another device, its pictures in another layout."""
        hr, noise, lr = (
            x.to(device, non_blocking=True, memory_format=memory_format) for x in (self.hr, self.noise, self.lr)
        )
        latents = tuple(latent.to(device, non_blocking=True) for latent in self.latents)
        critic_noise = None if self.critic_noise is None else self.critic_noise.to(device, non_blocking=True)
        return replace(self, hr=hr, noise=noise, lr=lr, latents=latents, critic_noise=critic_noise)


@dataclass(frozen=True, kw_only=True)
class PatchSampler:
    """Random patches, on multiples of the scale factor.

    Pictures are proposed in proportion to their area before they were reduced, so that every reduction that a patch
    fits into is proposed as often as the picture itself; of `candidates` proposals the one with most LR detail is used.

    LR is what the uint8 MATLAB bicubic makes of the whole (turned) picture, at the patch's place: it is computed from
    a crop with a margin, and mirrored pixels only where the picture itself ends.

    Args:
        patch_size: side of the HR patches, a multiple of `scale_factor`.
        flips, rotations: also mirrored, and turned by multiples of 90 degrees.
        candidates, noise, noise_scale: as in `srflow.training.recipe.DataRecipe`.
        draws: what is drawn for samples of the patches; None draws nothing.
        stream: tells the phases of a run apart, so that they do not draw the same patches.
    """

    store: PictureStore
    scale_factor: int
    patch_size: int
    batch_size: int
    seed: int
    stream: int = 0
    flips: bool = True
    rotations: bool = True
    candidates: int = 1
    noise: str = "none"
    noise_scale: float = 0.0
    draws: Draws | None = None

    def __post_init__(self) -> None:
        if not self.eligible().size:
            largest = self.store.sizes.min(1).max()
            raise DatasetError(
                f"No picture is as large as the patches, {self.patch_size}x{self.patch_size}; the largest has a "
                f"shorter side of {largest} (after data.reductions, and cropping to multiples of {_MULTIPLE}). Lower "
                "patch_size or give larger pictures."
            )

    def eligible(self) -> np.ndarray:
        """The indices of the pictures that a patch fits into."""
        return np.flatnonzero(self.store.sizes.min(1) >= self.patch_size)

    def too_small(self) -> list[str]:
        """The names of the pictures that no patch fits into, be they reduced as little as the store has them."""
        least_reduced = np.flatnonzero(self.store.reductions == self.store.reductions.min())
        return [self.store.names[index] for index in np.setdiff1d(least_reduced, self.eligible())]

    def left_out(self) -> str | None:
        """What of the store is never drawn because it is smaller than a patch, in words; None if all of it is drawn."""
        drawn, stored = len(self.eligible()), len(self.store)
        if drawn == stored:
            return None
        names = self.too_small()
        some = ", ".join(names[:_NUM_NAMED]) + (
            f" and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else ""
        )
        factors = np.unique(self.store.reductions).tolist()
        counted = f" (downscaling factors {', '.join(map(str, factors))} counted)" if len(factors) > 1 else ""
        return (
            f"{stored - drawn} of {stored} stored pictures{counted} are smaller than a patch of {self.patch_size}x"
            f"{self.patch_size} and are never drawn" + (f"; not used at all: {some}." if names else ".")
        )

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The share of process `rank` in the batch of step `step`; the whole batch if there is one process."""
        share = self.batch_size // world_size
        drawn = [self._draw(step, rank * share + index) for index in range(share)]
        crops = np.concatenate([crop for _, crop, _ in drawn], axis=1)
        # One call for the whole batch: the crops' margins keep neighbours in the strip from touching the patches.
        lr_strip = downscale_uint8(crops, self.scale_factor)
        size, margin = self.patch_size, _MARGIN_LR
        lr_size = size // self.scale_factor
        lr = np.stack(np.split(lr_strip, share, axis=1))[:, margin : margin + lr_size, margin : margin + lr_size]
        start = margin * self.scale_factor
        hr = np.stack(np.split(crops, share, axis=1))[:, start : start + size, start : start + size]
        hr_values = _to_float(hr)
        generators = [generator for _, _, generator in drawn]
        common = self._generator(step, _BATCH_STREAM)
        return Batch(
            hr=hr_values,
            noise=self._noise(hr_values.shape, generators),
            lr=_to_float(lr),
            latents=self._latents(generators, common),
            critic_noise=self._critic_noise(generators),
            shift=torch.from_numpy(common.integers(MAX_SHIFT + 1, size=2)),
            numbers=np.array([numbers for numbers, _, _ in drawn]),
        )

    def _draw(self, step: int, index: int) -> tuple[tuple[int, ...], np.ndarray, np.random.Generator]:
        """Where patch `index` of step `step` lies, its crop with margin, and the generator, to go on drawing."""
        generator = self._generator(step, index)
        drawn = [self._place(generator) for _ in range(self.candidates)]
        crops = [self._crop(self.store[picture], top, left) for picture, top, left in drawn]
        best = 0 if self.candidates == 1 else int(np.argmax([self._lr_detail(crop) for crop in crops]))
        mirrored = int(generator.integers(2)) if self.flips else 0
        turns = int(generator.integers(4)) if self.rotations else 0
        return (*drawn[best], 4 * mirrored + turns), orient(crops[best], 4 * mirrored + turns), generator

    def _generator(self, step: int, index: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, self.stream, step, index])))

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of the eligible pictures: their indices, (N,), numbers of positions, (N, 2), and areas, summed up, (N,)."""
        eligible = self.eligible()
        positions = (self.store.sizes[eligible] - self.patch_size) // self.scale_factor + 1
        # The area before the reduction: otherwise a reduction by 3 would be proposed nine times less often.
        return eligible, positions, np.cumsum(self.store.sizes[eligible].prod(1) * self.store.reductions[eligible] ** 2)

    def _place(self, generator: np.random.Generator) -> tuple[int, int, int]:
        """Which picture, and where in it: (index, top, left)."""
        eligible, positions, areas = self._places
        chosen = int(np.searchsorted(areas, generator.integers(areas[-1]), side="right"))
        top, left = (int(generator.integers(count)) * self.scale_factor for count in positions[chosen])
        return int(eligible[chosen]), top, left

    def _lr_detail(self, crop: np.ndarray) -> float:
        """How much the LR patch varies: mean absolute difference of neighbouring pixels."""
        inside = slice(_MARGIN_LR, -_MARGIN_LR)
        lr = downscale_uint8(crop, self.scale_factor)[inside, inside].astype(np.int16)
        return float(np.abs(np.diff(lr, axis=0)).mean() + np.abs(np.diff(lr, axis=1)).mean())

    def _crop(self, picture: np.ndarray, top: int, left: int) -> np.ndarray:
        margin = _MARGIN_LR * self.scale_factor
        height, width = picture.shape[:2]
        bottom, right = top + self.patch_size, left + self.patch_size
        inside = picture[max(top - margin, 0) : bottom + margin, max(left - margin, 0) : right + margin]
        outside = [
            (max(margin - top, 0), max(bottom + margin - height, 0)),
            (max(margin - left, 0), max(right + margin - width, 0)),
        ]
        return np.pad(inside, [*outside, (0, 0)], mode="symmetric") if np.any(outside) else inside

    def _noise(self, shape: tuple[int, ...], generators: Sequence[np.random.Generator]) -> Tensor:
        """The training noise of every patch, from the patch's own generator."""
        if self.noise == "none":
            return torch.zeros(shape)
        if self.noise == "gaussian":
            drawn = [generator.standard_normal(shape[1:], dtype=np.float32) for generator in generators]
        else:
            drawn = [generator.random(shape[1:], dtype=np.float32) - np.float32(0.5) for generator in generators]
        return torch.from_numpy(np.stack(drawn)).mul_(self.noise_scale / 255)

    def _latents(self, generators: Sequence[np.random.Generator], common: np.random.Generator) -> tuple[Tensor, ...]:
        if self.draws is None:
            return ()
        temperature = common.uniform(*self.draws.temperatures)
        sets = [
            [
                generator.standard_normal((self.draws.num_samples, *shape), dtype=np.float32)
                for shape in self.draws.latent_shapes
            ]
            for generator in generators
        ]
        return tuple(torch.from_numpy(np.stack(level)).mul_(temperature) for level in zip(*sets, strict=True))

    def _critic_noise(self, generators: Sequence[np.random.Generator]) -> Tensor | None:
        if self.draws is None or not self.draws.critic_noise:
            return None
        shape = (1 + self.draws.num_samples, 3, self.patch_size, self.patch_size)
        return torch.from_numpy(np.stack([g.standard_normal(shape, dtype=np.float32) for g in generators]))


def orient(picture: np.ndarray, orientation: int) -> np.ndarray:
    """One of the eight views of a picture (H, W, 3): turned `orientation % 4` times, from 4 on mirrored first."""
    return np.rot90(picture[:, ::-1] if orientation >= 4 else picture, orientation % 4)


def _to_float(patches: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) → float32 (B, 3, H, W) in [0, 1], contiguous."""
    planes = torch.from_numpy(np.ascontiguousarray(patches.transpose(0, 3, 1, 2)))
    return planes.to(torch.float32).div_(255)


def centre_crops(store: PictureStore, count: int, size: int, scale_factor: int) -> Iterator[tuple[str, np.ndarray]]:
    """(name, uint8 (h, w, 3)) of the first `count` pictures: `size` a side, or as much of it as there is.

    Begins and ends on multiples of `scale_factor`, so that LR pictures have whole sizes.
    """
    for index in range(min(count, len(store))):
        picture = store[index]
        sides = [min(size, side - side % scale_factor) for side in picture.shape[:2]]
        spare = np.subtract(picture.shape[:2], sides)
        starts = (spare // 2 // scale_factor * scale_factor).tolist()
        rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
        yield store.names[index], np.ascontiguousarray(picture[rows, columns])


class Prefetcher:
    """Makes the batches of steps `first_step`, `first_step + 1`, … in a thread, a few ahead of the one in use.

    A context manager; `next_batch` raises what the thread raised.
    """

    def __init__(self, make: Callable[[int], Batch], first_step: int, last_step: int, depth: int) -> None:
        self._make = make
        self._steps = range(first_step, last_step)
        self._queue: Queue[Batch | Exception] = Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="srflow-patches", daemon=True)

    def __enter__(self) -> Prefetcher:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    def next_batch(self) -> Batch:
        """The next step's batch."""
        while True:
            try:
                made = self._queue.get(timeout=5)
                break
            except Empty:
                if not self._thread.is_alive():
                    raise RuntimeError("The thread that draws patches has ended; there are no more batches.") from None
        if isinstance(made, Exception):
            raise made
        return made

    def _work(self) -> None:
        for step in self._steps:
            try:
                made: Batch | Exception = self._make(step)
            except Exception as error:  # handed to the training loop, which raises it
                made = error
            while not self._stopped.is_set():
                try:
                    self._queue.put(made, timeout=0.1)
                    break
                except Full:
                    continue
            if self._stopped.is_set() or isinstance(made, Exception):
                return
