"""Standard normal latents by seed and sample number, whole or a region of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from srflow.errors import InputError
from srflow.latents.checks import whole_number
from srflow.latents.levels import Latents
from srflow.noise import MAX_WORD, standard_normal

__all__ = ["check_seed", "draw", "draw_region"]

_VALUES_PER_BAND = 2**18  # drawn at once, so that large levels need little more memory than their result


def draw(
    shapes: Sequence[tuple[int, int, int]],
    num_samples: int,
    seed: int,
    first_sample: int = 0,
    device: torch.device | str = "cpu",
) -> Latents:
    """Draw standard normal latents, before temperature.

    Sample i of seed s is a function of (s, i, shapes) alone, bit for bit: not of the number of samples, the device, the
    versions of torch and numpy, or of how it is cut into tiles (`draw_region`). Different (s, i) are independent.

    Args:
        shapes: (C, H, W) of every level, finest first.
        num_samples: how many samples, at least 1.
        seed: 0 to 2**64 - 1; 0 is a seed like any other.
        first_sample: number of the first one, so that samples can be drawn in batches.
        device: where the result goes; drawing is done on the CPU.

    Returns: float32 latents of `num_samples` samples.

    Raises: InputError: if any of these is out of range.
    """
    num_samples = whole_number(num_samples, "num_samples", 1, MAX_WORD)
    first_sample = whole_number(first_sample, "first_sample", 0, MAX_WORD + 1 - num_samples)
    if not shapes:
        raise InputError("Latents need at least one level; got no shapes.")
    levels = []
    for i, shape in enumerate(shapes):
        samples = [draw_region(shape, i, first_sample + n, seed) for n in range(num_samples)]
        levels.append(torch.stack(samples).to(device))
    return Latents(levels)


def draw_region(
    shape: tuple[int, int, int],
    level: int,
    sample: int,
    seed: int,
    rows: slice = slice(None),
    columns: slice = slice(None),
) -> Tensor:
    """A region of one level of one sample: the same values as cut from what `draw` gives, without drawing the rest.

    The stream of a level runs over rows, then columns, then channels, so that whole rows, and the columns of a tile
    within a row, are unbroken ranges of it.

    Args:
        shape: (C, H, W) of the whole level.
        level: its index in the latents, 0 for the finest.
        sample, seed: as for `draw`.
        rows, columns: the region; step 1, and not empty.

    Returns: (C, number of rows, number of columns), float32, on the CPU.

    Raises: InputError: if any of these is out of range.
    """
    seed = check_seed(seed)
    sample = whole_number(sample, "sample", 0, MAX_WORD)
    level = whole_number(level, "level", 0, MAX_WORD)
    if len(shape) != 3:
        raise InputError(f"The shape of a level must be (C, H, W); got {tuple(shape)}.")
    C, H, W = (whole_number(size, "each of C, H and W", 1, MAX_WORD) for size in shape)
    top, bottom = _range(rows, H, "rows")
    left, right = _range(columns, W, "columns")
    values = np.empty((C, bottom - top, right - left), dtype=np.float32)
    band = max(1, _VALUES_PER_BAND // ((right - left) * C))
    for first in range(top, bottom, band):
        last = min(first + band, bottom)
        if right - left == W:  # whole rows follow each other in the stream
            starts, count = [first * W * C], (last - first) * W * C
        else:
            starts, count = [(row * W + left) * C for row in range(first, last)], (right - left) * C
        drawn = standard_normal(seed, sample, level, starts, count).reshape(last - first, right - left, C)
        values[:, first - top : last - top] = drawn.transpose(2, 0, 1)
    return torch.from_numpy(values)


def check_seed(seed: int) -> int:
    """The seed as an int.

    Raises: InputError: if it is no whole number from 0 to 2**64 - 1 (a bool is none).
    """
    return whole_number(seed, "seed", 0, MAX_WORD)


def _range(region: slice, size: int, name: str) -> tuple[int, int]:
    """First and last + 1 of a slice of rows or columns."""
    start, stop, step = region.indices(size)
    if step != 1 or start >= stop:
        raise InputError(f"The {name} of a region must be some of 0 to {size - 1}, one by one; got {region}.")
    return start, stop
