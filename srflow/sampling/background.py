"""Work in a separate thread, seen as an iterator: the thread goes on working, and can report progress at any point."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Generic, TypeVar

from srflow.contract import Cancelled

__all__ = ["Channel", "in_background"]

Event = TypeVar("Event")
_MAX_WAITING = 8  # maximum number of waiting events; a worker that is further ahead waits
_END = object()


class Channel(Generic[Event]):
    """The channel into which a worker sends events. Its methods raise Cancelled as soon as nobody listens any more."""

    def __init__(self) -> None:
        self._events: queue.Queue[object] = queue.Queue(_MAX_WAITING)
        self._abandoned = threading.Event()

    def send(self, event: Event) -> None:
        """Send an event; wait while too many are waiting. Not to be called while holding a lock."""
        self._put(event)

    def offer(self, event: Event) -> None:
        """Send an event that may be dropped; never waits."""
        self.check()
        with suppress(queue.Full):
            self._events.put_nowait(event)

    def check(self) -> None:
        """Raise Cancelled if nobody listens any more."""
        if self._abandoned.is_set():
            raise Cancelled("Stopped.")

    def _put(self, item: object) -> None:
        while True:
            self.check()
            try:
                return self._events.put(item, timeout=0.1)
            except queue.Full:
                continue


def in_background(work: Callable[[Channel[Event]], None], name: str) -> Generator[Event, None, None]:
    """Run `work` in a thread and yield the events it sends; its errors are raised here, after earlier events.

    The thread starts when the first event is requested. When the iterator is closed, the worker's channel raises
    Cancelled, and closing waits until the worker has ended, so that its memory is free.
    """
    channel: Channel[Event] = Channel()
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work(channel)
        except BaseException as error:  # any error is passed on
            failure.append(error)
        with suppress(Cancelled):
            channel._put(_END)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        while True:
            event = channel._events.get()
            if event is _END:
                break
            yield event  # type: ignore[misc]
    finally:
        channel._abandoned.set()
        thread.join()
    if failure:
        raise failure[0]
