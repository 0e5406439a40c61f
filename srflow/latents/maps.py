"""Maps over a picture, at the sizes of its levels; and temperatures, which may be maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srflow.errors import InputError
from srflow.latents.checks import real_number

__all__ = ["Temperature", "checked_map", "factors_of", "resize_map"]

Temperature: TypeAlias = "float | Sequence[float] | np.ndarray | Tensor"
"""A number, one number per level, or a map (see `Latents.__mul__`)."""


def resize_map(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring a map, (N, 1, h, w), to the size (H, W) of a level; it then covers the same picture.

    Where it gets smaller, each value is the mean of the area that it covers, so that nothing leaks out of a masked
    region further than the level's own grid makes it; where it gets larger, bilinear. Values stay within their range.
    """
    smaller = tuple(min(old, new) for old, new in zip(values.shape[-2:], size, strict=True))
    if smaller != tuple(values.shape[-2:]):
        values = F.adaptive_avg_pool2d(values, smaller)
    if smaller != tuple(size):
        values = F.interpolate(values, size=tuple(size), mode="bilinear", align_corners=False)
    return values


def factors_of(temperature: Temperature, levels: Sequence[Tensor]) -> list[float | Tensor]:
    """A temperature for levels, (N, C, H, W) each, as one factor a level. Raises InputError: see `Latents.__mul__`."""
    ndim = temperature.ndim if isinstance(temperature, (np.ndarray, Tensor)) else None
    if ndim == 0 or isinstance(temperature, (Real, np.bool_)):
        return [_check_temperature(temperature)] * len(levels)
    if ndim is not None and ndim != 1:
        values = checked_map(temperature, levels[0], "temperature")
        return [resize_map(values, tuple(level.shape[-2:])) for level in levels]
    if not isinstance(temperature, (Sequence, np.ndarray, Tensor)) or isinstance(temperature, (str, bytes)):
        raise InputError(
            "A temperature must be a number, one per level, or a map (an array or a tensor); "
            f"got {type(temperature).__name__}: {temperature!r}."
        )
    values = temperature if isinstance(temperature, Sequence) else temperature.tolist()
    if len(values) != len(levels):
        raise InputError(
            f"These latents have {len(levels)} levels; got {len(values)} temperatures. "
            "Give one for each level, or a single number."
        )
    return [_check_temperature(value) for value in values]


def _check_temperature(value: object) -> float:
    value = real_number(value, "temperature")
    if value < 0.0:
        raise InputError(f"A temperature must be at least 0; got {value}.")
    return value


def checked_map(values: np.ndarray | Tensor, level: Tensor, name: str) -> Tensor:
    """A map of finite values >= 0, as (N or 1, 1, h, w) with the dtype and device of a level, (N, C, H, W).

    Raises: InputError: it is anything else. name: what the message calls it.
    """
    if not isinstance(values, (np.ndarray, Tensor)):
        raise InputError(f"A {name} map must be an array or a tensor; got {type(values).__name__}.")
    size = tuple(values.shape)
    if len(size) == 2:
        values = values[None, None]
    elif len(size) != 4 or size[1] != 1 or size[0] not in (1, level.shape[0]):
        raise InputError(
            f"A {name} map must be (h, w), or (1, 1, h, w), or ({level.shape[0]}, 1, h, w) for as many samples; "
            f"got {size}."
        )
    if 0 in size:
        raise InputError(f"A {name} map must have at least one row and one column; got {size}.")
    if values.dtype in (object, torch.complex64, torch.complex128) or getattr(values.dtype, "kind", "f") not in "biuf":
        raise InputError(f"A {name} map must hold real numbers; got {values.dtype}.")
    # `+ 0` makes a copy, which numpy arrays that are read-only, or run backwards, need on their way to torch.
    values = torch.as_tensor(values + 0 if isinstance(values, np.ndarray) else values)
    values = values.to(level.device, level.dtype)
    low = float(values.min())  # NaN, if there is one
    high = float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"A {name} map must be finite; it holds {low if not math.isfinite(low) else high}.")
    if low < 0.0:
        raise InputError(f"A {name} map must not be negative; it holds {low}.")
    return values
