"""Drawing a model's samples of a picture, for all measurements."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from srflow.images import to_tensor

if TYPE_CHECKING:
    from srflow.model import SRFlow

__all__ = ["MAX_PIXELS_PER_BATCH", "DrawnBatch", "PictureSampler", "Refine", "Stopwatch"]

MAX_PIXELS_PER_BATCH = 1_000_000
"""HR pixels of the super-resolutions that are decoded together: 6 pictures of BSD100, 1 of DIV2K."""

Refine = Callable[[Tensor, Tensor], Tensor]
"""A step after sampling: maps sr, (B, 3, s h, s w), and lr, (1, 3, h, w), to an improved sr; floats in [0, 1], not
clipped.
"""


@dataclass(frozen=True)
class DrawnBatch:
    """Samples on the CPU, floats, nominally in [0, 1].

    plain: from the model, (B, 3, s h, s w). refined: the same after refining, if requested. decode_seconds,
    refine_seconds: for the whole batch.
    """

    plain: Tensor
    refined: Tensor | None
    decode_seconds: float
    refine_seconds: float


class PictureSampler:
    """A model's samples of one LR picture, whose conditioning is computed once.

    Sample i of a seed is the same in every batch; at other temperatures its noise is only scaled.

    Args:
        model: in eval mode, on the device where it is to run.
        lr: uint8, (h, w, 3).
        refine: e.g. `srflow.consistency.back_project` with its numbers fixed.
        max_pixels: HR pixels of the samples that are decoded together; bounds the memory.
    """

    def __init__(
        self, model: SRFlow, lr: np.ndarray, refine: Refine | None = None, max_pixels: int = MAX_PIXELS_PER_BATCH
    ) -> None:
        self._model = model
        self._refine = refine
        self.size: tuple[int, int] = lr.shape[:2]
        self.lr = to_tensor(lr).to(model.device)
        self._batch = max(1, max_pixels // (self.size[0] * self.size[1] * model.scale_factor**2))
        with torch.no_grad(), Stopwatch(model.device) as watch:
            self.conditioning = model.condition(self.lr)
        self.condition_seconds = watch.seconds

    def draw(self, num_samples: int, temperature: float, seed: int) -> Iterator[DrawnBatch]:
        """Yield samples 0, 1, … of a seed, in batches."""
        for first in range(0, num_samples, self._batch):
            yield self._draw_batch(first, min(self._batch, num_samples - first), temperature, seed)

    @torch.no_grad()
    def _draw_batch(self, first: int, count: int, temperature: float, seed: int) -> DrawnBatch:
        model = self._model
        latents = model.draw_latents(*self.size, num_samples=count, seed=seed, first_sample=first)
        with Stopwatch(model.device) as decoding:
            sr = model.decode(latents * temperature, self.conditioning)
        plain = sr.cpu()
        if self._refine is None:
            return DrawnBatch(plain, None, decoding.seconds, 0.0)
        with Stopwatch(model.device) as refining:
            sr = self._refine(sr, self.lr)
        return DrawnBatch(plain, sr.cpu(), decoding.seconds, refining.seconds)


class Stopwatch:
    """Measures the seconds spent in a `with` block, including work on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds = 0.0

    def __enter__(self) -> Stopwatch:
        self._wait()
        self._start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait()
        self.seconds = time.perf_counter() - self._start

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
