"""Running a piece of work for a session: the only place where work is begun, cancelled, skipped, refused and tidied up.

A piece of work is a generator of `Update`s. Whatever it does for the page (opening a picture, sampling, a sweep, a call
of an endpoint), `perform` commits what it reports and turns each way to end into something that can be shown:

- It finishes: the last update stays.
- A newer job has begun: nothing more comes of it.
- It was stopped: what is finished stays; if nothing is, the page goes back to what was there.
- It fails: the same, with words that say why.
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
"""Values or updates by component, as Gradio takes them from a handler."""

UPDATE_SECONDS = 0.25
"""Progress alone is reported no more often than this."""

_log = logging.getLogger(__name__)


class Part(Enum):
    """What of a view has changed, so that panels show no more than they must."""

    PICTURE = auto()  # the picture, its region, or the settings that it would be sampled with
    ROWS = auto()  # rows of unfinished samples
    SAMPLES = auto()
    REFERENCES = auto()
    MAP = auto()  # standard deviation and mean
    SWEEP = auto()
    EXPLORED = auto()
    END = auto()  # the set, or the sweep, is complete, or was stopped


ALL = frozenset(Part)


@dataclass(frozen=True, kw_only=True)
class Update:
    """What a piece of work reports.

    text: for the status line. fraction: of the work, 0 to 1; None: there is nothing to wait for.
    changed: what panels have to show anew. changes: fields of `View` to commit. draft: a view to show without
    committing it. is_step: False: the commit is nothing to undo. values: for components that are no panel's.
    kind: of the status line. spoken: whether a screen reader reads `text` aloud.
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
        session: whose job it is.
        job: from `session.begin`; None: there is nothing to do.
        work: the work.
        on_error: what to show when the work fails; default: what was there. Its text follows what is said of the error.

    Yields:
        Each update, with the view after it. An update whose `error` is set is the last one.
    """
    if job is None:
        return
    last = 0.0
    # What the job before it had begun to show must go, or stay without waiting for more.
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
    """What `reply` gives; if it fails, what `tell` makes of the words for that."""
    try:
        return reply()
    except Exception as error:
        log_unexpected(error)
        return tell(describe_error(error))


def log_unexpected(error: Exception) -> None:
    """What nobody expected goes to the log, with its trace."""
    if not isinstance(error, SRFlowError):
        _log.error("A handler failed.", exc_info=error)
