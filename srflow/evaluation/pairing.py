"""Finds files that belong together: ground truth, LR pictures, and super-resolutions from another method."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from srflow.contract import DatasetError, ImageError, InputError
from srflow.evaluation.metrics import CROP_MULTIPLE, crop_ground_truth
from srflow.evaluation.perceptual import MIN_SIDE
from srflow.images import downscale_uint8
from srflow.pictures import find_pictures, list_images, load_image

__all__ = ["PicturePair", "find_pairs", "find_samples"]


@dataclass(frozen=True)
class PicturePair:
    """A ground-truth picture and its LR picture. name: the file's, without suffix. lr: None to make it from the HR."""

    name: str
    hr: Path
    lr: Path | None = None

    def load(self, scale_factor: int) -> tuple[np.ndarray, np.ndarray]:
        """Read the ground truth, cropped as the challenge does, and the LR picture, both uint8, (H, W, 3).

        Without a file, the LR picture is the cropped ground truth, downscaled by MATLAB's bicubic imresize. A file may
        have been made before the cropping, as DIV2K's were: then its size times the scale factor is up to 7 pixels
        larger.

        Raises: ImageError: a file cannot be read, is too small, or the sizes do not fit; the message names the file.
        """
        full = load_image(self.hr)
        if min(full.shape[:2]) < MIN_SIDE:
            raise ImageError(
                f"{self.hr.name} is {full.shape[1]}x{full.shape[0]}; the metrics need {MIN_SIDE} pixels a side."
            )
        hr = crop_ground_truth(full)
        if self.lr is None:
            return hr, downscale_uint8(hr, scale_factor)
        lr = load_image(self.lr)
        for side, cropped, whole in zip(lr.shape[:2], hr.shape[:2], full.shape[:2], strict=True):
            if not cropped // scale_factor <= side <= -(-whole // scale_factor):
                raise ImageError(
                    f"{self.lr.name} is {lr.shape[1]}x{lr.shape[0]}, which is not {self.hr.name} "
                    f"({full.shape[1]}x{full.shape[0]}) at 1/{scale_factor}; check the scale factor and the folders."
                )
        return hr, lr


def find_pairs(
    hr_folder: str | Path,
    lr_folder: str | Path | None = None,
    *,
    scale_factor: int,
    limit: int | None = None,
    recursive: bool = True,
    report: Callable[[str], None] = lambda _line: None,
) -> list[PicturePair]:
    """Find the pictures of a folder, sorted by name, each with its LR picture if a folder of those is given.

    For pictures in subfolders, the folder is a part of the name, and their LR pictures must be in folders of the same
    names. Files made by this program are left out.

    NAME's LR picture may be called NAME, NAMEx4, NAME_x4, NAME_LR, NAMELRx4 or the like; if the name ends in HR or GT,
    that may be replaced. Letter case is ignored.

    Args:
        limit: use only this many pictures, the first ones.
        recursive: whether to include subfolders.
        report: called with a line that names the files which are left out.

    Raises:
        DatasetError: a folder is missing or has no pictures, two pictures have one name, or an LR picture is missing.
        InputError: the scale factor does not divide 8, or the limit is below 1.
    """
    if scale_factor < 1 or CROP_MULTIPLE % scale_factor:
        raise InputError(
            f"The protocol crops to multiples of {CROP_MULTIPLE}; scale factor {scale_factor} does not divide it."
        )
    if limit is not None and limit < 1:
        raise InputError(f"The limit is {limit} pictures; it must be at least 1.")
    by_name = _by_name(hr_folder, recursive, report)
    names = list(by_name)[:limit]
    if lr_folder is None:
        return [PicturePair(name, by_name[name]) for name in names]
    lr_paths = {name.lower(): path for name, path in _by_name(lr_folder, recursive, report).items()}
    pairs = []
    for name in names:
        path = by_name[name]
        folder = name.lower()[: -len(path.stem)]
        candidates = (folder + related for related in _related_names(path.stem, "lr", scale_factor))
        found = next((lr_paths[candidate] for candidate in candidates if candidate in lr_paths), None)
        if found is None:
            raise DatasetError(
                f"{lr_folder} has no LR picture of {path.name}; it should be called {path.stem}, {path.stem}x"
                f"{scale_factor} or {path.stem}_LR."
            )
        pairs.append(PicturePair(name, path, found))
    return pairs


