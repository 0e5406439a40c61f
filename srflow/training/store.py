"""The store of training pictures: they are decoded once into a memory-mapped file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from srflow.contract import DatasetError, InputError
from srflow.files import atomic_write
from srflow.images import downscale_uint8
from srflow.pictures import find_pictures, load_image

__all__ = ["SIZE_MULTIPLE", "PictureStore", "Sources", "centre_crops", "default_cache_folder"]

_FORMAT = 1  # increased when the files' layout changes, so that old stores are not read
SIZE_MULTIPLE = (
    8  # pictures are cropped to multiples of this (top-left, as in the NTIRE protocol): LR sizes are whole at x4 and x8
)


def default_cache_folder() -> Path:
    """Return $SRFLOW_CACHE, or `srflow` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SRFLOW_CACHE") or Path(base) / "srflow")


@dataclass(frozen=True)
class Sources:
    """The files from which a store was made.

    folder: the last part of their folder's path.
    count: number of files.
    sha256: of the list of the files' SHA-256 sums and paths below the folder, as `sha256sum` prints them, sorted by
        path; "-" replaces the sum of a file that cannot be read.
    """

    folder: str
    count: int
    sha256: str


class PictureStore:
    """Pictures of a folder as uint8 RGB in one memory-mapped file.

    The store's name depends on the pictures' paths, sizes and times and on the reductions, so that a changed folder
    gets a new store. It takes 3 bytes per pixel on disk, including downscaled copies (DF2K: about 30 GB, with halves
    and thirds 41), and no memory beyond the operating system's file cache. `reductions` says by which factor each
    picture was downscaled, (N,); `sources` says which files they are, None for a store that was not opened by `open`.

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
        """Return picture `index`, uint8 (H, W, 3), read-only; H and W are multiples of 8."""
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
        """Open the store of the folder `pictures` and its subfolders, including linked ones; build it if there is none
        yet.

        Args:
            cache: folder of the stores; default: `default_cache_folder()`.
            report: called with one line of text for each message to the user: how many pictures were found, the build,
                each skipped file.
            reductions: every picture is stored once for each of these factors, downscaled by it (MATLAB's bicubic).

        Raises: DatasetError: no such folder, no readable picture in it, or no space for the store.
        """
        listing = find_pictures(pictures)
        paths = list(listing.pictures)
        num_folders = len({path.parent for path in paths})
        report(
            f"Found {len(paths)} pictures in {num_folders} {'folder' if num_folders == 1 else 'folders'} of {pictures}."
        )
        if left_out := listing.describe_left_out():
            report(left_out)
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
        """Return the store in `folder`; None if there is none, or if it is damaged: then the folder is removed."""
        if not folder.exists():
            return None
        try:
            return cls(folder)
        except (OSError, ValueError, KeyError):
            shutil.rmtree(folder, ignore_errors=True)
            return None


def _listing_key(folder: Path, paths: list[Path], reductions: Sequence[int]) -> str:
    # Left out of the name if there are none, so that stores from earlier versions are still found.
    of_reductions = "" if tuple(reductions) == (1,) else f" {list(reductions)}"
    digest = hashlib.sha256(f"{_FORMAT}{of_reductions} {folder.resolve()}".encode())
    for path in paths:
        status = path.stat()
        digest.update(f"\n{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:20]


def _sources(root: Path, paths: list[Path], folder: Path) -> Sources:
    """Return the files of the store in `folder`. They are hashed once: a changed file would have a new store."""
    file = folder / "sources.json"
    with suppress(OSError, ValueError, TypeError):
        return Sources(root.resolve().name, **json.loads(file.read_text(encoding="utf-8")))
    sums = {path.relative_to(root).as_posix(): _sha256(path) for path in paths}
    listing = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
    values: dict[str, Any] = {"count": len(paths), "sha256": hashlib.sha256(listing.encode()).hexdigest()}
    with (
        suppress(OSError),
        atomic_write(file, "w") as stream,
    ):  # if the cache cannot be written, they are hashed again next time
        stream.write(json.dumps(values))
    return Sources(root.resolve().name, **values)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "-"


def _decode(path: Path, reductions: Sequence[int]) -> list[tuple[int, np.ndarray | str]]:
    """Return for each factor (factor, picture downscaled by it and cropped to multiples of 8, or why it is skipped)."""
    try:
        picture = load_image(path)
    except (InputError, OSError) as error:
        return [(1, str(error))]
    return [(reduction, _reduced(picture, reduction)) for reduction in reductions]


def _reduced(picture: np.ndarray, reduction: int) -> np.ndarray | str:
    multiple = SIZE_MULTIPLE * reduction
    height, width = (side - side % multiple for side in picture.shape[:2])
    if height == 0 or width == 0:
        return f"it has {picture.shape[1]}x{picture.shape[0]} pixels; at least {multiple}x{multiple} are needed."
    cropped = picture[:height, :width]
    return (
        cropped if reduction == 1 else downscale_uint8(cropped, reduction)
    )  # skip the identity, which would take long


def _build_store(root: Path, paths: list[Path], folder: Path, reductions: Sequence[int]) -> None:
    """Write the store under another name and rename it, so that a killed build leaves no partial store."""
    workers = min(4, os.cpu_count() or 1)
    pictures, skipped = [], {}
    temporary: str | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent)
        remaining = iter(paths)
        with (Path(temporary) / "pixels.bin").open("wb") as pixels, ThreadPoolExecutor(workers) as pool:
            # Decode small groups, so that only a few pictures are in memory.
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
            if not folder.exists():  # otherwise another run has built the same store meanwhile
                raise
    except OSError as error:
        raise DatasetError(
            f"The picture store {folder} cannot be written: {error}. It needs 3 bytes per pixel; choose another "
            "folder with --cache or SRFLOW_CACHE."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def centre_crops(store: PictureStore, count: int, size: int, scale_factor: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, uint8 (h, w, 3)) of the first `count` pictures: centre crops of `size` pixels a side, or less.

    The crops begin and end on multiples of `scale_factor`, so that LR pictures have whole sizes.
    """
    for index in range(min(count, len(store))):
        picture = store[index]
        sides = [min(size, side - side % scale_factor) for side in picture.shape[:2]]
        spare = np.subtract(picture.shape[:2], sides)
        starts = (spare // 2 // scale_factor * scale_factor).tolist()
        rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
        yield store.names[index], np.ascontiguousarray(picture[rows, columns])
