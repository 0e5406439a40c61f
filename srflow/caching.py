"""A cache of bounded size that drops the least recently used values."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["LRUCache"]

Value = TypeVar("Value")


class LRUCache(Generic[Value]):
    """Values by key; if their total size exceeds `limit`, the least recently used are dropped. Thread-safe.

    Args:
        limit: of the sum of all sizes.
        size: returns the size of a value, in the unit of the limit, which must stay constant; default: each counts as
        1.
        max_share: maximum share of the limit for one value, 0 to 1; a larger one is not stored.
    """

    def __init__(self, limit: int, size: Callable[[Value], int] = lambda _: 1, max_share: float = 1.0) -> None:
        self.limit = limit
        self._size, self._max_size = size, limit * max_share
        self._entries: OrderedDict[Hashable, Value] = OrderedDict()
        self._lock = threading.Lock()
        self._total = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable) -> Value | None:
        """Return the value, and mark it as the last used; None if there is none."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Store a value, unless it is too large, or the key exists already."""
        size = self._size(value)
        with self._lock:
            if key in self._entries or size > self._max_size:
                return
            while self._total + size > self.limit:
                self._total -= self._size(self._entries.popitem(last=False)[1])
            self._entries[key] = value
            self._total += size

    def discard(self, unwanted: Callable[[Value], bool]) -> None:
        """Remove the values for which the condition is true."""
        with self._lock:
            for key in [key for key, value in self._entries.items() if unwanted(value)]:
                self._total -= self._size(self._entries.pop(key))

    def clear(self) -> None:
        """Remove all values."""
        self.discard(lambda _: True)

    @property
    def total(self) -> int:
        """The total size of all values."""
        return self._total
