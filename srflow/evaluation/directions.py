"""The principal ways in which a region can differ: directions among its rolls, and the share of variance of each.

Rolls are pictures of one region drawn from independent noises e₁ … e_N. An axis of the rolls' features (PCA) gives each
roll a coordinate u_i. The mixture d = Σ u_i e_i / ‖u‖ is noise as likely as the rolls' own, but turned towards the
axis. On the great circle from the present noise to d and to -d, the picture goes further along the axis than any roll.

The alternative is the gradient of the coordinate with respect to the latents. Both were compared on five validation
regions of 24x24 LR pixels, with 48 rolls, before the consistency step, in standard deviations of the rolls. Along the
first axis of 8 px means, the mixture goes evenly from -6.8 at -90 degrees to 6.5 at 90; the gradient is already at
-18.7 and 15.3 at 10 degrees, where no sample ever is, and at -42 and 33 at the ends. Along the first axis of
orientation energy the mixture goes from -3.5 to 5.3; the gradient ends at 9 and 88, because the energy rises in both
directions. Therefore the mixture is used: it stays among pictures that the model finds likely, and needs no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from srflow.contract import Direction, InputError
from srflow.luma import LUMA
from srflow.operations.slide import MAX_WEIGHT

__all__ = ["MIN_SHARE", "find_directions", "means", "orientations", "place_features"]

MIN_SHARE = 0.03
"""Minimum share of the variance, on rolls that were not used to choose the direction; below it, only texture differs.
"""

_CELL = 8
"""Side of a cell in pixels. On the most diverse regions of ten validation pictures (12 and 24 LR pixels a side, x4),
means of such cells gave slides that reach 13 to 14 standard deviations of the rolls from end to end, and five axes that
explain 30 and 12 % on held-out rolls; smaller cells explain a third of that, and orientations reach only 7 to 9.
"""


def find_directions(features: np.ndarray, count: int, *, min_share: float = MIN_SHARE) -> tuple[Direction, ...]:
    """Return the axes along which rolls differ most, largest first; fewer, or none, if the others explain too little.

    The share of an axis is measured on rolls that were not used to choose it: the axes are chosen on one half of the
    rolls (even and odd numbers) and measured on the other, and the mean of both is taken. An axis of all rolls gets the
    share of the same rank.

    Args:
        features: (N, F) of N rolls, from `means` or `orientations`.
        count: maximum number of axes.
        min_share: minimum share of the rolls' variance that an axis must explain, 0 to 1.
    Raises: InputError: there are fewer than 8 rolls, or features that are not finite.
    """
    if features.ndim != 2 or len(features) < 8 or features.shape[1] < 1 or not np.isfinite(features).all():
        raise InputError(f"Directions need the finite features of 8 rolls or more, (N, F); got {features.shape}.")
    if count < 1:
        raise InputError(f"At least one direction must be requested; got {count}.")
    centred = features.astype(float) - features.mean(0)
    coordinates, scales, _ = np.linalg.svd(centred, full_matrices=False)
    shares = _held_out_shares(centred, min(count, len(features) // 2 - 1))
    found = []
    for rank, share in enumerate(shares):
        if share < min_share or scales[rank] <= 1e-9 * max(scales[0], 1e-300):
            break
        found.append(Direction(weights=_whole_numbers(coordinates[:, rank]), share=float(share)))
    return tuple(found)


def _held_out_shares(centred: np.ndarray, count: int) -> np.ndarray:
    """Return the shares of the first axes of each half, measured on the other half."""
    shares = np.zeros(min(count, centred.shape[1]))
    for chosen, other in ((centred[::2], centred[1::2]), (centred[1::2], centred[::2])):
        axes = np.linalg.svd(chosen - chosen.mean(0), full_matrices=False)[2][: len(shares)]
        rest = other - other.mean(0)
        total = np.square(rest).sum()
        if total > 0:
            shares += np.square(rest @ axes.T).sum(0) / total / 2
    return shares


def _whole_numbers(coordinates: np.ndarray) -> tuple[int, ...]:
    """Convert to weights of a `Slide`; the sign of an axis is chosen such that its largest weight is positive."""
    largest = coordinates[np.argmax(np.abs(coordinates))]
    return tuple(int(weight) for weight in np.rint(coordinates / largest * MAX_WEIGHT))


def place_features(pictures: Sequence[np.ndarray], weight: np.ndarray) -> np.ndarray:
    """Return the features for the directions of a region, (N, F). Arguments as for `means`."""
    return means(pictures, weight, min(_CELL, *weight.shape))


def means(pictures: Sequence[np.ndarray], weight: np.ndarray, cell: int) -> np.ndarray:
    """Return RGB means of cells, (N, F). Their axes move edges, bars and gaps.

    Args:
        pictures: uint8, (h, w, 3), all of one size.
        weight: (h, w), 0 to 1: the region.
        cell: pixels a side; remaining pixels at the right and at the bottom are left out.
    """
    weighted = np.stack([picture * weight[..., None] for picture in _checked(pictures, weight, cell)])
    return _cells(weighted, cell).reshape(len(pictures), -1)


def orientations(pictures: Sequence[np.ndarray], weight: np.ndarray, cell: int) -> np.ndarray:
    """Return the energy of the gradient of luma in four orientations by cells, (N, F): amount and direction of texture.

    Arguments as for `means`.
    """
    luma = np.stack([picture @ LUMA for picture in _checked(pictures, weight, cell)])
    down, across = np.gradient(luma, axis=(1, 2))
    angles = np.arange(4) * np.pi / 4
    energies = np.square(across[..., None] * np.cos(angles) + down[..., None] * np.sin(angles))
    return _cells(energies * weight[..., None], cell).reshape(len(pictures), -1)


def _checked(pictures: Sequence[np.ndarray], weight: np.ndarray, cell: int) -> Sequence[np.ndarray]:
    shape = weight.shape
    if not pictures or any(picture.shape != (*shape, 3) for picture in pictures):
        raise InputError(f"Directions need pictures of the region's size, {shape}.")
    if not 1 <= cell <= min(shape):
        raise InputError(f"The cells have {cell} pixels a side; they must have 1 to {min(shape)}.")
    return pictures


def _cells(values: np.ndarray, cell: int) -> np.ndarray:
    """Return means of (N, h, w, C) over cells."""
    count, height, width, channels = values.shape
    rows, columns = height // cell, width // cell
    whole = values[:, : rows * cell, : columns * cell]
    return whole.reshape(count, rows, cell, columns, cell, channels).mean((2, 4))
