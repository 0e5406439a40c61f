"""Soft masks on the grid of the LR picture, run-length coded: the region of an operation, and how strongly it acts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from srflow.errors import OperationError, brief

__all__ = ["MAX_BOX_PIXELS", "MAX_RUNS", "Box", "Mask", "common_box"]

MAX_SIDE = 1_000_000
"""Maximum side of a mask's picture, in LR pixels."""

MAX_BOX_PIXELS = 1 << 26
"""Maximum area of a mask's box, in LR pixels; no mask is unpacked to an array of more bytes."""

MAX_RUNS = 1 << 18
"""Maximum number of runs of one mask."""

Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are exclusive."""


@dataclass(frozen=True)
class Mask:
    """Values from 0 (not selected) to 255 (fully selected) on the LR grid; outside the box they are 0.

    Args:
        width, height: of the LR picture.
        box: left, top, right, bottom; half-open, inside the picture, not empty.
        runs: value, length, value, length, … row by row inside the box; the lengths add up to its area.
    Raises: OperationError: any of this is violated, there is too much data, or no value is above 0. Nothing is unpacked
        before everything has been checked.
    """

    width: int
    height: int
    box: Box
    runs: tuple[int, ...]

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if type(side) is not int or not 1 <= side <= MAX_SIDE:
                raise OperationError(
                    f"A mask's {name} is {brief(side)}; it must be the LR picture's, from 1 to {MAX_SIDE} pixels."
                )
        if type(self.box) is not tuple or len(self.box) != 4 or any(type(edge) is not int for edge in self.box):
            raise OperationError(f"A mask's box is {brief(self.box)}; it must be left, top, right, bottom.")
        left, top, right, bottom = self.box
        if not (0 <= left < right <= self.width and 0 <= top < bottom <= self.height):
            raise OperationError(
                f"A mask's box is {brief(self.box)}; it must contain at least one pixel and lie within the picture "
                f"of {self.width}x{self.height}."
            )
        area = (right - left) * (bottom - top)
        if area > MAX_BOX_PIXELS:
            raise OperationError(
                f"A mask's box has {area} pixels; the maximum is {MAX_BOX_PIXELS}. Select a smaller region."
            )
        if type(self.runs) is not tuple or len(self.runs) % 2 or not self.runs:
            raise OperationError("A mask's runs must be value, length, value, length, …")
        if len(self.runs) > 2 * MAX_RUNS:
            raise OperationError(f"A mask has {len(self.runs) // 2} runs; the maximum is {MAX_RUNS}. Simplify it.")
        values, lengths = self.runs[::2], self.runs[1::2]
        if any(type(value) is not int or not 0 <= value <= 255 for value in values):
            raise OperationError("A mask's values must be whole numbers from 0 to 255.")
        if any(type(length) is not int or not 1 <= length <= area for length in lengths) or sum(lengths) != area:
            raise OperationError(
                f"The lengths of a mask's runs must be whole numbers of 1 or more that add up to {area}, the pixels of "
                "its box."
            )
        if not any(values):
            raise OperationError("A mask is 0 everywhere: it selects no region. Leave the operation out.")

    @classmethod
    def from_array(cls, array: np.ndarray) -> Mask:
        """Create the mask of an array, uint8, (h, w), as large as the LR picture, with the smallest possible box.

        Raises: OperationError: the array has another type or shape, is 0 everywhere, or needs too many runs.
        """
        if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 2 or array.size == 0:
            raise OperationError("A mask's array must be uint8, (h, w), of the LR picture's size.")
        rows, columns = (np.flatnonzero(array.any(axis)) for axis in (1, 0))
        if rows.size == 0:
            raise OperationError("A mask is 0 everywhere: it selects no region. Leave the operation out.")
        box = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        flat = array[box[1] : box[3], box[0] : box[2]].ravel()
        starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
        if len(starts) > MAX_RUNS:
            raise OperationError(f"A mask has {len(starts)} runs; the maximum is {MAX_RUNS}. Simplify it.")
        lengths = np.diff(np.append(starts, flat.size))
        runs = np.stack([flat[starts].astype(np.int64), lengths], axis=1).ravel()
        return cls(array.shape[1], array.shape[0], box, tuple(runs.tolist()))

    @classmethod
    def from_values(cls, values: object) -> Mask:
        """Create a mask from the values of `to_values`, which may come from anywhere. Raises: OperationError: see the
        class.
        """
        names = ("width", "height", "box", "runs")
        if not isinstance(values, Mapping) or set(values) != set(names):
            raise OperationError(f"A mask must have {', '.join(names)} and nothing else; got {brief(values)}.")
        box, runs = values["box"], values["runs"]
        if not isinstance(box, (list, tuple)) or not isinstance(runs, (list, tuple)):
            raise OperationError("A mask's box and runs must be lists of whole numbers.")
        return cls(values["width"], values["height"], tuple(box), tuple(runs))

    def to_values(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {"width": self.width, "height": self.height, "box": list(self.box), "runs": list(self.runs)}

    @cached_property
    def support(self) -> Box:
        """Return the smallest box that contains all values above 0."""
        left, top = self.box[:2]
        inside = self._unpacked() > 0
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1

    def array(self, box: Box | None = None) -> np.ndarray:
        """Return the values inside a box, uint8, (bottom - top, right - left); None: of the whole picture.

        Beyond the picture's edges, the outermost values are repeated.
        """
        left, top, right, bottom = box or (0, 0, self.width, self.height)
        inner = max(left, 0), max(top, 0), min(right, self.width), min(bottom, self.height)
        values = np.zeros((inner[3] - inner[1], inner[2] - inner[0]), np.uint8)
        common = common_box(inner, self.box)
        if common is not None:
            values[_slices(common, inner)] = self._unpacked()[_slices(common, self.box)]
        padding = ((inner[1] - top, bottom - inner[3]), (inner[0] - left, right - inner[2]))
        return np.pad(values, padding, mode="edge") if any(map(any, padding)) else values

    def weights(self, scale: int) -> np.ndarray:
        """Return the weights at pixels `scale` times as fine, (s h, s w) of the support, from 0 to 1."""
        return self.array(self.support).repeat(scale, 0).repeat(scale, 1) / 255

    def _unpacked(self) -> np.ndarray:
        """Return the values inside the box, uint8."""
        values, lengths = np.array(self.runs[::2], np.uint8), np.array(self.runs[1::2])
        return np.repeat(values, lengths).reshape(self.box[3] - self.box[1], self.box[2] - self.box[0])


def common_box(a: Box, b: Box) -> Box | None:
    """Return the intersection of two boxes; None: it is empty."""
    box = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return box if box[0] < box[2] and box[1] < box[3] else None


def _slices(box: Box, within: Box) -> tuple[slice, slice]:
    """Return rows and columns of a box in an array that begins with `within`."""
    return slice(box[1] - within[1], box[3] - within[1]), slice(box[0] - within[0], box[2] - within[0])
