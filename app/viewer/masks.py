"""Checks of what the browser sends when a visitor selects a region."""

from __future__ import annotations

from typing import Any

from srflow.contract import InputError
from srflow.errors import brief
from srflow.operations import Mask

__all__ = ["parse_mask"]


def parse_mask(value: Any, width: int, height: int) -> Mask | None:
    """Check and read the region of a "mask" or "explore" event.

    Args:
        value: what the browser sent, meant to be {"mask": {"width", "height", "box", "runs"} or None, …}.
        width: of the low-resolution picture.
        height: of the low-resolution picture.

    Returns:
        The mask, or None if nothing is selected.

    Raises:
        InputError: it is anything else, or a mask for another picture size.
    """
    if not isinstance(value, dict) or "mask" not in value:
        raise InputError(f"A selected region must be an object with a mask; got {type(value).__name__}.")
    if value["mask"] is None:
        return None
    values = value["mask"]
    sides = [values.get(name) if isinstance(values, dict) else None for name in ("width", "height")]
    if any(type(side) is not int for side in sides) or sides != [width, height]:
        raise InputError(
            f"A mask of this picture must have {width}×{height} pixels; got {' × '.join(map(brief, sides))}."
        )
    return Mask.from_values(values)
