"""Files and folders that appear whole or not at all: written under a temporary name, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from srflow.contract import InputError

__all__ = ["atomic_directory", "atomic_write"]


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO]:
    """Write a file so that `path` is either the old file (or none) or the whole new one, never a part.

    The folder is made if it is missing. If the block raises, the temporary file is removed and `path` stays as it was.

    Args:
        path: the file to write or replace; where it is a link, the file that it leads to.
        mode: "wb", or "w" for text (UTF-8, lines ending in a line feed).

    Yields: the open file, under a temporary name in the same folder.

    Raises:
        InputError: if `path` is a folder, or the mode is another.
        OSError: if the folder cannot be written, or the disk is full.
    """
    if mode not in ("wb", "w"):
        raise InputError(f'The mode must be "wb" or "w"; got {mode!r}.')
    path = Path(path).resolve()
    if path.is_dir():
        raise InputError(f"{path} is a folder; a file of that name cannot be written.")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    temporary = Path(name)
    try:
        text: dict[str, Any] = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
        with open(handle, mode, **text) as file:  # noqa: PTH123 - a descriptor, no path
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_permissions(path))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Write a folder so that `path` is the old folder (or none) or the whole new one.

    What was in an old folder is gone afterwards: the new one takes its place. A folder cannot be exchanged for another
    in one step everywhere, so the old one is set aside, under a hidden name beside it, while the new one is put in
    place; it is put back should that fail.

    Args:
        path: the folder to make or replace.

    Yields: an empty folder beside it, to be filled.

    Raises:
        InputError: if `path` is a file.
        OSError: if the place cannot be written, or the disk is full.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; a folder of that name cannot be written.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part"))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync_file(file)
        temporary.chmod(_permissions(path, is_folder=True))
        _put_in_place(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync_folder(path.parent)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename one folder to the other's name; the other, if there is one, is removed."""
    if not path.exists():
        temporary.rename(path)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".old"))
    path.replace(aside / path.name)
    try:
        temporary.rename(path)
    except BaseException:
        (aside / path.name).rename(path)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _permissions(path: Path, is_folder: bool = False) -> int:
    """Those of what is replaced, else what the user's mask gives new files (temporary ones are closed to others)."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return (0o777 if is_folder else 0o666) & ~mask


def _sync_file(path: Path) -> None:
    """Have the file's contents reach the disk before it gets its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Have the new name reach the disk as well, where folders can be opened (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
