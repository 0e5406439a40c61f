"""Prepares batches in a thread, ahead of the steps that use them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, Full, Queue

from srflow.training.patches import Batch

__all__ = ["Prefetcher"]


class Prefetcher:
    """Prepares the batches of steps `first_step`, `first_step + 1`, … in a thread, a few ahead of the current one.

    It is a context manager; `next_batch` raises the errors of the thread.
    """

    def __init__(self, make: Callable[[int], Batch], first_step: int, last_step: int, depth: int) -> None:
        self._make = make
        self._steps = range(first_step, last_step)
        self._queue: Queue[Batch | Exception] = Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="srflow-patches", daemon=True)

    def __enter__(self) -> Prefetcher:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        self._thread.join()

    def next_batch(self) -> Batch:
        """Return the next step's batch."""
        while True:
            try:
                made = self._queue.get(timeout=5)
                break
            except Empty:
                if not self._thread.is_alive():
                    raise RuntimeError("The thread that draws patches has ended; there are no more batches.") from None
        if isinstance(made, Exception):
            raise made
        return made

    def _work(self) -> None:
        for step in self._steps:
            try:
                made: Batch | Exception = self._make(step)
            except Exception as error:  # passed to the training loop, which raises it
                made = error
            while not self._stopped.is_set():
                try:
                    self._queue.put(made, timeout=0.1)
                    break
                except Full:
                    continue
            if self._stopped.is_set() or isinstance(made, Exception):
                return
