"""The principal ways in which a place can differ: directions among its rolls, and how much of their variance each has.

Rolls are pictures of one place drawn from independent noises e₁ … e_N. An axis of the rolls' features (PCA) gives each
roll a coordinate u_i, and the mixture d = Σ u_i e_i / ‖u‖ is noise as ordinary as the rolls' own, but turned towards
the axis. On the great circle from the present noise to d and to -d, the picture goes further along the axis than any
roll.

The gradient of the coordinate with respect to the latents is the other way to such a direction. Compared on five
validation places of 24x24 LR pixels, 48 rolls, before the consistency step, in standard deviations of the rolls: along
the first axis of 8 px means, the mixture goes from -6.8 at -90 degrees to 6.5 at 90, evenly; the gradient is at -18.7
and 15.3 at 10 degrees already, where no sample ever is, and at -42 and 33 at the ends. Along the first axis of
orientation energy the mixture goes from -3.5 to 5.3; the gradient ends at 9 and 88, since energy rises either way. So
the mixture is taken: it stays among pictures that the model finds likely, and needs no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from srflow.contract import Direction, InputError
from srflow.luma import LUMA
from srflow.operations.slide import MAX_WEIGHT

__all__ = ["MIN_SHARE", "find_directions", "means", "orientations", "place_features"]

MIN_SHARE = 0.03
"""Of the variance, on rolls that had no part in choosing the direction; with less, only texture differs."""

_CELL = 8
"""Pixels. On the most diverse places of ten validation pictures (12 and 24 LR pixels a side, x4), means of such cells
gave slides that reach 13 to 14 standard deviations of the rolls from end to end, and five axes that explain 30 and 12 %
on held-out rolls; finer cells explain a third of that, and orientations reach 7 to 9 only."""


def find_directions(features: np.ndarray, count: int, *, min_share: float = MIN_SHARE) -> tuple[Direction, ...]:
    """The axes along which rolls differ most, largest first; fewer, or none, if the others explain too little.

    The share of an axis is measured on rolls that it was not chosen by: it is chosen by one half of them (even and odd
    numbers) and measured on the other, and the mean of both is taken. That of an axis of all rolls is the share of the
    same rank.

    Args:
        features: (N, F) of N rolls, from `means` or `orientations`.
        count: how many at most.
        min_share: of the rolls' variance that an axis must explain, 0 to 1.
    Raises: InputError: there are fewer than 8 rolls, or features that are not finite.
    """
    if features.ndim != 2 or len(features) < 8 or features.shape[1] < 1 or not np.isfinite(features).all():
        raise InputError(f"Directions need the finite features of 8 rolls or more, (N, F); got {features.shape}.")
    if count < 1:
        raise InputError(f"One direction or more can be looked for; got {count}.")
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
    """Of the first axes of each half, measured on the other half."""
    shares = np.zeros(min(count, centred.shape[1]))
    for chosen, other in ((centred[::2], centred[1::2]), (centred[1::2], centred[::2])):
        axes = np.linalg.svd(chosen - chosen.mean(0), full_matrices=False)[2][: len(shares)]
        rest = other - other.mean(0)
        total = np.square(rest).sum()
        if total > 0:
            shares += np.square(rest @ axes.T).sum(0) / total / 2
    return shares


def _whole_numbers(coordinates: np.ndarray) -> tuple[int, ...]:
    """As weights of a `Slide`; of the two signs that an axis may have, the one whose largest weight is positive."""
    largest = coordinates[np.argmax(np.abs(coordinates))]
    return tuple(int(weight) for weight in np.rint(coordinates / largest * MAX_WEIGHT))


def place_features(pictures: Sequence[np.ndarray], weight: np.ndarray) -> np.ndarray:
    """What the directions of a place are found by, (N, F). Arguments as for `means`."""
    return means(pictures, weight, min(_CELL, *weight.shape))


def means(pictures: Sequence[np.ndarray], weight: np.ndarray, cell: int) -> np.ndarray:
    """RGB means of cells, (N, F): what is where. Such axes move edges, bars and gaps.

    Args:
        pictures: uint8, (h, w, 3), all of one size.
        weight: (h, w), 0 to 1: the place.
        cell: pixels a side; what is left over at the right and at the bottom is left out.
    """
    weighted = np.stack([picture * weight[..., None] for picture in _checked(pictures, weight, cell)])
    return _cells(weighted, cell).reshape(len(pictures), -1)


def orientations(pictures: Sequence[np.ndarray], weight: np.ndarray, cell: int) -> np.ndarray:
    """Energy of the gradient of luma in four orientations by cells, (N, F): how much texture, and which way it runs.

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
        raise InputError(f"Directions need pictures of the place's size, {shape}.")
    if not 1 <= cell <= min(shape):
        raise InputError(f"The cells are of {cell} pixels; they must be of 1 to {min(shape)}.")
    return pictures


def _cells(values: np.ndarray, cell: int) -> np.ndarray:
    """Means of (N, h, w, C) over cells."""
    count, height, width, channels = values.shape
    rows, columns = height // cell, width // cell
    whole = values[:, : rows * cell, : columns * cell]
    return whole.reshape(count, rows, cell, columns, cell, channels).mean((2, 4))
