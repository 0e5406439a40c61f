"""The finished set with which the page opens: drawn once after the start, and shown to every visitor."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from app.examples import EXAMPLES
from app.pictures import open_source
from app.records import Source, View
from app.runs import draw
from app.session import Job
from app.settings import Settings
from app.tasks import Part, Update, perform
from app.visitors import Sessions
from srflow.contract import Engine

__all__ = ["Opening", "example_source"]


def example_source(number: int) -> Source:
    """Return an example as a source to open."""
    example = EXAMPLES[number]
    return Source(example.path, example.kind, example.name)


class Opening:
    """Draws the first example with the default settings, in a session that lives as long as the program."""

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self._engine, self._sessions = engine, sessions
        self._is_over = threading.Event()
        self._view: View | None = None

    @property
    def view(self) -> View | None:
        """The finished set; None: it is not drawn yet, or drawing failed."""
        return self._view

    def draw(self) -> None:
        """Draw the set now; unexpected failures are logged."""
        session = self._sessions.open(is_visitor=False)
        view = None

        def work(job: Job) -> Iterator[Update]:
            settings = Settings.read({}, self._engine.info())
            picture = open_source(self._engine, session, job, example_source(0), settings.model)
            changes = {"picture": picture, "settings": settings}
            yield Update(changed=frozenset({Part.PICTURE}), changes=changes)
            yield from draw(self._engine, session, job, picture, settings)

        for update, view_so_far in perform(session, session.begin(1), work):
            view = None if update.error else view_so_far
        self._view = view
        self._is_over.set()

    def wait(self, job: Job) -> View | None:
        """Wait for the finished set, and return it. Raises: Cancelled: the job was cancelled."""
        while not self._is_over.wait(0.05):
            job.check()
        return self._view
