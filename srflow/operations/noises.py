"""Noise that was drawn, kept for the next operation: a slider mixes the same dozens of noises at every tick."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from torch import Tensor

from srflow.caching import LRUCache

__all__ = ["Noises"]

_MAX_BYTES = 128 * 2**20
_MAX_SHARE = 1 / 64  # of one entry: else the noises of one slider would push each other out


class Noises:
    """Noises by key, at most `max_bytes` of them. Safe for several threads. Nobody may change a tensor from here."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._cache: LRUCache[list[Tensor]] = LRUCache(max_bytes, _size, _MAX_SHARE)

    def get(self, key: Hashable, draw: Callable[[], list[Tensor]]) -> list[Tensor]:
        """The noise of that key, all levels; drawn if it is not there."""
        levels = self._cache.get(key)
        if levels is None:
            levels = draw()
            self._cache.put(key, levels)
        return list(levels)

    def num_bytes(self) -> int:
        """Memory held."""
        return self._cache.total


def _size(levels: list[Tensor]) -> int:
    return sum(level.numel() * level.element_size() for level in levels)
