"""Checks whether an array can be a picture."""

from __future__ import annotations

import numpy as np

from srflow.errors import InputError

__all__ = ["check_uint8"]


def check_uint8(array: np.ndarray, ndims: tuple[int, ...] = (3,)) -> None:
    """Check an array. Raises InputError: it is not uint8, has an unsupported shape, or is empty."""
    shapes = " or ".join({3: "(H, W, 3)", 2: "(H, W)"}[ndim] for ndim in ndims)
    if not isinstance(array, np.ndarray):
        raise InputError(f"A picture must be a uint8 array {shapes}; got {type(array).__name__}.")
    fits = array.ndim in ndims and (array.ndim == 2 or array.shape[2] == 3)
    if not fits or array.dtype != np.uint8 or array.size == 0:
        raise InputError(f"A picture must be a uint8 array {shapes}; got {array.dtype} {array.shape}.")
