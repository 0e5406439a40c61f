"""A cache of noises for the next operation: a slider mixes the same dozens of noises at every position."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor

__all__ = ["Noises"]

_MAX_BYTES = 128 * 2**20
_MAX_SHARE = 64  # maximum share of an entry: otherwise the noises of one slider would evict each other


class Noises:
    """Noises by key; beyond `max_bytes`, the least recently used are dropped. Thread-safe.

    Nobody may change a tensor from this cache.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, list[Tensor]] = OrderedDict()
        self._lock = threading.Lock()
        self._num_bytes = 0

    def get(self, key: Hashable, draw: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Return the noise of that key, all levels; draw it if it is not cached."""
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
        """Bytes held in memory."""
        return self._num_bytes


def _size(levels: list[Tensor]) -> int:
    return sum(level.numel() * level.element_size() for level in levels)
