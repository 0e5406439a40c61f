"""Writes files and folders atomically: under a temporary name, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from srflow.errors import InputError, OutputError

__all__ = ["atomic_directory", "atomic_write", "check_writable", "explain"]

_REASONS = {
    errno.ENOSPC: "there is no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file is larger than the file system allows",
    errno.EACCES: "there is no permission to write there",
    errno.EPERM: "there is no permission to write there",
    errno.EROFS: "the disk is read-only",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EEXIST: "a file of that name exists where a folder is needed",
    errno.EIO: "the disk reports errors",
}
_WHILE_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
_PREFIX_BYTES = 60  # bytes of a file's name that its temporary name repeats; names may have 255 bytes


def explain(error: OSError, path: str | Path) -> OutputError:
    """Describe an error in one line: what cannot be written, and why."""
    number = errno.EACCES if isinstance(error, PermissionError) else error.errno or 0
    reason = _REASONS.get(number) or error.strerror or str(error) or type(error).__name__
    return OutputError(f"{path} cannot be written: {reason}.")


def check_writable(folder: str | Path) -> None:
    """Try to write to a folder, before any work whose result would be lost. Leaves nothing behind.

    Raises: OutputError: nothing can be written there; the message says why.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, but the results need a folder. Choose another path.")
    made = []
    try:
        for place in reversed([folder, *folder.parents]):
            if not place.is_dir():
                place.mkdir()
                made.append(place)
        with tempfile.TemporaryFile(dir=folder, prefix=".probe-") as file:
            file.write(bytes(4096))
    except OSError as error:
        raise explain(error, folder) from error
    finally:
        for place in reversed(made):
            with suppress(OSError):  # another process may have begun to use it
                place.rmdir()


@contextmanager
def atomic_write(path: str | Path, mode: str = "wb") -> Iterator[IO]:
    """Write a file so that `path` is either the old file (or none) or the whole new one, never a part.

    The folder is created if it is missing. If the block raises an error, the temporary file is removed and `path` does
    not change.

    Args:
        path: the file to write or replace; if it is a link, its target.
        mode: "wb", or "w" for text (UTF-8, lines ending in a line feed).

    Yields: the open file, under a temporary name in the same folder.

    Raises:
        InputError: `path` is a folder, or the mode is another.
        OutputError: the folder cannot be written, or the disk is full.
    """
    if mode not in ("wb", "w"):
        raise InputError(f'The mode must be "wb" or "w"; got {mode!r}.')
    path = Path(path).resolve()
    if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises if the name is too long, before Python 3.14
        raise InputError(f"{path} is a folder; a file of that name cannot be written.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(
            FileNotFoundError
        ):  # the temporary name is shorter: this checks whether the real name is possible
            path.lstat()
        temporary = path.with_name(f"{_temporary_prefix(path)}{secrets.token_hex(8)}.part")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        handle = os.open(temporary, flags, _permissions(path) or 0o666)
    except OSError as error:
        raise explain(error, path) from error
    try:
        text: dict[str, Any] = {} if mode == "wb" else {"encoding": "utf-8", "newline": "\n"}
        with open(handle, mode, **text) as file:  # noqa: PTH123 - a descriptor, no path
            yield file
            file.flush()
            os.fsync(file.fileno())
        _give_permissions(temporary, path)
        _rename(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, OutputError) and error.errno in _WHILE_WRITING:
            raise explain(error, path) from error
        raise
    _sync_folder(path.parent)


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except OSError as error:
        raise explain(error, path) from error


def _temporary_prefix(path: Path) -> str:
    """Return a hidden name that begins like the file's own, cut by bytes, since file systems count bytes."""
    return f".{os.fsencode(path.name)[:_PREFIX_BYTES].decode(errors='ignore')}."


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Write a folder so that `path` is the old folder (or none) or the whole new one.

    The new folder replaces the old one with all of its content. Not all systems can exchange two folders in one step,
    so the old one is renamed to a hidden name beside it while the new one is moved to its path; if that fails, it is
    moved back.

    Args:
        path: the folder to create or replace.

    Yields: an empty folder beside it, to be filled.

    Raises:
        InputError: `path` is a file.
        OutputError: the path cannot be written.
        OSError: the disk is full.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_dir():
        raise InputError(f"{path} is a file; a folder of that name cannot be written.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{_temporary_prefix(path)}{secrets.token_hex(8)}.part")
        temporary.mkdir(0o700 | (_permissions(path) or 0o777))
    except OSError as error:
        raise explain(error, path) from error
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync_file(file)
        _give_permissions(temporary, path)
        _put_in_place(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _sync_folder(path.parent)


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename one folder to the other's name; remove the other, if there is one."""
    if not path.exists():
        temporary.rename(path)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=_temporary_prefix(path), suffix=".old"))
    path.replace(aside / path.name)
    try:
        temporary.rename(path)
    except BaseException:
        (aside / path.name).rename(path)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _permissions(path: Path) -> int | None:
    """Return the permissions of what is replaced; None: there is nothing, and the system applies the user's mask.

    The mask itself is never read, because reading it means changing it, for all threads of the process.
    """
    return path.stat().st_mode & 0o777 if path.exists() else None


def _give_permissions(temporary: Path, path: Path) -> None:
    permissions = _permissions(path)
    if permissions is not None:
        temporary.chmod(permissions)


def _sync_file(path: Path) -> None:
    """Flush the file's contents to the disk before it gets its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Flush the new name to the disk as well, if folders can be opened (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
