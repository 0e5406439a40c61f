"""Pictures of one place, weighed: their latents, and how likely the model finds them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from srflow.caching import LRUCache
from srflow.contract import MemoryBudgetError
from srflow.images import to_tensor
from srflow.model import Conditioning, SRFlow
from srflow.sampling.inference import cut_box
from srflow.sampling.regions import CONTEXT, Region, scaled
from srflow.sampling.states import State
from srflow.sampling.turn import Turn
from srflow.sampling.worker import OutOfMemory

__all__ = ["Scales", "Weighed", "Yardstick", "Yardsticks"]

_Result = TypeVar("_Result")

_BATCH_PIXELS = 64 * 1024  # HR pixels that are encoded together
_MAX_YARDSTICKS = 4  # of some 20 MB each, for a place of 24x24 LR pixels


@dataclass(frozen=True)
class Weighed:
    """A picture of a place. latents: (C, h, w) of every level of `Region.decoded`, at temperature, on the CPU.

    log_prob: of what is inside `Region.chosen`, in nats, with all around it as it is.
    """

    latents: list[Tensor] = field(repr=False)
    log_prob: float


class Scales:
    """Weighs pictures of one place. They compare with each other only.

    Args:
        turn: the request's, at the device.  model: in float32, on the device.
        padded: the LR picture as the model takes it, (1, 3, h, w), on the CPU.
        region: the place.
        conditioning: of the region, from other scales of it; None: it is computed when it is first needed.
    """

    def __init__(
        self,
        turn: Turn,
        model: SRFlow,
        padded: Tensor,
        region: Region,
        conditioning: Conditioning | None = None,
    ) -> None:
        self._turn, self._model, self._padded = turn, model, padded
        self.region = region
        self._conditioning = conditioning

    @property
    def conditioning(self) -> Conditioning:
        """Of the region."""
        if self._conditioning is None:
            self._conditioning = self._condition()
        return self._conditioning

    def crop_of(self, state: State) -> np.ndarray:
        """A picture's `Region.decoded`, uint8, (h, w, 3); where that reaches beyond it, its edges are repeated."""
        rows, columns = scaled(self.region.decoded, self._model.scale_factor)
        inner = state.crop(rows, columns)
        missing = rows.stop - rows.start - inner.shape[0], columns.stop - columns.start - inner.shape[1]
        return np.pad(inner, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")

    def weigh(self, crops: Sequence[np.ndarray]) -> list[Weighed]:
        """Weigh crops of `Region.decoded`, uint8 (h, w, 3) or float32 (3, h, w) in [0, 1]."""
        conditioning = self.conditioning
        result: list[Weighed] = []
        batch = max(1, _BATCH_PIXELS // (conditioning.height * conditioning.width * self._model.scale_factor**2))
        for first in range(0, len(crops), batch):
            self._turn.stop()
            pictures = torch.cat([_picture(crop) for crop in crops[first : first + batch]])
            result += self._run(partial(self._weigh, pictures, conditioning))
        return result

    def _run(self, work: Callable[[], _Result]) -> _Result:
        try:
            return self._turn.run(work)
        except OutOfMemory as error:
            raise MemoryBudgetError(
                "The device has not enough memory to judge this place. Choose a smaller one."
            ) from error

    def _weigh(self, pictures: Tensor, conditioning: Conditioning) -> list[Weighed]:
        latents, by_place = self._model.encode_by_place(pictures.to(self._model.device), conditioning)
        rows, columns = scaled(self.region.chosen, self._model.scale_factor, self.region.decoded)
        sums = by_place[:, rows, columns].double().sum((1, 2)).tolist()
        return [Weighed([level[n].cpu() for level in latents], sums[n]) for n in range(len(pictures))]

    def _condition(self) -> Conditioning:
        """Of the region, with what the encoder sees around it."""
        height, width = self._padded.shape[-2:]
        left, top, right, bottom = self.region.decoded
        seen = max(0, left - CONTEXT), max(0, top - CONTEXT), min(width, right + CONTEXT), min(height, bottom + CONTEXT)
        seen_rows, seen_columns = scaled(seen, 1)
        rows, columns = scaled(self.region.decoded, 1, seen)

        def work() -> Conditioning:
            whole = self._model.condition(self._padded[..., seen_rows, seen_columns], self._turn.stop)
            size = whole.height, whole.width
            cut = whole.map(lambda tensor: cut_box(tensor, rows, columns, size))
            return replace(cut, height=bottom - top, width=right - left)

        return self._run(work)


@dataclass(frozen=True)
class Yardstick:
    """What edits of one place of one picture are compared with. samples: of the place, weighed."""

    conditioning: Conditioning = field(repr=False)
    samples: list[Weighed] = field(repr=False)


class Yardsticks(LRUCache[Yardstick]):
    """Those of the last few places, so that a second edit of a place takes half the time."""

    def __init__(self) -> None:
        super().__init__(_MAX_YARDSTICKS)


def _picture(crop: np.ndarray) -> Tensor:
    return to_tensor(crop) if crop.dtype == np.uint8 else torch.from_numpy(crop)[None]
