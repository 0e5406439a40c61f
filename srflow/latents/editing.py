"""New latents from two others: mixed, on the way from one to the other, or one put into the other at a place."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from srflow.errors import InputError
from srflow.latents.checks import real_number
from srflow.latents.levels import Latents, check_same_shapes, sum_dtype
from srflow.latents.maps import checked_map, resize_map

__all__ = ["mix", "replace", "walk"]


def mix(a: Latents, b: Latents, angle: float) -> Latents:
    """cos(angle) a + sin(angle) b: standard normal again if a and b are, and are independent.

    Args:
        a, b: latents of the same shapes; either may hold one sample, which then meets all of the other's.
        angle: radians; 0 gives a, pi/2 gives b.

    Raises: InputError: if the shapes differ or the angle is not finite.
    """
    check_same_shapes(a, b, broadcast=True)
    angle = real_number(angle, "angle")
    cos, sin = math.cos(angle), math.sin(angle)
    return Latents([cos * x + sin * y for x, y in zip(a, b, strict=True)])


def walk(a: Latents, b: Latents, t: float) -> Latents:
    """Go from a (t = 0) to b (t = 1) along the great circle between them, per sample and per level.

    The direction turns at a constant rate and the norm changes linearly, so no point of the way is duller or wilder
    than its ends, as the middle of a straight line would be (its norm is 0.71 of theirs).

    Each level has its own circle: where a and b agree in one level and differ in another, the first then stays as it
    is. One circle for all levels would blow it up by as much as it shrinks the other. For the same reason latents that
    agree in a part of the picture should be walked whole and put into place after that:
    `replace(a, walk(a, b, t), mask)`.

    If b points the opposite way to a there are many shortest ways; one is chosen, always the same.

    Args:
        a, b: latents of the same shapes; either may hold one sample, which then meets all of the other's.
        t: from 0 to 1.

    Raises: InputError: if the shapes differ or t is out of range.
    """
    check_same_shapes(a, b, broadcast=True)
    t = real_number(t, "t")
    if not 0.0 <= t <= 1.0:
        raise InputError(f"t must be from 0 (the first latents) to 1 (the second); got {t}.")
    return Latents([_walk_level(x, y, t) for x, y in zip(a, b, strict=True)])


def replace(a: Latents, b: Latents, mask: np.ndarray | Tensor) -> Latents:
    """Take b where the mask is 1, a where it is 0, and in between sqrt(1 - mask) a + sqrt(mask) b.

    The square roots keep the variance of independent latents at 1 where a mask is soft; a hard mask becomes soft at its
    edges in levels of another size.

    Args:
        a, b: latents of the same shapes; either may hold one sample, which then meets all of the other's.
        mask: values in [0, 1], or bool; (h, w) or (N or 1, 1, h, w), of any positive size: see `resize_map`.

    Raises: InputError: if the shapes differ or the mask does not fit.
    """
    check_same_shapes(a, b, broadcast=True)
    larger = a if a.num_samples >= b.num_samples else b
    mask = checked_map(mask, larger[0], "mask")
    if float(mask.max()) > 1.0:
        raise InputError(f"A mask must have values from 0 to 1; got {float(mask.max())}.")
    levels = []
    for x, y in zip(a, b, strict=True):
        m = resize_map(mask, tuple(x.shape[-2:])).clamp(0.0, 1.0)  # (N or 1, 1, H, W)
        levels.append((1.0 - m).sqrt() * x + m.sqrt() * y)
    return Latents(levels)


def _walk_level(x: Tensor, y: Tensor, t: float) -> Tensor:
    """`walk` for one level, (N, C, H, W)."""
    x, y = torch.broadcast_tensors(x, y)
    a, b = x.flatten(1), y.flatten(1)  # (N, D)
    norm_a = torch.linalg.vector_norm(a, dim=1, keepdim=True, dtype=sum_dtype(a))
    norm_b = torch.linalg.vector_norm(b, dim=1, keepdim=True, dtype=sum_dtype(b))
    # A zero vector (temperature 0) has no direction: it takes the other's, and only the norm changes on the way.
    from_unit = torch.where(norm_a > 0, a / norm_a, b / norm_b).nan_to_num()
    to_unit = torch.where(norm_b > 0, b / norm_b, from_unit)
    cos = (from_unit * to_unit).sum(dim=1, keepdim=True)
    across = to_unit - cos * from_unit
    sin = torch.linalg.vector_norm(across, dim=1, keepdim=True)
    # Parallel or opposite: any direction across will do. Neighbouring values swapped, one sign turned, is one.
    parallel = sin < 1e-6
    across = torch.where(parallel, _perpendicular(from_unit), across / sin)
    angle = torch.atan2(sin, cos)
    unit = (t * angle).cos() * from_unit + (t * angle).sin() * across
    norm = (1.0 - t) * norm_a + t * norm_b
    return (norm * unit).to(x.dtype).reshape(x.shape)


def _perpendicular(unit: Tensor) -> Tensor:
    """A unit vector perpendicular to each of these, (N, D); zero where D is 1 and there is none."""
    pairs = unit[:, : unit.shape[1] // 2 * 2].unflatten(1, (-1, 2))  # (N, D // 2, 2)
    turned = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(1)
    turned = F.pad(turned, (0, unit.shape[1] - turned.shape[1]))
    return F.normalize(turned, dim=1)
