"""The device and what is kept on it: one piece of work at a time, timed, and forgotten when memory runs out."""

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
    """The device has not enough memory for a piece of work, even with nothing else kept."""


class Worker:
    """Runs models on one device. Its lock is free between pieces of work, so that several requests take turns.

    Args: cache_bytes: how much prepared pictures may hold together.
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
        """Of LR, as last measured with a model of that architecture and precision; None before that."""
        return self._seconds_per_pixel.get((what, config, dtype))

    def record(self, what: Work, model: InferenceModel, pixels: int, seconds: float) -> None:
        """Remember how long a piece of work on so many LR pixels took."""
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
        """What does not depend on the sample, from the cache if it is there under `key`; kept there if `keep`.

        Args:
            lr: (1, 3, h, w), on any device.
            stop: called while waiting for the device, and once when it is free. It may raise.
            on_step: called between blocks and steps. It may raise.
            waiting: called every tenth of a second while somebody else has the device.
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
        """Samples of one picture or tile: see `guard.decode`; the last three as for `condition`."""
        pixels = prepared.height * prepared.width * latents[0].shape[0]

        def work() -> list[Decoded]:
            return decode(model, [latent.to(self.device) for latent in latents], prepared, on_step)

        with self._taken(stop, waiting), self._measured("sampling", model, pixels):
            return self._retried(work)

    def super_resolve(self, model: InferenceModel, lr: Tensor, stop: OnStep, waiting: OnStep | None = None) -> Tensor:
        """The encoder's own picture, (3, s h, s w); arguments as for `condition`."""
        with self._taken(stop, waiting):
            return self._retried(lambda: model.super_resolve(lr.to(self.device), stop))[0]

    def run(self, work: Callable[[], _Result], stop: OnStep, waiting: OnStep | None = None) -> _Result:
        """Any other work on the device, e.g. the consistency step or LPIPS. See `srflow.work.Run`.

        Args: stop, waiting: as for `condition`.
        Raises: OutOfMemory: even with nothing else kept.
        """
        with self._taken(stop, waiting):
            return self._retried(work)

    @contextmanager
    def _measured(self, what: Work, model: InferenceModel, pixels: int) -> Iterator[None]:
        """Time a piece of work on so many LR pixels."""
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.record(what, model, pixels, time.perf_counter() - started)

    @contextmanager
    def _taken(self, stop: OnStep, waiting: OnStep | None) -> Iterator[None]:
        """The device, as soon as it is free."""
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
        for cache in self._caches:
            cache.clear()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        elif self.device.type == "mps":
            torch.mps.empty_cache()

    def trim(self) -> None:
        """Give memory that was freed back to the system; after a tile, which leaves holes of its own sizes."""
        if self.device.type == "cpu":
            trim_allocator()


def _is_out_of_memory(error: RuntimeError) -> bool:
    # A CPU's allocator has no error class of its own.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
