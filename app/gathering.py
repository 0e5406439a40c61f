"""Collecting an engine's events: progress is forwarded to the visitor, and the requested results are kept."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar

from app.session import Job
from app.tasks import Update
from srflow.contract import Progress

__all__ = ["gather"]

_Kept = TypeVar("_Kept")


def gather(events: Iterator[object], job: Job, kept: type[_Kept]) -> Generator[Update, None, list[_Kept]]:
    """Return all events of one type; forward progress, and drop the other events.

    Raises: all errors of the engine; Cancelled: the job was cancelled.
    """
    found = []
    for event in events:
        job.check()
        if isinstance(event, Progress):
            yield Update(text=event.text, fraction=event.fraction)
        elif isinstance(event, kept):
            found.append(event)
    return found
