"""A request at the device: all that the engine computes for it goes through its turn."""

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
    """Runs a request's pieces of work, each when the device is free, and tells those who wait how far it is.

    Between pieces others have their turn. A piece for which memory runs out is done again with nothing else kept.
    Whatever is called here raises Cancelled once the request was cancelled, or nobody listens any more.

    Args:
        worker: the device.
        cancel: set when the request is to stop; None: it is not cancelled.
        channel: told what happens; None: nobody is, until all is done.
    """

    def __init__(
        self, worker: Worker, cancel: threading.Event | None = None, channel: Channel[Any] | None = None
    ) -> None:
        self.worker = worker
        self._cancel, self._channel = cancel, channel
        self._fraction = 0.0  # of all work, as last told

    def stop(self) -> None:
        """Raise Cancelled if the request was cancelled, or nobody listens any more."""
        if self._channel is not None:
            self._channel.check()
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("Stopped.")

    def send(self, event: object) -> None:
        """Hand over an event; waits while too many are waiting. Not to be called in a piece of work."""
        self.stop()
        if self._channel is not None:
            self._channel.send(event)

    def tell(self, progress: Progress) -> None:
        """Hand over progress, which may get lost."""
        self.stop()
        self._fraction = progress.fraction
        if self._channel is not None:
            self._channel.offer(progress)

    def run(self, work: Callable[[], _Result]) -> _Result:
        """A piece of work. It may be run a second time, after memory ran out. Raises: OutOfMemory: even then."""
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
        text = "Waiting: the device draws something else"
        self.tell(Progress(stage="waiting", fraction=self._fraction, text=text))


@contextmanager
def named_memory_error() -> Iterator[None]:
    """OutOfMemory that nobody else has made a named error of becomes one."""
    try:
        yield
    except OutOfMemory as error:
        raise MemoryBudgetError(
            "The device has not enough memory for this, even with nothing else kept on it. Choose a smaller region."
        ) from error
