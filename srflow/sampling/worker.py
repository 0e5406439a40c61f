"""The device and what is kept on it: one piece of work at a time, timed, and forgotten when memory runs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch
from torch import Tensor

from srflow.sampling.cache import PreparedCache
from srflow.sampling.guard import Decoded, decode
from srflow.sampling.inference import InferenceModel, PreparedPicture

__all__ = ["OutOfMemory", "Work", "Worker"]

Callback = Callable[[], None]
Work = Literal["conditioning", "sampling", "finishing"]
_Result = TypeVar("_Result")


class OutOfMemory(Exception):  # noqa: N818 - an event: smaller tiles are tried
    """The device has not enough memory for a piece of work, even with nothing else kept."""


class Worker:
    """Runs models on one device. Its lock is free between pieces of work, so that several requests take turns.

    Args: cache_bytes: how much prepared pictures may hold together.
    """

    def __init__(self, device: torch.device, cache_bytes: int) -> None:
        self.device = device
        self.cache = PreparedCache(cache_bytes)
        self._lock = threading.Lock()
        self._seconds_per_pixel: dict[tuple[Work, str, torch.dtype], float] = {}

    def seconds_per_pixel(self, what: Work, architecture: str, dtype: torch.dtype) -> float | None:
        """Of LR, as last measured with a model of that name and precision; None before that."""
        return self._seconds_per_pixel.get((what, architecture, dtype))

    @contextmanager
    def measured(self, what: Work, model: InferenceModel, pixels: int) -> Iterator[None]:
        """Time a piece of work on so many LR pixels."""
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self._seconds_per_pixel[what, model.config.name, model.dtype] = (time.perf_counter() - started) / pixels

    def condition(
        self, model: InferenceModel, lr: Tensor, key: Hashable, keep: bool, stop: Callback, checkpoint: Callback
    ) -> PreparedPicture:
        """What does not depend on the sample, from the cache if it is there under `key`; kept there if `keep`.

        Args: lr: (1, 3, h, w).  stop: called while waiting for the device.  checkpoint: called between blocks and
            steps. Both may raise.
        """
        with self._taken(stop):
            prepared = self.cache.get(key)
            if prepared is None:
                with self.measured("conditioning", model, lr.shape[-2] * lr.shape[-1]):
                    prepared = self._retried(lambda: model.condition(lr, checkpoint))
                if keep:
                    self.cache.put(key, prepared)
        return prepared

    def decode(
        self,
        model: InferenceModel,
        latents: Sequence[Tensor],
        prepared: PreparedPicture,
        stop: Callback,
        checkpoint: Callback,
    ) -> list[Decoded]:
        """Samples of one picture or tile: see `guard.decode`; `stop` and `checkpoint` as for `condition`."""
        pixels = prepared.height * prepared.width * latents[0].shape[0]
        with self._taken(stop), self.measured("sampling", model, pixels):
            on_device = [latent.to(self.device) for latent in latents]
            return self._retried(lambda: decode(model, on_device, prepared, checkpoint))

    def super_resolve(self, model: InferenceModel, lr: Tensor, stop: Callback) -> Tensor:
        """The encoder's own picture, (3, s h, s w)."""
        with self._taken(stop):
            return self._retried(lambda: model.super_resolve(lr, stop))[0]

    def run(self, work: Callable[[], _Result], stop: Callback) -> _Result:
        """Any other work on the device; `stop` as for `condition`."""
        with self._taken(stop):
            return self._retried(work)

    @contextmanager
    def _taken(self, stop: Callback) -> Iterator[None]:
        """The device, as soon as it is free."""
        while not self._lock.acquire(timeout=0.1):
            stop()
        try:
            stop()
            with torch.inference_mode():
                yield
        finally:
            self._lock.release()

    def _retried(self, work: Callable[[], _Result]) -> _Result:
        """Once more with an empty cache if memory runs out."""
        try:
            return work()
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        self.free()
        try:
            return work()
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            failure = str(error)
        # Raised outside: the error that was caught holds the frames, and so the tensors, of the work that failed.
        self.free()
        raise OutOfMemory(failure)

    def free(self) -> None:
        """Give back what is kept."""
        self.cache.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _is_out_of_memory(error: RuntimeError) -> bool:
    # A CPU's allocator has no error class of its own.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
