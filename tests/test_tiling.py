"""Tiles: they cover the picture, their shares add up to one, and pictures put together of them are the whole."""

from __future__ import annotations

import pytest
import torch

from srflow.sampling.tiling import FADE, MARGIN, MIN_TILE, RowBlender, make_grid

SIZES = [(1, 1), (1, 300), (70, 1), (64, 64), (65, 130), (200, 34), (16, 17)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [0, MIN_TILE, 23, 32, 500])
@pytest.mark.parametrize("multiple", [1, 2])
def test_tiles_cover_the_picture(size: tuple[int, int], tile: int, multiple: int) -> None:
    height, width = (-(-side // multiple) * multiple for side in size)
    grid = make_grid(height, width, tile, multiple)
    covered = torch.zeros(height, width)
    for each in grid:
        covered[each.rows.start : each.rows.stop, each.columns.start : each.columns.stop] += 1
        for span, side in ((each.rows, height), (each.columns, width)):
            assert 0 <= span.first <= span.start < span.stop <= span.last <= side
            assert span.first == max(0, span.start - MARGIN)
            assert span.last == min(side, span.stop + MARGIN)
            assert all(edge % multiple == 0 for edge in (span.start, span.stop, span.first, span.last))
            assert span.stop - span.start <= max(tile, 1) + multiple - 1 or tile == 0 or len(grid) == 1
            neighbours = span.start > 0, span.stop < side
            assert span.stop - span.start >= 2 * FADE or not all(neighbours)
    assert (covered == 1).all()
    assert sum(each.is_last for each in grid) == 1
    assert sum(each.ends_row for each in grid) == len(grid.rows)
    assert grid.num_pixels == sum(each.rows.size * each.columns.size for each in grid)
    assert (grid.tile == 0) == (len(grid) == 1)


@pytest.mark.parametrize("side", [40, 41, 99])
def test_shares_add_up_to_one(side: int) -> None:
    total = torch.zeros(side * 4)
    for span in make_grid(side, side, 17).rows:
        begin, end = span.contributes()
        total[begin * 4 : end * 4] += span.weights(4)
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [1, 4])
def test_a_picture_put_together_of_its_tiles_is_the_picture(size: tuple[int, int], scale: int) -> None:
    """Rows come in order, each once, and none before all that goes into it is there."""
    height, width = size
    picture = torch.rand(3, height * scale, width * scale)
    grid = make_grid(height, width, 16)
    blender = RowBlender(grid, scale)
    rows = []
    for tile in grid:
        complete = blender.add(tile, picture[:, tile.rows.seen(scale), tile.columns.seen(scale)])
        assert (complete is None) == (not tile.ends_row)
        if complete is not None:
            rows.append(complete)
    torch.testing.assert_close(torch.cat(rows, 1), picture)


def test_neighbours_fade_into_each_other() -> None:
    """Tiles of one value each: in the middle of a border it is the mean of both, and beyond the fades one alone."""
    grid = make_grid(16, 32, 16)
    blender = RowBlender(grid, 1)
    for value, tile in enumerate(grid):
        complete = blender.add(tile, torch.full((3, tile.rows.size, tile.columns.size), float(value)))
    row = complete[0, 0]
    assert row[: 16 - FADE].eq(0).all()
    assert row[16 + FADE :].eq(1).all()
    assert (row[15] + row[16]) / 2 == pytest.approx(0.5)
    assert (row.diff() >= 0).all()


def test_own_part_at_other_resolutions() -> None:
    span = make_grid(64, 64, 16, multiple=2).rows[2]
    assert (span.start, span.stop, span.first, span.last) == (32, 48, 16, 64)
    assert span.own(4) == slice(64, 128)
    assert span.own(1, 2) == slice(8, 16)
