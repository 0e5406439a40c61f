"""Decides which files of a folder are used: one rule for all commands. Other files are counted and named."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from srflow.contract import RECIPE_KEY, DatasetError
from srflow.pictures.kinds import PLUGIN_SUFFIXES, SUFFIXES, is_picture, missing_plugin

__all__ = ["OUTPUT_KEY", "Listing", "find_pictures", "is_own", "list_images", "output_names"]

OUTPUT_KEY = "srflow-output"
"""Name of the text that marks a PNG of this program that is not a sample, and has no recipe."""

_SYSTEM_FILES = ("thumbs.db", "desktop.ini", "ehthumbs.db")
_OWN = "made by this program"
_NO_PICTURE = "of no known picture kind"
_NUM_NAMED = 5  # files that the line names for each reason
_MAX_TEXT_CHUNKS = 1000


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder in natural order, and the files that are left out, by reason."""

    folder: Path
    pictures: tuple[Path, ...]
    left_out: Mapping[str, tuple[Path, ...]]

    def describe_left_out(self) -> str | None:
        """Return one line that counts and names them; None: nothing is left out."""
        if not self.left_out:
            return None
        parts = []
        for reason, paths in self.left_out.items():
            names = ", ".join(path.relative_to(self.folder).as_posix() for path in paths[:_NUM_NAMED])
            parts.append(f"{len(paths)} {reason} ({names}{', …' if len(paths) > _NUM_NAMED else ''})")
        count = sum(len(paths) for paths in self.left_out.values())
        return f"Left out {count} file{'s' * (count > 1)} of {self.folder}: {'; '.join(parts)}."


def find_pictures(
    folder: str | Path, *, recursive: bool = True, own: bool = False, exclude: Collection[Path] = ()
) -> Listing:
    """Find the pictures in a folder.

    A file is a picture by its name's ending (`SUFFIXES`) or, without a known ending, by its content. Hidden files and
    folders are skipped. Linked folders are searched once each, by their real path.

    Args:
        recursive: whether to search subfolders.
        own: whether to include PNGs that this program made.
        exclude: folders to skip, such as the one for the output. The folder itself is always searched.

    Raises: DatasetError: no such folder, it cannot be searched, or there is no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder} of pictures.")
    found: list[Path] = []
    left_out: dict[str, list[Path]] = {}
    seen = {path.resolve() for path in exclude} - {folder.resolve()}
    try:
        for path in _files(folder, recursive, seen):
            reason = _reason_against(path, own)
            if reason is None:
                found.append(path)
            else:
                left_out.setdefault(reason, []).append(path)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be searched for pictures: {error}.") from error
    listing = Listing(folder, tuple(found), {reason: tuple(paths) for reason, paths in left_out.items()})
    if not found:
        said = listing.describe_left_out()
        raise DatasetError(
            f"{folder}: no pictures in this folder{' or its subfolders' if recursive else ''} "
            f"(looked for {', '.join(sorted(SUFFIXES))}). {said or ''}".rstrip()
        )
    return listing


def list_images(folder: str | Path) -> list[Path]:
    """List the pictures in a folder, by their name's ending (`SUFFIXES`), without subfolders.

    The order is natural: `x2.png` before `x10.png`. Hidden files are left out.

    Raises: DatasetError: there is no such folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder of pictures.")
    found = [path for path in _files(folder, False, set()) if path.suffix.lower() in SUFFIXES]
    if not found:
        raise DatasetError(f"{folder}: no pictures in this folder (looked for {', '.join(sorted(SUFFIXES))}).")
    return found


def _files(folder: Path, recursive: bool, seen: set[Path]) -> Iterator[Path]:
    """Yield files, those of a folder before those of its subfolders."""
    real = folder.resolve()
    if real in seen:  # a link that leads back, or a second link to the same folder
        return
    seen.add(real)
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    files = [path for path in inside if path.name.lower() not in _SYSTEM_FILES and path.is_file()]
    yield from sorted(files, key=lambda path: (_natural(path.name), path.name))
    if recursive:
        for below in sorted(path for path in inside if path.is_dir()):
            yield from _files(below, recursive, seen)


def _reason_against(path: Path, own: bool) -> str | None:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or suffix in PLUGIN_SUFFIXES:
        try:
            with path.open("rb") as file:
                prefix = file.read(64)
        except OSError:
            return None if suffix in SUFFIXES else _NO_PICTURE  # reading it will report the reason
        if missing := missing_plugin(prefix):
            return f"{missing[0]} without the package for it, {missing[1]}"
        if suffix not in SUFFIXES and not is_picture(prefix):
            return _NO_PICTURE
    return _OWN if not own and is_own(path) else None


def is_own(path: Path) -> bool:
    """Return whether a file is a PNG that this program made, by the text before its pixels."""
    with suppress(OSError, struct.error), path.open("rb") as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            return False
        for _ in range(_MAX_TEXT_CHUNKS):
            size, name = struct.unpack(">I4s", file.read(8))
            if name in (b"IDAT", b"IEND"):
                return False
            start = file.read(min(size, 80)) if name in (b"tEXt", b"iTXt", b"zTXt") else b""
            if start.split(b"\0", 1)[0].decode("latin-1") in (RECIPE_KEY, OUTPUT_KEY):
                return True
            file.seek(size - len(start) + 4, 1)
    return False


def output_names(paths: Sequence[Path], root: Path) -> dict[Path, str]:
    """Return unique prefixes of the output files for each picture: its path below `root` without the ending, with
    slashes.

    If two prefixes would be equal, even only in lower case, the ending is kept; if that is not enough, a number is
    added.
    """
    relative = {path: (path.relative_to(root) if path.is_relative_to(root) else Path(path.name)) for path in paths}
    names = {path: short.with_name(short.stem).as_posix() for path, short in relative.items()}
    while True:  # a longer name may equal the short one of another picture
        counts = Counter(name.casefold() for name in names.values())
        clashing = [
            path for path, name in names.items() if counts[name.casefold()] > 1 and name != relative[path].as_posix()
        ]
        if not clashing:
            break
        names |= {path: relative[path].as_posix() for path in clashing}
    taken: set[str] = set()
    for path, name in names.items():
        unique, number = name, 2
        while unique.casefold() in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique.casefold())
        names[path] = unique
    return names


def _natural(name: str) -> list[tuple[int, int | str]]:
    """Return a sort key that compares runs of digits as numbers and everything else without letter case."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]
