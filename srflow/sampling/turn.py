"""The turn of a request at the device: all of the engine's computation for it goes through it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor

from srflow.contract import Cancelled, MemoryBudgetError, Progress
from srflow.sampling.background import Channel
from srflow.sampling.guard import Decoded
from srflow.sampling.inference import InferenceModel, PreparedPicture
from srflow.sampling.worker import OutOfMemory, Worker
from srflow.work import OnStep

__all__ = ["Turn", "named_memory_error"]

_Result = TypeVar("_Result")


class Turn:
    """Runs a request's pieces of work, each when the device is free, and reports progress.

    Between pieces other requests have their turn. A piece for which memory runs out is repeated with an empty cache.
    All callbacks raise Cancelled once the request was cancelled, or nobody listens any more.

    Args:
        worker: the device.
        cancel: set when the request is to be cancelled; None: it cannot be cancelled.
        channel: receives events; None: nothing is reported until all is done.
    """

    def __init__(
        self, worker: Worker, cancel: threading.Event | None = None, channel: Channel[Any] | None = None
    ) -> None:
        self.worker = worker
        self._cancel, self._channel = cancel, channel
        self._fraction = 0.0  # of all work, as last reported

    def stop(self) -> None:
        """Raise Cancelled if the request was cancelled, or nobody listens any more."""
        if self._channel is not None:
            self._channel.check()
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("Stopped.")

    def send(self, event: object) -> None:
        """Send an event; wait while too many are waiting. Not to be called in a piece of work."""
        self.stop()
        if self._channel is not None:
            self._channel.send(event)

    def tell(self, progress: Progress) -> None:
        """Send a progress event, which may be dropped."""
        self.stop()
        self._fraction = progress.fraction
        if self._channel is not None:
            self._channel.offer(progress)

    def run(self, work: Callable[[], _Result]) -> _Result:
        """Run a piece of work. It may run again, after memory ran out. Raises: OutOfMemory: even then."""
        return self.worker.run(work, self.stop, self._waiting)

    def condition(
        self, model: InferenceModel, lr: Tensor, key: Hashable, keep: bool, on_step: OnStep
    ) -> PreparedPicture:
        """See `Worker.condition`."""
        return self.worker.condition(model, lr, key, keep, self.stop, on_step, self._waiting)

    def decode(
        self, model: InferenceModel, latents: Sequence[Tensor], prepared: PreparedPicture, on_step: OnStep
    ) -> list[Decoded]:
        """See `Worker.decode`."""
        return self.worker.decode(model, latents, prepared, self.stop, on_step, self._waiting)

    def super_resolve(self, model: InferenceModel, lr: Tensor) -> Tensor:
        """See `Worker.super_resolve`."""
        return self.worker.super_resolve(model, lr, self.stop, self._waiting)

    def _waiting(self) -> None:
        text = "Waiting: the device is busy with another request"
        self.tell(Progress(stage="waiting", fraction=self._fraction, text=text))


@contextmanager
def named_memory_error() -> Iterator[None]:
    """Convert an unhandled OutOfMemory to a named error."""
    try:
        yield
    except OutOfMemory as error:
        raise MemoryBudgetError(
            "The device does not have enough memory for this, even with an empty cache. Choose a smaller region."
        ) from error
