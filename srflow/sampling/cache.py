"""What was computed of pictures, kept for the next request; bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from srflow.sampling.inference import PreparedPicture

__all__ = ["PreparedCache"]


class PreparedCache:
    """Prepared pictures and tiles by key; when they hold more than `max_bytes`, the longest unused go.

    Not safe for several threads at once: the device's lock is held whenever it is used.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, PreparedPicture] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._entries

    def get(self, key: Hashable) -> PreparedPicture | None:
        """The entry, which is then the last used; None if there is none."""
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Hashable, prepared: PreparedPicture) -> None:
        """Keep an entry, unless it alone is too large."""
        size = prepared.num_bytes()
        if size > self.max_bytes:
            return
        while self._entries and self.num_bytes() + size > self.max_bytes:
            self._entries.popitem(last=False)
        self._entries[key] = prepared

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def num_bytes(self) -> int:
        """Memory held."""
        return sum(prepared.num_bytes() for prepared in self._entries.values())
