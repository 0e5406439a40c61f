"""Where the samples of one request are kept that do not fit into memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType

__all__ = ["SpillFolder"]


class SpillFolder:
    """A folder of one request's own, made when its first file is asked for; used in `with`, it goes at the end.

    Whatever is in it goes with it, so that no result stays behind that was never taken: of a request that was
    cancelled, failed, or was not listened to until its end. If the program ends first, the folder goes then.

    Args: parent: the folder that it is made in; that one is made, too, if it is missing, and stays.
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
        """A file of that name in the folder, which is there from now on; the file need not be."""
        if self._folder is None:
            self._parent.mkdir(parents=True, exist_ok=True)
            # On Windows, files that are still mapped cannot be removed.
            self._folder = tempfile.TemporaryDirectory(prefix="srflow-", dir=self._parent, ignore_cleanup_errors=True)
        return Path(self._folder.name, name)

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
