"""Turns raw rows into the 8-bit picture: the consistency step and rounding, one strip of rows at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from srflow.consistency import REACH, back_project
from srflow.evaluation.metrics import capped_psnr
from srflow.images import downscale_uint8, to_uint8, to_uint16
from srflow.sampling.guard import Decoded
from srflow.sampling.tiling import Grid, RowBlender, Tile
from srflow.work import OnStep, Run, at_once

__all__ = ["STRIP_PIXELS", "Canvas", "file_of", "lr_psnr", "squared_lr_error"]

_Result = TypeVar("_Result")

STRIP_PIXELS = 1 << 20
"""HR pixels of a strip, the unit of the consistency step, without the rows around it that it also needs."""

_REACH_OF_DOWNSCALING = 4  # LR pixels; the kernel reaches 2


class Canvas:
    """One sample in progress: receives its tiles, finishes rows as they become complete, and updates statistics.

    Args:
        grid: the tiles.
        lr: (1, 3, h, w), not padded, on the CPU.
        scale: HR pixels per LR pixel.
        rounds: of the consistency step.
        path: a .npy file to be written for the result; None keeps it in memory.
        is_deep: whether to make the picture with 16 bits, too; its file has "-16" in its name.
        is_plain: whether to make it without the consistency step, too; its file has "-plain" in its name.
        device: for the work.
        run: runs each piece of it there.
    """

    def __init__(
        self,
        grid: Grid,
        lr: Tensor,
        scale: int,
        rounds: int,
        path: Path | None = None,
        is_deep: bool = False,
        is_plain: bool = False,
        device: torch.device | str = "cpu",
        run: Run = at_once,
    ) -> None:
        self._device, self._run_piece = device, run
        self.seconds = 0.0  # of work, without waiting for the device
        self._lr, self._scale, self._rounds = lr, scale, rounds
        self._is_grey = bool((lr[:, :1] == lr).all())
        self._blender = RowBlender(grid, scale)
        height, width = lr.shape[-2:]
        shape = (height * scale, width * scale, 3)
        self.picture = _empty(shape, np.uint8, path)
        self.deep = _empty(shape, np.uint16, _beside(path, "16")) if is_deep else None
        self.plain = _empty(shape, np.uint8, _beside(path, "plain")) if is_plain else None
        self._raw = torch.zeros(3, 0, shape[1])  # rows still needed, from LR row `_raw_top` on
        self._raw_top = 0
        self._done = 0  # LR rows finished
        self._num_clipped = 0
        self.log_prob = 0.0  # nats
        self.flags: dict[str, int] = {}  # number of tiles for each flag

    def discard(self) -> None:
        """Remove the files, if there are any: the picture will not be finished."""
        for picture in (self.picture, self.deep, self.plain):
            if (path := file_of(picture)) is not None:
                Path(path).unlink(missing_ok=True)

    @property
    def num_rows(self) -> int:
        """HR rows finished."""
        return self._done * self._scale

    @property
    def clipped(self) -> float:
        """The share of raw values outside [0, 1]."""
        return self._num_clipped / self.picture.size

    def add(self, tile: Tile, decoded: Decoded, log_prob: float, on_step: OnStep) -> np.ndarray | None:
        """Add a tile.

        log_prob: of its own part, in nats.
        on_step: called between strips and rounds; it may raise.

        Returns: the rows that this finished, uint8 (n, W, 3), if any.
        """
        self.log_prob += log_prob
        for flag in decoded.flags:
            self.flags[flag] = self.flags.get(flag, 0) + 1
        rows = self._blender.add(tile, decoded.raw)
        return None if rows is None else self._finish(rows, on_step)

    def _run(self, work: Callable[[], _Result]) -> _Result:
        def timed() -> _Result:
            started = time.perf_counter()
            try:
                return work()
            finally:
                self.seconds += time.perf_counter() - started

        return self._run_piece(timed)

    def _finish(self, rows: Tensor, on_step: OnStep) -> np.ndarray | None:
        scale = self._scale
        height, width = self._lr.shape[-2:]
        missing = (height * scale) - self._raw_top * scale - self._raw.shape[1]
        rows = rows[:, :missing, : width * scale]  # remove the padding
        self._num_clipped += self._run(lambda: int(((rows < 0) | (rows > 1)).sum()))
        self._raw = rows if self._raw.shape[1] == 0 else torch.cat([self._raw, rows.to(self._raw)], 1)
        halo = REACH * self._rounds
        available = self._raw_top + self._raw.shape[1] // scale
        stop = height if available == height else max(self._done, available - halo)
        begun = self._done
        # At least as thick as the rows needed around it, or most rows would be computed several times.
        strip = max(1, 2 * halo, STRIP_PIXELS // (width * scale * scale))
        while self._done < stop:
            on_step()
            end = min(stop, self._done + strip)
            self._run(partial(self._finish_strip, self._done, end, halo, on_step))
            self._done = end
        top = max(0, self._done - halo)
        self._raw = self._raw[:, (top - self._raw_top) * scale :].clone() if self._done < height else self._raw[:, :0]
        self._raw_top = top if self._done < height else height
        return self.picture[begun * scale : self._done * scale] if self._done > begun else None

    @torch.inference_mode()
    def _finish_strip(self, start: int, stop: int, halo: int, on_step: OnStep) -> None:
        """Finish LR rows [start, stop), with `halo` more rows on either side, as far as there are any."""
        scale = self._scale
        first, last = max(0, start - halo), min(self._lr.shape[-2], stop + halo)
        raw = self._raw[:, (first - self._raw_top) * scale : (last - self._raw_top) * scale]
        lr = self._lr[:, :, first:last].to(self._device)
        strip = back_project(raw[None].to(self._device), lr, scale, self._rounds, on_step)
        within, own = slice((start - first) * scale, (stop - first) * scale), slice(start * scale, stop * scale)
        rows = self._uncoloured(strip[:, :, within])
        self.picture[own] = to_uint8(rows)
        if self.deep is not None:
            self.deep[own] = to_uint16(rows)
        if self.plain is not None:
            self.plain[own] = to_uint8(self._uncoloured(raw[None, :, within].to(self._device)))

    def _uncoloured(self, rows: Tensor) -> Tensor:
        """Remove colour from a grey picture: the model was trained on colour pictures, and adds faint colours to grey
        ones.
        """
        return rows.mean(1, keepdim=True).expand(-1, 3, -1, -1) if self._is_grey else rows


def file_of(picture: np.ndarray | None) -> str | None:
    """Return the file that contains a picture; None: it is in memory, or there is none."""
    return str(picture.filename) if isinstance(picture, np.memmap) else None


def _beside(path: Path | None, what: str) -> Path | None:
    """Return the file for another form of the picture, beside its own."""
    return None if path is None else path.with_name(f"{path.stem}-{what}{path.suffix}")


def _empty(shape: tuple[int, int, int], dtype: type[np.generic], path: Path | None) -> np.ndarray:
    return np.empty(shape, dtype) if path is None else np.lib.format.open_memmap(path, "w+", dtype, shape)


def lr_psnr(picture: np.ndarray, lr: np.ndarray, scale: int, run: Run = at_once) -> float:
    """Return the PSNR of a downscaled picture against its LR picture, in dB: how well the input is preserved."""
    return capped_psnr(squared_lr_error(picture, lr, scale, run) / lr.size)


def squared_lr_error(picture: np.ndarray, lr: np.ndarray, scale: int, run: Run = at_once) -> int:
    """Of a picture, scaled down, against its LR picture, summed over all values, in 8-bit units.

    In strips, so that a picture in a file need not fit into memory; to the last bit as in one piece.

    run: runs each of them.
    """
    height, width = lr.shape[:2]
    strip = max(1, STRIP_PIXELS // (width * scale * scale))

    def error_of(start: int) -> int:
        stop = min(height, start + strip)
        first, last = max(0, start - _REACH_OF_DOWNSCALING), min(height, stop + _REACH_OF_DOWNSCALING)
        reduced = downscale_uint8(np.asarray(picture[first * scale : last * scale]), scale)
        difference = np.subtract(reduced[start - first : stop - first], lr[start:stop], dtype=np.int64)
        return int(np.square(difference).sum())

    return sum(run(partial(error_of, start)) for start in range(0, height, strip))
