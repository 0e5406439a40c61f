"""A visitor's session: the only module that changes what is shown and manages the files behind it.

Events of one page arrive in separate threads, in any order. Each has a serial number from the page, so that the latest
request wins, whichever arrives first. The work on a request is a job. It begins with `Session.begin`, and changes what
is shown only through `Session.commit`, which refuses it once a newer job has begun.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.history import History, Step
from app.records import Look, PastStep, Source, View
from srflow.contract import Cancelled, InputError

__all__ = ["KEEP", "STEP_GONE", "Job", "Session"]

DOWNLOAD_SECONDS = 600
TELLING_SECONDS = 1.0
"""Seconds to wait until a message has been delivered; after that its reader may be gone."""
_MAX_NAME = 100
STEP_GONE = "This step of the history no longer exists: older steps are removed to limit memory."
_PICTURE_SUFFIXES = frozenset(
    (
        *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"),
        *(".avif", ".jp2", ".j2k", ".jpx", ".heic", ".heif"),
    )
)
KEEP = object()
"""Stands for a source: the one requested last."""


@dataclass(eq=False)
class Job:
    """Work in progress for a session.

    cancel: set when the job must end, because of Stop or a newer job.
    folders: created for it, and kept while it runs.
    has_committed: whether any of its results is shown.
    step: the history step that it added.
    replaces: the step of an unfinished job that this job replaces.
    wants_samples: whether it draws samples, or replaces an unfinished job that did.
    had_draft: whether the previous job was cancelled before any of its results was shown.
    """

    serial: int
    cancel: threading.Event = field(default_factory=threading.Event)
    folders: set[Path] = field(default_factory=set)
    has_committed: bool = False
    step: Step | None = None
    replaces: Step | None = None
    had_draft: bool = False
    wants_samples: bool = False

    def check(self) -> None:
        """Raise Cancelled if the job must end."""
        if self.cancel.is_set():
            raise Cancelled("Stopped.")


class Session:
    """One open page, or one call of an endpoint.

    Args:
        folder: for its files; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.used_at = time.monotonic()
        self.is_closed = False
        self._lock = threading.Lock()
        self._told = threading.Condition(self._lock)
        self._telling: Job | None = None  # a message is on its way to the browser
        self._serial = 0
        self._amended = 0
        self._revision = 0
        self._job: Job | None = None  # the latest, running or ended
        self._running: set[Job] = set()
        self._history = History(View())
        self._compared: int | None = None
        self._marked: dict[tuple[str, int | None], int] = {}  # the latest event that did so
        self._source: Source | None = None
        self._num_folders = 0
        self._uploads: deque[Path] = deque(maxlen=3)
        self._preparation = threading.Event()
        self._tab: tuple[int, str] = (0, "")

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """The view that is shown."""
        return self._history.current.view

    @property
    def source(self) -> Source | None:
        """The picture requested last, which may not be open yet. None: there is none."""
        return self._source

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to redo."""
        return self._history.can_redo

    @property
    def is_busy(self) -> bool:
        """Whether any job is running, including an older one that is about to end."""
        return bool(self._running)

    @property
    def tab(self) -> str:
        """The tab that the visitor opened last; "" if none was opened."""
        return self._tab[1]

    @property
    def serial(self) -> int:
        """The highest serial number seen."""
        return self._serial

    def is_current(self, job: Job) -> bool:
        """Return whether no newer job has begun."""
        return self._job is job and not self.is_closed

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def begin(self, serial: int, source: Source | object | None = KEEP, *, wants_samples: bool = False) -> Job | None:
        """Make a job the current one, and cancel the previous one.

        Args:
            serial: number of the event, as counted by the page.
            source: the picture that is requested; left out: the one requested last.
            wants_samples: whether samples are requested.

        Returns:
            None if a newer event, or a later Stop, has already arrived: then there is nothing to do.
        """
        with self._lock:
            if serial <= self._serial or self.is_closed:
                return None
            self._serial = serial
            former, self._job = self._job, Job(serial, wants_samples=wants_samples)
            if former is not None and former in self._running and not former.cancel.is_set():
                self._job.replaces = former.step
                self._job.had_draft = not former.has_committed
                self._job.wants_samples |= former.wants_samples and source is KEEP
                former.cancel.set()
                self._show(self.view.settled())
            if source is not KEEP:
                self._source = source  # type: ignore[assignment]
            self._running.add(self._job)
            self.used_at = time.monotonic()
            return self._job

    def want(self, source: Source | None) -> None:
        """Set the picture that the first job will open, without starting a job."""
        with self._lock:
            if self._source is None:
                self._source = source

    def stop(self, serial: int) -> None:
        """Cancel the running job, unless it is newer than this event; also cancel older jobs that have not begun."""
        with self._lock:
            self._serial = max(self._serial, serial)
            if self._job is not None and self._job.serial < serial:
                self._job.cancel.set()

    @contextmanager
    def telling(self, job: Job) -> Iterator[bool]:
        """Hold the lock of messages to the browser: a newer job's messages wait until a running message is delivered.

        Yields: whether the job may send a message; it may not once a newer job has begun.
        """
        with self._lock:
            self._told.wait_for(lambda: self._telling in (None, job) or not self.is_current(job), TELLING_SECONDS)
            may_tell = self.is_current(job)
            if may_tell:
                self._telling = job
        try:
            yield may_tell
        finally:
            with self._lock:
                if self._telling is job:
                    self._telling = None
                    self._told.notify_all()

    def commit(self, job: Job, *, step: bool = True, **changes: Any) -> View | None:
        """Change what is shown: fields of `View`.

        The first commit of a job adds a step to the history; later ones change that step.

        Args:
            job: the job with the result.
            step: False: change the current step instead of adding one.
            changes: new values of `View`'s fields.

        Returns:
            The new view, or None if the job is no longer the current one: then nothing was changed.
        """
        with self._lock:
            if not self.is_current(job):
                return None
            view = self._stamped(replace(self.view, **changes))
            is_first = step and not job.has_committed
            if is_first and self._history.current is job.replaces:
                job.step = job.replaces
                self._history.replace(view)
            elif is_first and not (self._history.current.parent is None and self.view == View()):
                job.step = self._history.push(view)
            else:
                self._history.replace(view)
            job.has_committed |= step
            if "picture" in changes:
                self._source = None if view.picture is None else view.picture.source
            self.used_at = time.monotonic()
            return view

    def amend(self, serial: int, **changes: Any) -> View | None:
        """Change how the view is shown, without disturbing the running job. None: a newer event already did so."""
        with self._lock:
            if serial <= self._amended or self.is_closed:
                return None
            self._amended = serial
            self.used_at = time.monotonic()
            return self._show(replace(self.view, **changes))

    def open_tab(self, serial: int, name: str) -> bool:
        """Store which tab is open. False: another one was opened after this event."""
        with self._lock:
            if serial <= self._tab[0]:
                return False
            self._tab = serial, name
            return True

    def settle(self, job: Job) -> View:
        """Return the view at the end of an unfinished job: nothing is being drawn, no other picture is requested."""
        with self._lock:
            if self.is_current(job):
                self._show(self.view.settled())
                picture = self.view.picture
                self._source = None if picture is None else picture.source
            return self.view

    def end(self, job: Job) -> None:
        """End a job; to be called once for each. Its files are deleted unless something shown needs them."""
        with self._lock:
            job.cancel.set()
            self._running.discard(job)
            if job.step is not None:
                if self._job is None or self._job.step is not job.step:  # otherwise a newer job has taken it over
                    job.step.view = job.step.view.settled()
                self._history.set_bytes(job.step, sum(map(_num_bytes, job.folders)))
        self._clean()

    def move(self, job: Job, to: Callable[[History], View | None]) -> View | None:
        """Go to another step of the history. If an unfinished job has shown nothing yet, only cancel that job.

        Returns: None if there is no such step, or the job is no longer the current one.
        """
        with self._lock:
            if not self.is_current(job):
                return None
            self._history.replace(self.view.closed())  # a visitor who comes back must not find a half-made choice
            return self._arrive(self.view if job.had_draft else to(self._history))

    def go(self, job: Job, number: int) -> View | None:
        """Go to the step of that number, whatever work was running.

        Returns: None if there is no such step, or the job is no longer the current one.
        """
        with self._lock:
            if not self.is_current(job):
                return None
            self._history.replace(self.view.closed())
            return self._arrive(self._history.go(number))

    def _arrive(self, view: View | None) -> View | None:
        """Show the step of the history that was reached."""
        if view is None:
            return None
        self._source = None if view.picture is None else view.picture.source
        return self._show(view)

    def _show(self, view: View) -> View:
        """Change the current view in place, and return it with its revision."""
        view = self._stamped(view)
        self._history.replace(view)
        return view

    def _stamped(self, view: View) -> View:
        self._revision += 1
        return replace(view, revision=self._revision)

    # -- the history as it is shown ------------------------------------------------------------------------------------

    def steps(self) -> tuple[PastStep, ...]:
        """All steps of the history, oldest first."""
        with self._lock:
            return tuple(self._shown(step) for step in self._history.steps())

    def _shown(self, step: Step) -> PastStep:
        return PastStep(
            number=step.number,
            parent=None if step.parent is None else step.parent.number,
            view=step.view,
            look=step.look,
            name=step.name,
            is_pinned=step.is_pinned,
            is_current=step is self._history.current,
            is_compared=step.number == self._compared,
        )

    def name_step(self, serial: int, number: int, name: str) -> None:
        """Give a step a name; "": none. Raises: InputError: the step no longer exists."""
        with self._lock:
            step = self._find(number)
            if self._is_latest("name", number, serial):
                step.name = name
                self._show(self.view)

    def pin_step(self, serial: int, number: int, is_pinned: bool) -> None:
        """Pin or unpin a step. Raises: InputError: the step no longer exists."""
        with self._lock:
            step = self._find(number)
            if self._is_latest("pin", number, serial):
                step.is_pinned = is_pinned
                self._show(self.view)

    def compare(self, serial: int, number: int) -> None:
        """Set the step with which others are compared. Raises: InputError: the step no longer exists."""
        with self._lock:
            self._find(number)
            if self._is_latest("compare", None, serial):
                self._compared = number
                self._show(self.view)

    def _is_latest(self, what: str, number: int | None, serial: int) -> bool:
        is_latest = serial > self._marked.get((what, number), 0)
        if is_latest:
            self._marked[what, number] = serial
        return is_latest

    def _find(self, number: int) -> Step:
        step = self._history.find(number)
        if step is None:
            raise InputError(f"{STEP_GONE} Pin the steps that you want to keep.")
        return step

    def keep_look(self, number: int, kind: str, key: tuple[object, ...], thumbnail: bytes) -> None:
        """Write a step's thumbnail as PNG, kept as long as the step. If that no longer exists, nothing happens."""
        with self._lock:
            step = self._history.find(number)
            if step is None or self.is_closed:
                return
            self._num_folders += 1
            folder = self.folder / f"thumbnail-{self._num_folders}"
            folder.mkdir(parents=True)
            path = folder / "thumbnail.png"
            path.write_bytes(thumbnail)
            step.look = Look(kind=kind, path=path, key=key)  # type: ignore[arg-type]

    # -- files ---------------------------------------------------------------------------------------------------------

    def new_folder(self, job: Job, name: str) -> Path:
        """Return an empty folder. It is kept while the job runs, and then as long as a view of the history uses it."""
        with self._lock:
            self._num_folders += 1
            folder = self.folder / f"{name}-{self._num_folders}"
            job.folders.add(folder)
            folder.mkdir(parents=True)
        return folder

    def adopt(self, path: str | Path) -> Path:
        """Copy an upload to the session's own files.

        The copy is kept while something uses it, and at first in any case.

        It keeps its name for use in messages, unless the extension is not that of a picture: the page serves these
        files with the type that their names imply, and an upload must never be served as a web page.
        """
        with self._lock:
            self._num_folders += 1
            folder = self.folder / f"upload-{self._num_folders}"
            self._uploads.append(folder)
            folder.mkdir(parents=True)
        name = re.sub(r"[^\w.-]+", "_", Path(path).name)[-_MAX_NAME:]
        if Path(name).suffix.lower() not in _PICTURE_SUFFIXES:
            name = name.replace(".", "_")
        target = folder / (name or "picture")
        shutil.copyfile(path, target)
        return target

    def download_folder(self) -> Path:
        """Return the folder for files to download; each file is kept for some minutes."""
        folder = self.folder / "downloads"
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > DOWNLOAD_SECONDS:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        return folder

    def begin_preparation(self) -> threading.Event:
        """Cancel the running preparation, and return the event that will cancel the new one."""
        with self._lock:
            self._preparation.set()
            self._preparation = threading.Event()
            return self._preparation

    def close(self) -> None:
        """Stop all work and remove all files."""
        with self._lock:
            self.is_closed = True
            if self._job is not None:
                self._job.cancel.set()
            self._preparation.set()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _clean(self) -> None:
        """Delete the folders that nothing uses any more."""
        with self._lock:
            used = {folder for step in self._history.steps() for folder in step.view.folders()}
            used |= {step.look.path.parent for step in self._history.steps() if step.look is not None}
            used |= set(self._uploads)
            used |= {folder for job in self._running for folder in job.folders}
            if self._source is not None:
                used.add(self._source.path.parent)
            unused = [folder for folder in self.folder.glob("*-*") if folder not in used]
        for folder in unused:
            shutil.rmtree(folder, ignore_errors=True)


def _num_bytes(folder: Path) -> int:
    total = 0
    with suppress(OSError):
        total = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    return total
