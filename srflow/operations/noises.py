"""A cache of noises for the next operation: a slider mixes the same dozens of noises at every position."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from torch import Tensor

from srflow.caching import LRUCache

__all__ = ["Noises"]

_MAX_BYTES = 128 * 2**20
_MAX_SHARE = 1 / 64  # maximum share of an entry: otherwise the noises of one slider would evict each other


class Noises:
    """Noises by key, at most `max_bytes` of them. Thread-safe. Nobody may change a tensor from this cache."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._cache: LRUCache[list[Tensor]] = LRUCache(max_bytes, _size, _MAX_SHARE)

    def get(self, key: Hashable, draw: Callable[[], list[Tensor]]) -> list[Tensor]:
        """Return the noise of that key, all levels; draw it if it is not cached."""
        levels = self._cache.get(key)
        if levels is None:
            levels = draw()
            self._cache.put(key, levels)
        return list(levels)

    def num_bytes(self) -> int:
        """Bytes held in memory."""
        return self._cache.total


def _size(levels: list[Tensor]) -> int:
    return sum(level.numel() * level.element_size() for level in levels)
