"""Numbers that a caller gives: whole or real, in a range, and no bool."""

from __future__ import annotations

import math
from numbers import Integral, Real

import numpy as np
from torch import Tensor

from srflow.errors import InputError
from srflow.noise import MAX_WORD

__all__ = ["real_number", "whole_number"]


def real_number(value: object, name: str) -> float:
    """A finite real number as a float. Raises InputError if it is anything else; a bool or text is."""
    if isinstance(value, (np.ndarray, Tensor)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise InputError(f"The {name} must be a number; got {value!r}.")
    if not math.isfinite(value):
        raise InputError(f"The {name} must be finite; got {value}.")
    return float(value)


def whole_number(value: object, name: str, low: int, high: int) -> int:
    """A whole number from low to high as an int. Raises InputError if it is anything else; a bool is."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise InputError(f"{name} must be a whole number; got {value!r}.")
    if not low <= int(value) <= high:
        raise InputError(f"{name} must be from {low} to {_readable(high)}; got {value}.")
    return int(value)


def _readable(limit: int) -> str:
    return "2**64 - 1" if limit == MAX_WORD else str(limit)