def _by_name(folder: str | Path, recursive: bool, report: Callable[[str], None]) -> dict[str, Path]:
    """Return the pictures by their path below the folder, with slashes and without suffix."""
    listing = find_pictures(folder, recursive=recursive)
    if line := listing.describe_left_out():
        report(line)
    names = [path.relative_to(listing.folder).with_suffix("").as_posix() for path in listing.pictures]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DatasetError(f"{folder} has several pictures called {twice[0]}, of different types; keep one.")
    return dict(zip(names, listing.pictures, strict=True))


def find_samples(
    sr_folder: str | Path,
    pairs: Sequence[PicturePair],
    *,
    scale_factor: int,
    hr_folder: str | Path | None = None,
    report: Callable[[str], None] = lambda _line: None,
) -> dict[str, list[Path]]:
    """Find the super-resolutions of every picture that another method saved in a folder.

    If a sample exists in several formats, say a.png and a.jpg, the one with the least loss is used.

    Supported arrangements, for a picture NAME:
        one each:           NAME.png, or NAME_SR.png, NAMEx4.png, NAME_x4_SR.png and the like
        several:            NAME_sample0.png, NAME_sample1.png, … with any number of digits
        sub-folders:        NAME/*.png; or one folder per sample, each with pictures named as in the first line
        the challenge's:    000000_sample00000.png …, where the first number counts the ground truth pictures, sorted by
                            name, from 0; or is NAME itself, if that is a number

    Args:
        pairs: of the pictures to look for.
        hr_folder: needed only for the challenge's counting, when `pairs` leaves some of the folder's pictures out.
        report: called with a line that names the files of other types which are left out.
    Returns: files by the picture's name, in the order of the samples; the same number for every picture.
    Raises: DatasetError: the folder is missing, a picture has none, or their numbers differ.
    """
    folder = Path(sr_folder)
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder} of super-resolutions.")
    by_name, doubles = _group(folder)
    if doubles:
        some = ", ".join(sorted(path.name for path in doubles)[:5]) + (", …" if len(doubles) > 5 else "")
        report(f"{folder} has {len(doubles)} samples twice, in several formats; left out: {some}.")
    names = [pair.name for pair in pairs]
    found = {name: _look_up(by_name, name, scale_factor) for name in names}
    if not any(found.values()):
        all_names = names if hr_folder is None else list(_by_name(hr_folder, True, lambda _: None))
        found = _by_number(by_name, all_names) or found
    missing = [name for name in names if not found.get(name)]
    if missing:
        raise DatasetError(
            f"{folder} has no super-resolution of {missing[0]} ({len(missing)} of {len(names)} pictures have none); "
            f"it should be called {missing[0]}.png, or {missing[0]}_sample0.png, {missing[0]}_sample1.png, …"
        )
    counts = {name: len(found[name]) for name in names}
    if len(set(counts.values())) > 1:
        fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        raise DatasetError(
            f"{folder} has {counts[fewest]} samples of {fewest} and {counts[most]} of {most}; the diversity depends on "
            "their number, so all pictures need the same."
        )
    return {name: found[name] for name in names}


_SAMPLE = re.compile(r"(?P<name>.+?)[-_]?sample[-_]?(?P<number>\d+)$", re.IGNORECASE)


def _related_names(stem: str, kind: str, scale_factor: int) -> list[str]:
    """Return the names, in lower case, that a picture of `kind` ("lr" or "sr") may have; the likeliest first."""
    stem = stem.lower()
    base = re.sub(r"[-_]?(hr|gt)$", "", stem) or stem
    scale = f"x{scale_factor}"
    suffixes = ("", scale, kind, kind + scale, scale + kind, "bicubic", "bicubic" + scale, "out")
    joined = [start + mark + suffix for start in (stem, base) for suffix in suffixes for mark in ("", "_", "-")]
    return [*joined, *(f"{start}_{scale}_{kind}" for start in (stem, base))]


