"""Pictures of any size as candidates for a place: their middle, in the place's proportions, scaled to its size."""

from __future__ import annotations

import numpy as np
from PIL import Image

from srflow.errors import InputError

__all__ = ["MIN_CROP", "fit_crop"]

MIN_CROP = 4
"""Pixels a side of the part that is used: with fewer, there is nothing to compare."""


def fit_crop(pixels: np.ndarray, height: int, width: int) -> tuple[np.ndarray, str]:
    """A picture in the size of a place. What sticks out of the place's proportions is cut off evenly on both sides.

    Scaled by Lanczos (3 lobes), with the kernel widened where it is made smaller, so that nothing aliases.

    Args:
        pixels: uint8, (H, W, 3).
        height: of the result, in pixels.
        width: likewise.
    Returns: uint8, (height, width, 3); and what was done, e.g. "scaled from 90×64", or "" where it had the size.
    Raises: InputError: it is no such picture, or what is used of it has a side below 4 pixels.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(f"A candidate must be a colour picture of 8 bits; got {pixels.dtype} {pixels.shape}.")
    tall, wide = pixels.shape[:2]
    if (tall, wide) == (height, width):
        return pixels, ""
    used = min(wide, tall * width / height), min(tall, wide * height / width)
    if min(used) < MIN_CROP:
        raise InputError(
            f"The picture is {wide}×{tall}; cut to the region's proportions, {min(used):.1f} pixels remain on a side; "
            f"{MIN_CROP} are needed. Crop it to the proportions of the region."
        )
    left, top = (wide - used[0]) / 2, (tall - used[1]) / 2
    image = Image.fromarray(pixels)
    fitted = image.resize((width, height), Image.Resampling.LANCZOS, (left, top, left + used[0], top + used[1]))
    # What differs by less than a pixel is the place's rounding, not another shape.
    cut = "" if max(wide - used[0], tall - used[1]) < 1 else ", its edges cut off"
    return np.array(fitted), f"scaled from {wide}×{tall}{cut}"
