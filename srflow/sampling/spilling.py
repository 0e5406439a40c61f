"""Stores the samples of one request that do not fit into memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

__all__ = ["SpillFolder"]


class SpillFolder:
    """A folder for one request, created with its first file; used in `with`, it is deleted at the end.

    All files in it are deleted with it, so that no result of a request remains that was cancelled, failed, or not read
    to its end. If the program ends first, the folder is deleted then.

    Args: parent: the folder in which it is created; that one is created, too, if it is missing, and stays.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> SpillFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def path(self, name: str) -> Path:
        """Return the path of a file in the folder, which is created if needed; the file may not exist yet."""
        if self._folder is None:
            self._parent.mkdir(parents=True, exist_ok=True)
            # On Windows, files that are still mapped cannot be removed.
            self._folder = tempfile.TemporaryDirectory(prefix="srflow-", dir=self._parent, ignore_cleanup_errors=True)
        return Path(self._folder.name, name)

    def remove(self) -> None:
        """Remove the folder and everything in it."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
