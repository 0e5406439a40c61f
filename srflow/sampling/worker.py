"""The device and its cached data: one piece of work at a time, timed; the cache is dropped when memory runs out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from srflow.caching import LRUCache
from srflow.presets import ModelConfig
from srflow.sampling.guard import Decoded, decode
from srflow.sampling.hardware import trim_allocator
from srflow.sampling.inference import InferenceModel, PreparedPicture
from srflow.work import OnStep

__all__ = ["OutOfMemory", "Work", "Worker"]

Work = Literal["conditioning", "sampling", "finishing"]
_Result = TypeVar("_Result")


class OutOfMemory(Exception):  # noqa: N818 - an event: smaller tiles are tried
    """The device does not have enough memory for a piece of work, even with an empty cache."""


class Worker:
    """Runs models on one device. Its lock is free between pieces of work, so that several requests take turns.

    Args: cache_bytes: maximum size of all cached conditionings.
    """

    def __init__(self, device: torch.device, cache_bytes: int) -> None:
        self.device = device
        self.cache: LRUCache[PreparedPicture] = LRUCache(cache_bytes, PreparedPicture.num_bytes)
        self._caches: list[LRUCache[Any]] = [self.cache]
        self._lock = threading.Lock()
        self._seconds_per_pixel: dict[tuple[Work, ModelConfig, torch.dtype], float] = {}

    def keep(self, cache: LRUCache[Any]) -> None:
        """Have a cache of what else lies on the device emptied, too, when memory runs out."""
        self._caches.append(cache)

    def seconds_per_pixel(self, what: Work, config: ModelConfig, dtype: torch.dtype) -> float | None:
        """Return the seconds per LR pixel, as last measured with a model of that architecture and precision; None
        before.
        """
        return self._seconds_per_pixel.get((what, config, dtype))

    def record(self, what: Work, model: InferenceModel, pixels: int, seconds: float) -> None:
        """Store how long a piece of work on `num_pixels` LR pixels took."""
        self._seconds_per_pixel[what, model.config, model.dtype] = seconds / pixels

    def condition(
        self,
        model: InferenceModel,
        lr: Tensor,
        key: Hashable,
        keep: bool,
        stop: OnStep,
        on_step: OnStep,
        waiting: OnStep | None = None,
    ) -> PreparedPicture:
        """Return what does not depend on the sample, from the cache if it is there under `key`; cache it if `keep`.

        Args:
            lr: (1, 3, h, w), on any device.
            stop: called while waiting for the device, and once when it is free. It may raise.
            on_step: called between blocks and steps. It may raise.
            waiting: called every tenth of a second while another request has the device.
        """
        with self._taken(stop, waiting):
            prepared = self.cache.get(key)
            if prepared is None:
                with self._measured("conditioning", model, lr.shape[-2] * lr.shape[-1]):
                    prepared = self._retried(lambda: model.condition(lr.to(self.device), on_step))
                if keep:
                    self.cache.put(key, prepared)
        return prepared

    def decode(
        self,
        model: InferenceModel,
        latents: Sequence[Tensor],
        prepared: PreparedPicture,
        stop: OnStep,
        on_step: OnStep,
        waiting: OnStep | None = None,
    ) -> list[Decoded]:
        """Decode samples of one picture or tile: see `guard.decode`; the last three arguments as for `condition`."""
        pixels = prepared.height * prepared.width * latents[0].shape[0]

        def work() -> list[Decoded]:
            return decode(model, [latent.to(self.device) for latent in latents], prepared, on_step)

        with self._taken(stop, waiting), self._measured("sampling", model, pixels):
            return self._retried(work)

    def super_resolve(self, model: InferenceModel, lr: Tensor, stop: OnStep, waiting: OnStep | None = None) -> Tensor:
        """Return the encoder's own picture, (3, s h, s w); arguments as for `condition`."""
        with self._taken(stop, waiting):
            return self._retried(lambda: model.super_resolve(lr.to(self.device), stop))[0]

    def run(self, work: Callable[[], _Result], stop: OnStep, waiting: OnStep | None = None) -> _Result:
        """Run any other work on the device, e.g. the consistency step or LPIPS. See `srflow.work.Run`.

        Args: stop, waiting: as for `condition`.
        Raises: OutOfMemory: even with an empty cache.
        """
        with self._taken(stop, waiting):
            return self._retried(work)

    @contextmanager
    def _measured(self, what: Work, model: InferenceModel, pixels: int) -> Iterator[None]:
        """Time a piece of work on a number of LR pixels."""
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.record(what, model, pixels, time.perf_counter() - started)

    @contextmanager
    def _taken(self, stop: OnStep, waiting: OnStep | None) -> Iterator[None]:
        """Wait for the device, and hold it."""
        while not self._lock.acquire(timeout=0.1):
            stop()
            if waiting is not None:
                waiting()
        try:
            stop()
            with torch.inference_mode():
                yield
        finally:
            self._lock.release()

    def _retried(self, work: Callable[[], _Result]) -> _Result:
        """Run the work again with an empty cache if memory runs out."""
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
        # This is outside the except block: the error holds the frames, and so the tensors, of the failed work.
        self.free()
        raise OutOfMemory(failure)

    def free(self) -> None:
        """Release all cached data."""
        for cache in self._caches:
            cache.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()

    def trim(self) -> None:
        """Return freed memory to the system; to be called after a tile, because tiles fragment the heap."""
        if self.device.type == "cpu":
            trim_allocator()


def _is_out_of_memory(error: RuntimeError) -> bool:
    # A CPU's allocator has no error class of its own.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
