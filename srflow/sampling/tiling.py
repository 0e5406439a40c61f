"""Splits large pictures into tiles, and blends decoded tiles into whole rows again.

A tile consists of its own part of the picture and a margin around it. The outer part of the margin only provides
context for the networks; in the inner part neighbouring tiles fade into each other, so that no seam shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["FADE", "MARGIN", "MIN_TILE", "Grid", "RowBlender", "Span", "Tile", "make_grid"]

MARGIN = 16
"""LR pixels around a tile that are computed as well. Even, for models that work at half the LR size."""

FADE = 4
"""LR pixels on either side of a border between tiles within which one fades into the other."""

MIN_TILE = 16
"""Side of the smallest tiles in LR pixels.

After evening out, no tile is narrower than half of it: two fades must fit in.
"""


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in LR pixels: its own part [start, stop) and the computed part, [first, last).

    fades_in, fades_out: whether there is a neighbour at start, at stop.
    """

    start: int
    stop: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """The number of LR pixels that are computed."""
        return self.last - self.first

    def seen(self, scale: int) -> slice:
        """Return the computed part, in pixels `scale` times as fine as LR pixels."""
        return slice(self.first * scale, self.last * scale)

    def own(self, numerator: int, denominator: int = 1) -> slice:
        """Return its own part, counted from `first`, at a resolution of numerator / denominator of the LR picture's."""
        start, stop = (edge - self.first for edge in (self.start, self.stop))
        return slice(start * numerator // denominator, stop * numerator // denominator)

    def contributes(self) -> tuple[int, int]:
        """The range of LR pixels [begin, end) this tile contributes to, including the blended borders."""
        begin = self.start - FADE if self.first < self.start else self.start
        end = self.stop + FADE if self.stop < self.last else self.stop
        return begin, end

    def weights(self, scale: int) -> Tensor:
        """Return its weight at every HR pixel of `contributes`, (n,), float32; weights of neighbours add up to 1."""
        begin, end = self.contributes()
        weights = torch.ones((end - begin) * scale)
        ramp = (torch.arange(2 * FADE * scale) + 0.5) / (2 * FADE * scale)
        if begin < self.start:
            weights[: len(ramp)] = ramp
        if end > self.stop:
            weights[-len(ramp) :] = 1 - ramp
        return weights


@dataclass(frozen=True)
class Tile:
    """A tile of the picture. ends_row, is_last: whether it is the last one of its row of tiles, and of all."""

    rows: Span
    columns: Span
    ends_row: bool
    is_last: bool


@dataclass(frozen=True)
class Grid:
    """All tiles of a picture, row by row. tile: requested side in LR pixels; 0: no tiles."""

    tile: int
    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    def __iter__(self) -> Iterator[Tile]:
        for rows in self.rows:
            for columns in self.columns:
                ends_row = columns is self.columns[-1]
                yield Tile(rows, columns, ends_row, ends_row and rows is self.rows[-1])

    @property
    def num_pixels(self) -> int:
        """LR pixels that are computed; those of overlaps count several times."""
        return sum(rows.size for rows in self.rows) * sum(columns.size for columns in self.columns)

    @property
    def largest(self) -> tuple[int, int]:
        """Height and width of the largest tile, including its margin."""
        return max(rows.size for rows in self.rows), max(columns.size for columns in self.columns)


def make_grid(height: int, width: int, tile: int, multiple: int = 1) -> Grid:
    """Return the tiles of an LR picture. They depend only on these numbers, so a recipe's `tile` defines them.

    Args:
        height, width: of the LR picture, multiples of `multiple`.
        tile: LR pixels a side, at least `MIN_TILE`; tiles are evened out, so that most are slightly smaller. 0, or at
        least
            the size of the picture: no tiles.
        multiple: of which all edges are multiples; 1 or 2.
    """
    if tile == 0 or tile >= max(height, width):
        return Grid(0, _spans(height, height, multiple), _spans(width, width, multiple))
    return Grid(tile, _spans(height, tile, multiple), _spans(width, tile, multiple))


def _spans(size: int, tile: int, multiple: int) -> tuple[Span, ...]:
    count = -(-size // tile)
    edges = [size * number // (count * multiple) * multiple for number in range(count)] + [size]
    return tuple(Span(start, stop, max(0, start - MARGIN), min(size, stop + MARGIN)) for start, stop in pairwise(edges))


class RowBlender:
    """Blends the tiles of one picture in the order of their grid, and returns rows as soon as they are complete.

    It holds only incomplete rows.

    Args: grid: the tiles.  scale: HR pixels per LR pixel.
    """

    def __init__(self, grid: Grid, scale: int) -> None:
        self._grid = grid
        self._scale = scale
        self._top = 0  # HR row, of the picture, at which `_rows` begins
        self._rows = torch.zeros(3, 0, grid.columns[-1].stop * scale)

    def add(self, tile: Tile, raw: Tensor) -> Tensor | None:
        """Add a tile, (3, s h, s w), with everything computed for it, float32.

        Returns: if the tile ends its row, the rows that are complete now, (3, n, W), in the picture's order; otherwise
        None.
        """
        if len(self._grid) == 1:
            return raw
        scale = self._scale
        tops, lefts = ([edge * scale for edge in span.contributes()] for span in (tile.rows, tile.columns))
        missing = tops[1] - self._top - self._rows.shape[1]
        if missing > 0:
            self._rows = torch.cat([self._rows, self._rows.new_zeros(3, missing, self._rows.shape[2])], 1)
        cut = raw[
            :,
            tops[0] - tile.rows.first * scale : tops[1] - tile.rows.first * scale,
            lefts[0] - tile.columns.first * scale : lefts[1] - tile.columns.first * scale,
        ].cpu()
        weights = torch.outer(tile.rows.weights(scale), tile.columns.weights(scale))
        self._rows[:, tops[0] - self._top : tops[1] - self._top, lefts[0] : lefts[1]] += cut * weights
        return self._take(tile) if tile.ends_row else None

    def _take(self, tile: Tile) -> Tensor:
        bottom = tile.rows.stop if tile.is_last else tile.rows.stop - FADE
        count = bottom * self._scale - self._top
        complete, self._rows = self._rows[:, :count], self._rows[:, count:].clone()
        self._top += count
        return complete
