"""Pictures under exploration: a sample as it was drawn, and the patches that were laid into it since."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np

from srflow.caching import LRUCache
from srflow.evaluation.metrics import capped_psnr

__all__ = ["Patch", "State", "StateCache"]


@dataclass(frozen=True)
class Patch:
    """The change by one operation.

    left, top: of its corner, in HR pixels.
    squared_error: of the picture with it.
    log_prob: see `Variant`.
    """

    left: int
    top: int
    pixels: np.ndarray = field(repr=False)
    squared_error: int
    flags: tuple[str, ...]
    log_prob: float | None = None


@dataclass(frozen=True)
class State:
    """A picture, uint8 (H, W, 3), with patches laid into it in order.

    picture: as last drawn as a whole, possibly mapped from a file; must not be changed.
    squared_error: of the downscaled picture against the LR picture, summed over all values.
    flags: see `SampleResult`.
    log_prob: see `Variant`.
    """

    picture: np.ndarray = field(repr=False)
    squared_error: int
    flags: tuple[str, ...]
    log_prob: float | None = None
    patches: tuple[Patch, ...] = ()

    def with_patch(self, patch: Patch) -> State:
        """Return the state with one more patch."""
        return replace(
            self,
            patches=(*self.patches, patch),
            squared_error=patch.squared_error,
            flags=(*self.flags, *patch.flags),
            log_prob=patch.log_prob,
        )

    def crop(self, rows: slice, columns: slice) -> np.ndarray:
        """Return a copy of a part of the picture."""
        result = np.array(self.picture[rows, columns])
        for patch in self.patches:
            height, width = patch.pixels.shape[:2]
            top, bottom = max(patch.top, rows.start), min(patch.top + height, rows.start + result.shape[0])
            left, right = max(patch.left, columns.start), min(patch.left + width, columns.start + result.shape[1])
            if top < bottom and left < right:
                result[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start] = (
                    patch.pixels[top - patch.top : bottom - patch.top, left - patch.left : right - patch.left]
                )
        return result

    def whole(self) -> np.ndarray:
        """Return a copy of the whole picture."""
        return self.crop(slice(0, self.picture.shape[0]), slice(0, self.picture.shape[1]))

    def lay_down(self) -> None:
        """Lay the patches into the picture itself, which must not be shared."""
        for patch in self.patches:
            height, width = patch.pixels.shape[:2]
            self.picture[patch.top : patch.top + height, patch.left : patch.left + width] = patch.pixels
        if isinstance(self.picture, np.memmap):
            self.picture.flush()

    def lr_psnr(self, lr: np.ndarray) -> float:
        """Return the LR-PSNR in dB, at most 100, as in `SampleResult`."""
        return capped_psnr(self.squared_error / lr.size)


class StateCache(LRUCache[State | Patch]):
    """Drawn pictures and patches by their lists of operations.

    A list of operations is cached step by step, so that one more operation, or one less, costs at most one step. Of
    pictures in files, which take hours rather than memory, only the last one is kept.

    Args: max_bytes: of all pixels in memory.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, _size)

    def put(self, key: Hashable, value: State | Patch) -> None:
        """Store an entry; see `LRUCache`."""
        if key not in self and _is_mapped(value):
            self.discard(_is_mapped)
        super().put(key, value)


def _is_mapped(entry: State | Patch) -> bool:
    return isinstance(entry, State) and isinstance(entry.picture, np.memmap)


def _size(entry: State | Patch) -> int:
    if _is_mapped(entry):
        return 0
    return (entry.picture if isinstance(entry, State) else entry.pixels).nbytes
