"""All visitors: their sessions, each with an unguessable folder, and the removal of unused ones."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from app.session import Session
from srflow.contract import InputError

__all__ = ["MAX_SESSIONS", "Sessions"]

MAX_SESSIONS = 200
"""Beyond this number, the sessions that were idle longest are closed."""
MAX_IDLE_SECONDS = 24 * 3600

_ROOT_PREFIX = "srflow-"


class Sessions:
    """All sessions, each with an unguessable folder. `close` deletes all files.

    Args:
        parent: folder in which this program's folder is created; leftover folders of dead programs are deleted there.
    """

    def __init__(self, parent: str | Path | None = None) -> None:
        parent = Path(parent or Path(tempfile.gettempdir()) / "srflow-explorer")
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        self._root = tempfile.TemporaryDirectory(prefix=_ROOT_PREFIX, dir=parent, ignore_cleanup_errors=True)
        # The lock is held as long as the program lives, however it ends: it tells the next program which folders are
        # dead.
        self._held = FileLock(_lock_of(self.root))
        self._held.acquire()
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    @property
    def root(self) -> Path:
        """The folder of all files. The page serves its files to anyone who knows the address."""
        return Path(self._root.name).resolve()

    def open(self, *, is_visitor: bool = True) -> Session:
        """Open a new session. is_visitor: False for one that does not count, and that its creator closes."""
        session = Session(self.root / secrets.token_hex(16))
        if is_visitor:
            with self._lock:
                self._sessions[session.folder.name] = session
                old = self._overdue()
                for gone in old:
                    del self._sessions[gone.folder.name]
            for gone in old:
                gone.close()
        return session

    def _overdue(self) -> list[Session]:
        """Return sessions that were idle for too long, and the longest idle ones beyond the limit; never one that is
        working.
        """
        now = time.monotonic()
        idle = sorted(
            (session for session in self._sessions.values() if not session.is_busy), key=lambda session: session.used_at
        )
        surplus = len(self._sessions) - MAX_SESSIONS
        return [s for number, s in enumerate(idle) if number < surplus or now - s.used_at > MAX_IDLE_SECONDS]

    def check(self, session: Any) -> Session:
        """Return the session of a page, and mark it as in use.

        Raises: InputError: the page is not set up yet, or its session was closed.
        """
        if session is None:
            raise InputError("The page is still being set up. Please try again in a moment.")
        with self._lock:
            if not isinstance(session, Session) or session.folder.name not in self._sessions:
                raise InputError("This page was unused for too long, and its files were deleted. Please reload it.")
            session.used_at = time.monotonic()
        return session

    def forget(self, session: Session | None) -> None:
        """Close the session of a page that was closed."""
        if session is None:
            return
        with self._lock:
            self._sessions.pop(session.folder.name, None)
        session.close()

    def close(self) -> None:
        """Stop all work and remove all files."""
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            session.close()
        self._root.cleanup()
        self._held.release()
        _lock_of(self.root).unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._sessions)


def _lock_of(root: Path) -> Path:
    return root.with_suffix(".lock")


def _remove_abandoned(parent: Path) -> None:
    """Delete folders of programs that no longer run: their lock is free."""
    for lock_file in parent.glob(f"{_ROOT_PREFIX}*.lock"):
        lock = FileLock(lock_file)
        try:
            lock.acquire(timeout=0)
        except (Timeout, OSError):
            continue
        shutil.rmtree(lock_file.with_suffix(""), ignore_errors=True)
        lock_file.unlink(missing_ok=True)
        lock.release()
