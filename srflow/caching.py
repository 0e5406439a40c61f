"""A cache of bounded size, which forgets what was not used for longest."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["LRUCache"]

Value = TypeVar("Value")


class LRUCache(Generic[Value]):
    """Values by key; when they are larger than `limit` together, the least recently used go. Safe for several threads.

    Args:
        limit: of the sum of all sizes.
        size: of a value, in the unit of the limit, which must not change while it is kept; default: each counts as 1.
        max_share: of the limit, that one value may take, 0 to 1; a larger one is not kept.
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
        """The value, which is then the last used; None if there is none."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value, unless it is too large, or there is one of that key."""
        size = self._size(value)
        with self._lock:
            if key in self._entries or size > self._max_size:
                return
            while self._total + size > self.limit:
                self._total -= self._size(self._entries.popitem(last=False)[1])
            self._entries[key] = value
            self._total += size

    def discard(self, unwanted: Callable[[Value], bool]) -> None:
        """Forget the values of which that is true."""
        with self._lock:
            for key in [key for key, value in self._entries.items() if unwanted(value)]:
                self._total -= self._size(self._entries.pop(key))

    def clear(self) -> None:
        """Forget everything."""
        self.discard(lambda _: True)

    @property
    def total(self) -> int:
        """Size of all values."""
        return self._total
