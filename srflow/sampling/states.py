"""Pictures that somebody explores: a sample as it was drawn, and the patches that were laid into it since."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np

from srflow.evaluation.metrics import capped_psnr

__all__ = ["Patch", "State", "StateCache"]


@dataclass(frozen=True)
class Patch:
    """What one operation changed.

    left, top: of its corner, in HR pixels. squared_error: of the picture with it. log_prob: see `Variant`.
    """

    left: int
    top: int
    pixels: np.ndarray = field(repr=False)
    squared_error: int
    flags: tuple[str, ...]
    log_prob: float | None = None


@dataclass(frozen=True)
class State:
    """A picture, uint8 (H, W, 3), with patches laid into it in their order.

    picture: as it was last drawn as a whole, perhaps mapped from a file; not to be changed. squared_error: of the
    picture, scaled down, against the LR picture, summed over all values. flags: see `SampleResult`. log_prob: see
    `Variant`.
    """

    picture: np.ndarray = field(repr=False)
    squared_error: int
    flags: tuple[str, ...]
    log_prob: float | None = None
    patches: tuple[Patch, ...] = ()

    def with_patch(self, patch: Patch) -> State:
        """One patch more."""
        return replace(
            self,
            patches=(*self.patches, patch),
            squared_error=patch.squared_error,
            flags=(*self.flags, *patch.flags),
            log_prob=patch.log_prob,
        )

    def crop(self, rows: slice, columns: slice) -> np.ndarray:
        """A part of the picture, the caller's own."""
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
        """All of the picture, the caller's own."""
        return self.crop(slice(0, self.picture.shape[0]), slice(0, self.picture.shape[1]))

    def lay_down(self) -> None:
        """Lay the patches into the picture itself, which must be nobody else's."""
        for patch in self.patches:
            height, width = patch.pixels.shape[:2]
            self.picture[patch.top : patch.top + height, patch.left : patch.left + width] = patch.pixels
        if isinstance(self.picture, np.memmap):
            self.picture.flush()

    def lr_psnr(self, lr: np.ndarray) -> float:
        """In dB, at most 100, as in `SampleResult`."""
        return capped_psnr(self.squared_error / lr.size)


class StateCache:
    """Drawn pictures and patches by what they are made of; when they take more than `max_bytes`, the longest unused go.

    A list of operations is cached step by step, so that one operation more, or one less, costs one step at most. Safe
    for several threads. Of pictures that lie in files, which take hours rather than memory, only the last one is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, State | Patch] = OrderedDict()
        self._lock = threading.Lock()
        self._num_bytes = 0

    def get(self, key: Hashable) -> State | Patch | None:
        """The entry, which is then the last used."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: Hashable, entry: State | Patch) -> None:
        """Keep an entry, unless it alone is too large."""
        with self._lock:
            if key in self._entries or _size(entry) > self.max_bytes:
                return
            if _is_mapped(entry):
                self._entries = OrderedDict((k, e) for k, e in self._entries.items() if not _is_mapped(e))
            self._entries[key] = entry
            self._num_bytes += _size(entry)
            while self._num_bytes > self.max_bytes:
                self._num_bytes -= _size(self._entries.popitem(last=False)[1])

    def num_bytes(self) -> int:
        """Memory held by pixels."""
        return self._num_bytes


def _is_mapped(entry: State | Patch) -> bool:
    return isinstance(entry, State) and isinstance(entry.picture, np.memmap)


def _size(entry: State | Patch) -> int:
    if _is_mapped(entry):
        return 0
    return (entry.picture if isinstance(entry, State) else entry.pixels).nbytes
