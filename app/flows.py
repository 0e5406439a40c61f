"""Work that several panels share: opening the requested picture, and drawing samples of it."""

from __future__ import annotations

from collections.abc import Iterator

from app.page import Page
from app.pictures import open_source
from app.records import OpenedPicture, Run
from app.runs import draw
from app.session import Job, Session
from app.settings import Settings, find_model
from app.tasks import ALL, Part, Update
from srflow.contract import InputError

__all__ = ["describe_ready", "draw_wanted", "open_wanted", "picture_changes", "redraw"]

DEBOUNCE_SECONDS = 0.05
"""A slider sends every value while it is moved; a value is drawn only if it stays unchanged for this long."""


def picture_changes(picture: OpenedPicture | None, settings: Settings | None) -> dict[str, object]:
    """Return the changes of a view that shows another picture: everything drawn from the previous one is removed."""
    return {"picture": picture, "run": None, "sweep": None, "explored": None, "settings": settings}


def describe_ready(picture: OpenedPicture) -> str:
    """Say what pressing Sample would do with this picture."""
    return "Ready: press Sample." if picture.is_whole else "Ready: press Sample to enlarge the marked crop."


def open_wanted(page: Page, session: Session, job: Job, settings: Settings) -> Iterator[Update]:
    """Open the picture that was requested last, unless it is already open.

    Raises: InputError: there is none, or it cannot be opened.
    """
    source = session.source
    if source is None:
        raise InputError("There is no picture yet. Drop one, or choose an example.")
    picture = session.view.picture
    scale = find_model(page.engine.info(), settings.model).scale_factor
    if picture is None or picture.source != source or picture.scale_factor != scale:
        picture = open_source(page.engine, session, job, source, settings.model)
        job.check()
        if page.ahead is not None:
            page.ahead.prepare(session, picture, settings)
        text = describe_ready(picture)
        yield Update(text=text, changed=ALL, changes=picture_changes(picture, settings), spoken=True)


def draw_wanted(
    page: Page, session: Session, job: Job, settings: Settings, former: Run | None = None
) -> Iterator[Update]:
    """Draw samples of the picture that was requested last.

    former: the set that new samples may be added to; default: the set that is shown.
    """
    yield from open_wanted(page, session, job, settings)
    job.wants_samples = True
    view = session.view
    if view.explored is not None and view.explored.ways:  # they may be variants of a sample that is removed
        yield Update(changed=frozenset({Part.EXPLORED}), changes={"explored": view.explored.closed()}, is_step=False)
    assert view.picture is not None
    yield from draw(page.engine, session, job, view.picture, settings, former or view.run)


def redraw(page: Page, session: Session, job: Job, settings: Settings) -> Iterator[Update]:
    """After a change of a control, draw again if samples are shown or under way; otherwise only store the settings."""
    if not job.wants_samples and session.view.run is None:
        yield from open_wanted(page, session, job, settings)
        picture = session.view.picture
        text = "" if picture is None else describe_ready(picture)
        yield Update(text=text, changed=ALL, changes={"settings": settings}, is_step=False)
        return
    job.wants_samples = True
    job.cancel.wait(DEBOUNCE_SECONDS)
    job.check()
    yield from draw_wanted(page, session, job, settings)
