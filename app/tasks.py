"""Running work for a session: the only module where work is started, cancelled, skipped, refused and cleaned up.

A piece of work is a generator of `Update`s: opening a picture, sampling, a sweep, or a call of an endpoint. `perform`
commits the updates, and shows a result for each way in which work can end:

- It finishes: the last update stays.
- A newer job has begun: its further updates are ignored.
- It was stopped: finished results stay; if there are none, the page returns to its previous state.
- It fails: the same, with a message that says why.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from app.memory import release_memory
from app.records import View
from app.session import Job, Session
from app.wording import describe_error, describe_stop
from srflow.contract import Cancelled, SRFlowError

__all__ = ["ALL", "Part", "Update", "Values", "Work", "answer", "log_unexpected", "perform"]

Values = dict[Any, Any]
"""Values or updates by component, as a handler returns them to Gradio."""

UPDATE_SECONDS = 0.25
"""Seconds between updates that report only progress."""

_log = logging.getLogger(__name__)


class Part(Enum):
    """What has changed in a view, so that panels update only what is needed."""

    PICTURE = auto()  # the picture, its crop, or the settings with which it would be sampled
    ROWS = auto()  # rows of unfinished samples
    SAMPLES = auto()
    REFERENCES = auto()
    MAP = auto()  # standard deviation and mean
    SWEEP = auto()
    EXPLORED = auto()
    END = auto()  # the set, or the sweep, is complete or was stopped


ALL = frozenset(Part)


@dataclass(frozen=True, kw_only=True)
class Update:
    """A report from a piece of work.

    text: for the status line.
    fraction: of the work, 0 to 1; None: no progress bar.
    changed: parts that panels must update.
    changes: fields of `View` to commit.
    draft: a view to show without committing it.
    is_step: False: the commit adds no step.
    values: for components that belong to no panel.
    kind: of the status line.
    spoken: whether a screen reader reads `text` aloud.
    """

    text: str = ""
    fraction: float | None = None
    changed: frozenset[Part] = frozenset()
    changes: Mapping[str, Any] = field(default_factory=dict)
    draft: View | None = None
    is_step: bool = True
    values: Values = field(default_factory=dict)
    kind: str = ""
    spoken: bool = False
    error: Exception | None = None


Work = Callable[[Job], Iterator[Update]]


def perform(
    session: Session, job: Job | None, work: Work, on_error: Callable[[Exception], Update] | None = None
) -> Iterator[tuple[Update, View]]:
    """Do the work of a job.

    Args:
        session: the session of the job.
        job: from `session.begin`; None: there is nothing to do.
        work: the work.
        on_error: what to show if the work fails; default: the previous state. Its text follows the error message.

    Yields:
        Each update, with the view after it. An update whose `error` is set is the last one.
    """
    if job is None:
        return
    last = 0.0
    # Remove what the previous job had begun to show, or show it as finished, because no more updates follow.
    is_left_over = job.had_draft or job.replaces is not None
    try:
        for update in work(job):
            if is_left_over:
                update = replace(update, changed=update.changed if update.draft else ALL)
                is_left_over = False
            has_more = update.changes or update.draft or update.changed or update.values or update.spoken
            if not has_more and update.fraction is not None and time.monotonic() - last < UPDATE_SECONDS:
                continue
            last = time.monotonic()
            view: View | None = update.draft or session.view
            if update.changes:
                view = session.commit(job, step=update.is_step, **update.changes)
            if view is None or not session.is_current(job):
                return
            yield update, view
    except Cancelled as error:
        if session.is_current(job):
            yield _after_stop(session, job, error)
    except Exception as error:
        log_unexpected(error)
        if session.is_current(job):
            view = session.settle(job)
            more = Update() if on_error is None else on_error(error)
            text = f"{describe_error(error)} {more.text}".rstrip()
            update = replace(more, text=text, changed=ALL, kind="error", error=error)
            if update.changes:
                view = session.commit(job, **update.changes)
            if view is not None:
                yield update, view
    finally:
        session.end(job)
        release_memory()


def _after_stop(session: Session, job: Job, error: Cancelled) -> tuple[Update, View]:
    view = session.settle(job)
    text = describe_stop(view.run if job.has_committed else None)
    return Update(text=text, changed=ALL, spoken=True, error=error), view


def answer(reply: Callable[[], Any], tell: Callable[[str], Any]) -> Any:
    """Return the values from `reply`; if it fails, those that `tell` makes of the error message."""
    try:
        return reply()
    except Exception as error:
        log_unexpected(error)
        return tell(describe_error(error))


def log_unexpected(error: Exception) -> None:
    """Log an unexpected error with its traceback."""
    if not isinstance(error, SRFlowError):
        _log.error("A handler failed.", exc_info=error)
