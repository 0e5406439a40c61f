"""Strokes drawn into a region, finer than the pixels of the LR picture, and how well a picture agrees with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from srflow.errors import InputError, brief
from srflow.luma import LUMA

__all__ = ["MAX_POINTS", "MAX_STROKES", "MAX_WIDTH", "Stroke", "open_share"]

MAX_STROKES = 32
MAX_POINTS = 128
"""Maximum number of points of one stroke."""

MAX_WIDTH = 4.0
"""Maximum width, in pixels of the super-resolution. The input determines anything as wide as an LR pixel."""

_MAX_SIDE = 1024.0  # of a region, in pixels of the super-resolution
_AROUND = 4  # LR pixels around a region, for the bicubic kernel
_ROUNDS = 8
_STEP = 4  # parts of a pixel to which coordinates are rounded
_WANTS = ("brighter", "darker", "colour")


@dataclass(frozen=True)
class Stroke:
    """A line of round ends, and what it shall be.

    Args:
        want: "brighter", "darker" or "colour".
        width: in pixels of the large picture, 1 to 4.
        points: x, y of each of 1 to 128 points, in pixels of the large picture from the place's upper left corner, 0 to
            1024; rounded to quarters.
        colour: red, green and blue, 0 to 255; of "colour" alone, else ().
    Raises: InputError: they are out of range.
    """

    want: str
    width: float
    points: tuple[float, ...]
    colour: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.want not in _WANTS:
            raise InputError(f"A stroke is drawn to be one of {', '.join(_WANTS)}; got {brief(self.want)}.")
        if not _are_numbers([self.width], 1.0, MAX_WIDTH):
            raise InputError(f"A stroke is 1 to {MAX_WIDTH:g} pixels wide; got {brief(self.width)}.")
        count = len(self.points) if isinstance(self.points, tuple | list) else 0
        if count % 2 or not 2 <= count <= 2 * MAX_POINTS:
            raise InputError(f"A stroke has x and y of 1 to {MAX_POINTS} points; got {brief(self.points)}.")
        if not _are_numbers(self.points, 0.0, _MAX_SIDE):
            raise InputError(f"The points of a stroke are from 0 to {_MAX_SIDE:g}; got {brief(self.points)}.")
        is_coloured = self.want == "colour"
        if not isinstance(self.colour, tuple | list) or len(self.colour) != 3 * is_coloured:
            raise InputError(f"Strokes in a colour take red, green and blue, others none; got {brief(self.colour)}.")
        if not _are_numbers(self.colour, 0.0, 255.0):
            raise InputError(f"A stroke's red, green and blue are from 0 to 255; got {brief(self.colour)}.")
        object.__setattr__(self, "width", float(self.width))
        object.__setattr__(self, "points", tuple(round(each * _STEP) / _STEP for each in self.points))
        object.__setattr__(self, "colour", tuple(map(float, self.colour)))

    def to_values(self) -> dict[str, Any]:
        """For JSON."""
        values: dict[str, Any] = {"want": self.want, "width": self.width, "points": list(self.points)}
        return values | ({"colour": list(self.colour)} if self.colour else {})

    @staticmethod
    def from_values(values: object) -> Stroke:
        """The inverse of `to_values`, from anywhere. Raises: InputError: it is anything else."""
        needed = {"want", "width", "points"}
        if not isinstance(values, Mapping) or not needed <= set(values) <= needed | {"colour"}:
            raise InputError(f"A stroke is its want, width and points, and perhaps a colour; got {brief(values)}.")
        points, colour = values["points"], values.get("colour", [])
        if not isinstance(points, list) or not isinstance(colour, list):
            raise InputError(f"The points and the colour of a stroke are lists; got {brief(values)}.")
        return Stroke(values["want"], values["width"], tuple(points), tuple(colour))

    def coverage(self, height: int, width: int) -> np.ndarray:
        """How much of each pixel of a place it covers, (height, width), 0 to 1.

        A pixel is covered as far as its middle is nearer to the line than half the width, give or take half a pixel: of
        a line along pixels' middles or edges that is the exact share.
        """
        rows, columns = np.mgrid[:height, :width] + 0.5
        corners = list(zip(self.points[::2], self.points[1::2], strict=True))
        nearest = np.full((height, width), np.inf)
        for (x, y), (end_x, end_y) in zip(corners, corners[1:] or corners, strict=False):
            across, down = end_x - x, end_y - y
            squared = across * across + down * down
            at = np.clip(((columns - x) * across + (rows - y) * down) / squared, 0, 1) if squared else 0.0
            nearest = np.minimum(nearest, np.hypot(columns - x - at * across, rows - y - at * down))
        return np.clip(self.width / 2 + 0.5 - nearest, 0.0, 1.0)

    def agreement(self, picture: np.ndarray, coverage: np.ndarray) -> float:
        """How far a picture, uint8, (h, w, 3), is as it was drawn, in 8-bit units: more is nearer.

        Mean of luma under the stroke, negated for "darker"; of a colour the root mean square distance to it, negated.
        """
        total = float(coverage.sum())
        if self.want == "colour":
            distances = np.square(picture - np.array(self.colour)).mean(-1)
            return -math.sqrt(float((distances * coverage).sum()) / total)
        luma = float((picture @ LUMA * coverage).sum()) / total
        return luma if self.want == "brighter" else -luma


def open_share(strokes: Sequence[Stroke], height: int, width: int, scale: int) -> float:
    """Return the share of a change along the strokes that the LR picture does not determine, 0 to 1.

    With c the coverage of the strokes, negated for "darker", and c' the part of c that remains after it is projected so
    that it downscales to zero, the share is <c', c> / <c, c>. It is nearly 0 for broad strokes, and up to 1 for lines
    of one pixel and patterns finer than LR pixels.

    Args:
        height: of the region, a multiple of the scale.
        width: of the region, a multiple of the scale.
    """
    # The contract imports this module, and must not need torch.
    import torch

    from srflow.consistency import back_project

    signs = [-1.0 if stroke.want == "darker" else 1.0 for stroke in strokes]
    pattern = sum(
        (sign * stroke.coverage(height, width) for sign, stroke in zip(signs, strokes, strict=True)),
        np.zeros((height, width)),
    ).clip(-1, 1)
    around = np.pad(pattern, _AROUND * scale)
    drawn = torch.from_numpy(0.5 + 0.25 * around)[None, None].expand(-1, 3, -1, -1)  # so faint that nothing is clipped
    plain = torch.full((1, 3, around.shape[0] // scale, around.shape[1] // scale), 0.5, dtype=drawn.dtype)
    left = 4 * (back_project(drawn, plain, scale, _ROUNDS)[0, 0].numpy() - 0.5)
    return float(np.clip((left * around).sum() / max(float(np.square(around).sum()), 1e-12), 0, 1))


def _are_numbers(values: tuple[float, ...] | list[float], low: float, high: float) -> bool:
    return all(type(each) in (int, float) and low <= each <= high for each in values)  # false for NaN, too
