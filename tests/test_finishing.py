"""Rows become a finished picture strip by strip, as they would in one go; LR-PSNR and PNGs likewise."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srflow.consistency import back_project
from srflow.evaluation.metrics import psnr
from srflow.images import downscale_uint8, to_uint8
from srflow.pictures import load_image, read_png_text, save_png
from srflow.pictures.png_writer import write_png
from srflow.sampling import finishing
from srflow.sampling.finishing import Canvas, lr_psnr
from srflow.sampling.guard import Decoded
from srflow.sampling.tiling import make_grid


def nothing() -> None:
    pass


def fill(canvas: Canvas, grid: object, raw: torch.Tensor, scale: int) -> list[np.ndarray]:
    finished = []
    for tile in grid:
        cut = raw[:, tile.rows.seen(scale), tile.columns.seen(scale)]
        rows = canvas.add(tile, Decoded(cut, [], []), 0.5, nothing)
        if rows is not None:
            finished.append(rows.copy())
    return finished


@pytest.mark.parametrize("tile", [0, 16, 30])
@pytest.mark.parametrize("rounds", [0, 1, 3])
@pytest.mark.parametrize("size", [(61, 33), (1, 70), (70, 1)])
@pytest.mark.parametrize("strip", [1, 1 << 30])
def test_strips_give_what_the_whole_gives(
    tile: int, rounds: int, size: tuple[int, int], strip: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(finishing, "STRIP_PIXELS", strip)
    scale = 4
    lr = torch.rand(1, 3, *size)
    raw = torch.rand(3, size[0] * scale, size[1] * scale) * 1.4 - 0.2
    expected = to_uint8(back_project(raw[None], lr, scale, rounds))
    grid = make_grid(*size, tile)
    for path in (None, tmp_path / "picture.npy"):
        canvas = Canvas(grid, lr, scale, rounds, path, is_plain=True)
        finished = fill(canvas, grid, raw, scale)
        difference = np.abs(canvas.picture.astype(int) - expected)
        assert difference.max() <= 1  # of two roundings to 8 bits, of values 1e-6 apart
        assert difference.mean() < 1e-3
        np.testing.assert_array_equal(np.concatenate(finished), canvas.picture)
        np.testing.assert_array_equal(canvas.plain, to_uint8(raw))
        assert canvas.clipped == pytest.approx(((raw < 0) | (raw > 1)).float().mean().item())
        assert canvas.log_prob == pytest.approx(0.5 * len(grid))
    np.testing.assert_array_equal(np.load(path), canvas.picture)
    canvas.discard()
    assert not list(tmp_path.iterdir())


def test_padding_is_cut_off() -> None:
    """A model that works at half the LR size makes more rows and columns than were asked for."""
    grid = make_grid(10, 8, 0, 2)
    canvas = Canvas(grid, torch.rand(1, 3, 9, 7), 4, 2)
    fill(canvas, grid, torch.rand(3, 40, 32), 4)
    assert canvas.picture.shape == (36, 28, 3)
    assert canvas.num_rows == 36


@pytest.mark.parametrize("size", [(1, 1), (40, 7), (33, 50)])
def test_lr_psnr_in_strips_is_the_same_to_the_last_bit(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    lr = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    picture = generator.integers(0, 256, (size[0] * 4, size[1] * 4, 3), dtype=np.uint8)
    expected = psnr(downscale_uint8(picture, 4), lr)
    for strip in (1, 4 * 4 * size[1] * 5, 1 << 30):
        monkeypatch.setattr(finishing, "STRIP_PIXELS", strip)
        assert lr_psnr(picture, lr, 4) == expected


@pytest.mark.parametrize("shape", [(1, 1, 3), (7, 5, 3), (300, 2, 3)])
def test_png_written_in_strips_reads_back(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("srflow.pictures.png_writer._STRIP_BYTES", 64)
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    file = io.BytesIO()
    write_png(file, array)
    with Image.open(file) as image:
        image.verify()
    np.testing.assert_array_equal(load_image(file.getvalue()), array)
    monkeypatch.setattr("srflow.pictures.writing._LARGE_BYTES", 0)
    text = {"srflow": "{}", "other": "σ ≤ 2"}
    save_png(tmp_path / "a.png", array, text=text)
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), array)
    assert read_png_text(tmp_path / "a.png") == text
