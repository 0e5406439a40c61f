"""The callbacks of long work: how each piece of it is run, and where it may be cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["OnStep", "Run", "at_once"]

Result = TypeVar("Result")

OnStep = Callable[[], None]
"""Called between the steps of long work. It may raise an exception, e.g. `Cancelled`, to cancel the work."""


class Run(Protocol):
    """Runs a piece of work and returns its result: the engine does so when the device is free."""

    def __call__(self, work: Callable[[], Result], /) -> Result:
        """Run the piece. It may run again after memory ran out, so it must change nothing before it can finish."""
        ...


def at_once(work: Callable[[], Result], /) -> Result:
    """Run the piece at once, if there is no shared device."""
    return work()