def _group(folder: Path) -> tuple[dict[str, list[Path]], set[Path]]:
    """Group all pictures in the folder by the part of their lower-case names that identifies the picture; also return
    the rest.

    Sub-folders are searched only for names that the folder itself does not have. The pictures of a sub-folder are also
    listed under its own name and a slash, and each one separately under both names.
    """
    groups: dict[str, dict[tuple, Path]] = defaultdict(dict)
    doubles: set[Path] = set()
    at_top_pictures = _without_doubles(_pictures(folder), doubles)
    for path in at_top_pictures:
        name, number = _picture_and_sample(path)
        groups[name][(number, path.name)] = path
    at_top = set(groups)
    for sub_folder in sorted(path for path in folder.iterdir() if path.is_dir()):
        for path in _without_doubles(_pictures(sub_folder), doubles):
            name, number = _picture_and_sample(path)
            if name not in at_top:
                place: tuple = (*_natural(sub_folder.name), number, path.name)
                groups[name][place] = path
            place = (number, *_natural(path.stem), path.name)
            groups[f"{sub_folder.name.lower()}/"][place] = path
            groups[f"{sub_folder.name.lower()}/{name}"][(number, path.name)] = path
    return {name: [paths[key] for key in sorted(paths)] for name, paths in groups.items()}, doubles


_LOSSLESS = (".png", ".apng", ".tif", ".tiff", ".bmp", ".ppm", ".webp", ".avif", ".jp2")


def _without_doubles(paths: Sequence[Path], doubles: set[Path]) -> list[Path]:
    """Return one file of each name without suffix; the others are added to `doubles`."""
    ranks = {suffix: rank for rank, suffix in enumerate(_LOSSLESS)}
    best: dict[str, Path] = {}
    for path in sorted(paths, key=lambda path: ranks.get(path.suffix.lower(), len(ranks))):
        if best.setdefault(path.stem.lower(), path) is not path:
            doubles.add(path)
    return [path for path in paths if path not in doubles]


def _picture_and_sample(path: Path) -> tuple[str, int]:
    """Split a file name into the part before "_sampleNNN", in lower case, and that number; 0 without."""
    match = _SAMPLE.match(path.stem)
    return (match["name"].lower(), int(match["number"])) if match else (path.stem.lower(), 0)


def _natural(name: str) -> tuple[int, str]:
    """Return a sort key by the first number in the name, so that 10 comes after 9; names without one come first."""
    digits = re.search(r"\d+", name)
    return (int(digits[0]) if digits else -1, name)


def _pictures(folder: Path) -> list[Path]:
    """Return `list_images`, but an empty folder is not an error: all pictures may be in sub-folders."""
    try:
        return list_images(folder)
    except DatasetError:
        return []


def _look_up(by_name: dict[str, list[Path]], name: str, scale_factor: int) -> list[Path]:
    folder, _, stem = name.rpartition("/")
    prefix = f"{folder.lower()}/" if folder else ""
    for candidate in [*(prefix + related for related in _related_names(stem, "sr", scale_factor)), f"{name.lower()}/"]:
        if candidate in by_name:
            return by_name[candidate]
    return []


def _by_number(by_name: dict[str, list[Path]], names: list[str]) -> dict[str, list[Path]] | None:
    """Match names that are numbers: to names with the same number, otherwise by counting from 0."""
    numbered = {int(key): paths for key, paths in by_name.items() if key.isdecimal()}
    if not numbered:
        return None
    if all(name.isdecimal() and int(name) in numbered for name in names):
        return {name: numbered[int(name)] for name in names}
    if set(numbered) == set(range(len(names))):
        return {name: numbered[index] for index, name in enumerate(names)}
    return None
