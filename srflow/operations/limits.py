"""The size that a region must have, for tools that work on one."""

from __future__ import annotations

from dataclasses import dataclass

from srflow.errors import InputError
from srflow.operations.masks import Mask

__all__ = ["PlaceLimits", "check_size"]


@dataclass(frozen=True)
class PlaceLimits:
    """What a tool asks of a region.

    subject: the tool, e.g. "Sliders need".
    first: what to do to select a region and use the tool, as a sentence.
    smallest, largest: LR pixels a side.
    instead: what to do if the region is larger, as a sentence.
    """

    subject: str
    first: str
    largest: int
    smallest: int = 1
    instead: str = "Select a smaller one."


def check_size(mask: Mask | None, limits: PlaceLimits) -> Mask:
    """Return the region, if the tool can be used there. Raises: InputError: there is none, or its size does not fit."""
    if mask is None:
        raise InputError(f"No region is selected. {limits.first}")
    left, top, right, bottom = mask.support
    width, height = right - left, bottom - top
    is_small = min(width, height) < limits.smallest
    if is_small or max(width, height) > limits.largest:
        sizes = f"at most {limits.largest}" if limits.smallest == 1 else f"{limits.smallest} to {limits.largest}"
        raise InputError(
            f"{limits.subject} a region of {sizes} input pixels a side; this one has {width}×{height}. "
            f"{'Select a larger one.' if is_small else limits.instead}"
        )
    return mask
