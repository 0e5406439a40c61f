"""What long work is given by those who ask for it: how each piece of it is run, and where it may be stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["OnStep", "Run", "at_once"]

Result = TypeVar("Result")

OnStep = Callable[[], None]
"""Called between the steps of long work. It may raise, e.g. `Cancelled`, so that the work stops there."""


class Run(Protocol):
    """Runs a piece of work and returns what it gives: the engine does so when the device is free."""

    def __call__(self, work: Callable[[], Result], /) -> Result:
        """The piece may be run a second time, after memory ran out: it changes nothing before it is sure to end."""
        ...


def at_once(work: Callable[[], Result], /) -> Result:
    """Where there is no device to be shared."""
    return work()
