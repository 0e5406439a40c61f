"""Grain of one region for another: the fine detail that downscaling removes, added to what the input determines.

The latents of a sample contain no grain: they are noise wherever they are taken from. Those of a photo contain some of
it, but the model decodes them by the features of the target region. Methods were compared on five pairs of regions of
validation pictures (scales onto stone, hair onto fur, …; sources of 32x32 LR pixels, targets of 24x24, τ .9, the
shipped ×4 model), by the energy of brightness in four octaves and four directions. The RMS difference from the source,
in dB:

    another roll of the region                                                                       6.7
    the photo's latents, tiled by random shifts, every position scaled to the size of samples'       6.0
    the same in tiles of 8x8 cells                                                                   6.6
    only the channels' covariance, whitened and coloured; halfway to the unit matrix                 7.4; 7.0
    this: the photo's detail, added and made consistent                                              3.4
    the same, as likely as samples (`srflow.sampling.graining`)                                      4.0

Visually, too, only the last two transfer strands and scales; tiled latents look like another roll, but rougher. The
detail is that of brightness: in colour it was no nearer to the source, and farther from samples' log-likelihood, by 15
standard deviations on average (to either side) instead of 9.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from srflow.errors import InputError
from srflow.images import bicubic_downscale, bicubic_upscale, crop_to_multiple, to_tensor, to_uint8
from srflow.luma import LUMA
from srflow.operations import Box

__all__ = ["MIN_SOURCE", "lay_grain"]

_FADE = 2  # LR pixels over which pieces fade into each other
MIN_SOURCE = 3 * _FADE
"""LR pixels a side of the smallest region that can provide grain."""

_AROUND = 4  # LR pixels around a region on which its enlargement depends


def lay_grain(lr: np.ndarray, source: np.ndarray, box: Box, scale: int, seed: int) -> np.ndarray:
    """Return a region's bicubic enlargement plus another picture's detail: brightness minus what its downscaling keeps.

    If the source is smaller than the region, pieces of it are cut out at random, by whole LR pixels, and placed side by
    side. They fade with weights whose squares add up to 1, so that the grain is equally strong everywhere.

    Args:
        lr: the LR picture, uint8, (h, w, 3).
        source: the region from which grain is taken, uint8, (H, W, 3), at the scale of the HR picture; at least
            `MIN_SOURCE` LR pixels a side.
        box: the region that gets it, in LR pixels.
        scale: factor between the pictures.
        seed: of the shifts.
    Returns: the region, uint8, (s h, s w, 3) of the box.
    Raises: InputError: the source is of another kind, or too small.
    """
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3:
        raise InputError(f"Grain needs a colour picture of 8 bits; got {source.dtype} {source.shape}.")
    if min(source.shape[:2]) < MIN_SOURCE * scale:
        raise InputError(
            f"The source region has {source.shape[1]}x{source.shape[0]} pixels; at x{scale} each side needs at "
            f"least {MIN_SOURCE * scale}. Select a larger one."
        )
    whole = to_tensor(crop_to_multiple(source, scale))
    detail = (whole - bicubic_upscale(bicubic_downscale(whole, scale), scale))[0]
    brightness = torch.tensordot(torch.from_numpy(LUMA).to(detail), detail, 1)
    smooth = _enlarged(lr, box, scale)
    height, width = smooth.shape[-2:]
    return to_uint8(smooth + _tiled(brightness, height, width, scale, np.random.default_rng(seed)))


def _enlarged(lr: np.ndarray, box: Box, scale: int) -> Tensor:
    """Return the enlargement of a region of the LR picture, (1, 3, s h, s w)."""
    left, top, right, bottom = box
    first_row, first_column = max(0, top - _AROUND), max(0, left - _AROUND)
    around = to_tensor(lr[first_row : bottom + _AROUND, first_column : right + _AROUND])
    return bicubic_upscale(around, scale)[
        ...,
        (top - first_row) * scale : (bottom - first_row) * scale,
        (left - first_column) * scale : (right - first_column) * scale,
    ]


def _tiled(detail: Tensor, height: int, width: int, scale: int, rng: np.random.Generator) -> Tensor:
    """Fill (height, width) with randomly cut pieces of (H, W)."""
    fade = _FADE * scale
    rows, columns = (_side(have, wanted, scale) for have, wanted in zip(detail.shape, (height, width), strict=True))
    weight = _ramp(rows, fade)[:, None] * _ramp(columns, fade)
    total, squares = torch.zeros(height, width), torch.zeros(height, width)
    for top in range(0, max(1, height - fade), rows - fade):
        for left in range(0, max(1, width - fade), columns - fade):
            down, across = (
                int(rng.integers((have - side) // scale + 1)) * scale
                for have, side in zip(detail.shape, (rows, columns), strict=True)
            )
            here = slice(top, top + rows), slice(left, left + columns)
            own = weight[: height - top, : width - left]
            piece = detail[down : down + rows, across : across + columns][: height - top, : width - left]
            total[here] += own * piece
            squares[here] += own.square()
    return total / squares.sqrt()


def _side(have: int, wanted: int, scale: int) -> int:
    """Return the side of a piece: the whole side needed, or less, to leave room for shifts."""
    return wanted if have >= wanted else max(MIN_SOURCE * scale, 3 * have // 4 // scale * scale)


def _ramp(side: int, fade: int) -> Tensor:
    """Return the weight of a piece along one of its sides."""
    distances = torch.minimum(torch.arange(side), torch.arange(side).flip(0)) + 0.5
    return (distances / fade).clamp_max(1.0)
