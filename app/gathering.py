"""What an engine tells while it works: its progress goes on to the visitor, and what was asked for is kept."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar

from app.session import Job
from app.tasks import Update
from srflow.contract import Progress

__all__ = ["gather"]

_Kept = TypeVar("_Kept")


def gather(events: Iterator[object], job: Job, kept: type[_Kept]) -> Generator[Update, None, list[_Kept]]:
    """All events of one kind; of the others, progress is passed on and the rest is dropped.

    Raises: whatever the engine raises; Cancelled: when the job is.
    """
    found = []
    for event in events:
        job.check()
        if isinstance(event, Progress):
            yield Update(text=event.text, fraction=event.fraction)
        elif isinstance(event, kept):
            found.append(event)
    return found
