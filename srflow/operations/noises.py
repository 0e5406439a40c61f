"""Noise that was drawn, kept for the next operation: a slider mixes the same dozens of noises at every tick."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor

__all__ = ["Noises"]

_MAX_BYTES = 128 * 2**20
_MAX_SHARE = 64  # an entry may take so small a part of it: else the noises of one slider would push each other out


class Noises:
    """Noises by key; when they take more than `max_bytes`, the longest unused go. Safe for several threads.

    Nobody may change a tensor that comes from here.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, list[Tensor]] = OrderedDict()
        self._lock = threading.Lock()
        self._num_bytes = 0

    def get(self, key: Hashable, draw: Callable[[], list[Tensor]]) -> list[Tensor]:
        """The noise of that key, all levels; drawn if it is not there."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return list(self._entries[key])
        levels = draw()
        size = _size(levels)
        with self._lock:
            if key not in self._entries and size <= self.max_bytes // _MAX_SHARE:
                self._entries[key] = list(levels)
                self._num_bytes += size
            while self._num_bytes > self.max_bytes:
                self._num_bytes -= _size(self._entries.popitem(last=False)[1])
        return levels

    def num_bytes(self) -> int:
        """Memory held."""
        return self._num_bytes


def _size(levels: list[Tensor]) -> int:
    return sum(level.numel() * level.element_size() for level in levels)
