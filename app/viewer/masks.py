"""A chosen place as the browser sends it: checked, and turned into numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from app.viewer.component import brief
from srflow.contract import InputError

__all__ = ["Mask", "parse_mask"]

_MAX_VALUE = 255


@dataclass(frozen=True)
class Mask:
    """A place on the low-resolution (LR) picture.

    width, height: of the LR picture. box: (left, top, right, bottom) in LR pixels, half-open; outside, the mask is 0.
    runs: value, length, value, length, …, row by row inside the box, which they fill; 255 is fully chosen.
    """

    width: int
    height: int
    box: tuple[int, int, int, int]
    runs: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The whole mask, uint8 (height, width)."""
        left, top, right, bottom = self.box
        mask = np.zeros((self.height, self.width), np.uint8)
        values = np.repeat(np.array(self.runs[::2], np.uint8), self.runs[1::2])
        mask[top:bottom, left:right] = values.reshape(bottom - top, right - left)
        return mask


def parse_mask(value: Any, width: int, height: int) -> Mask | None:
    """Read the place of a "mask" event, trusting nothing.

    Args:
        value: what the browser sent, meant to be {"mask": {"width", "height", "box", "runs"} or None, …}.
        width: of the LR picture.
        height: of the LR picture.

    Returns:
        The mask, or None if nothing is chosen.

    Raises:
        InputError: if it is anything else, or a mask of a picture of another size.
    """
    if not isinstance(value, dict) or "mask" not in value:
        raise InputError(f"A chosen place is an object with a mask; got {type(value).__name__}.")
    mask = value["mask"]
    if mask is None:
        return None
    if not isinstance(mask, dict):
        raise InputError(f"A mask is an object; got {type(mask).__name__}.")
    for name, side in (("width", width), ("height", height)):
        if type(mask.get(name)) is not int or mask[name] != side:
            raise InputError(f"The mask's {name} must be {side}, as the picture's; got {brief(mask.get(name))}.")
    box = _read_box(mask.get("box"), width, height)
    return Mask(width, height, box, _read_runs(mask.get("runs"), box))


def _read_box(value: Any, width: int, height: int) -> tuple[int, int, int, int]:
    if not isinstance(value, list) or len(value) != 4 or any(type(number) is not int for number in value):
        raise InputError(f"The mask's box is four whole numbers; got {brief(value)}.")
    left, top, right, bottom = value
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise InputError(f"The mask's box must lie in a picture of {width}×{height} pixels; got {brief(value)}.")
    return left, top, right, bottom


def _read_runs(value: Any, box: tuple[int, int, int, int]) -> tuple[int, ...]:
    left, top, right, bottom = box
    area = (right - left) * (bottom - top)
    # Each run fills a pixel at least: what is longer is refused before anything is made of it.
    if not isinstance(value, list) or len(value) % 2 or len(value) > 2 * area:
        raise InputError(f"The mask's runs are a list of values and lengths for {area} pixels; got {brief(value)}.")
    if any(type(number) is not int for number in value):
        raise InputError("The mask's runs are whole numbers.")
    if any(not 0 <= number <= _MAX_VALUE for number in value[::2]):
        raise InputError(f"The mask's values lie in 0 … {_MAX_VALUE}.")
    if any(not 0 < number <= area for number in value[1::2]) or sum(value[1::2]) != area:
        raise InputError(f"The lengths of the mask's runs are positive, and sum to the {area} pixels of its box.")
    return tuple(value)
