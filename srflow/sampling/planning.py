"""Plans how a request fits into memory: tiles, batches of samples, and where results are stored."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from srflow.contract import MemoryBudgetError
from srflow.model import SRFlow
from srflow.sampling.finishing import STRIP_PIXELS
from srflow.sampling.tiling import FADE, MIN_TILE, Grid, make_grid

__all__ = ["Footprint", "Plan", "make_plan"]

# Many sizes, so that tiles of equal size come close to the memory limit.
_TILES = (4096, 2048, 1024, *range(768, 96, -16), 96, 80, 64, 48, 32, MIN_TILE)
_SLACK = 1.6  # allocators round up, and convolutions use buffers of their own (measured)
_FLOAT = 4  # bytes
_ACTIVATIONS = 5  # of a conv block's width, in memory together while it runs
_COPIES = 4  # of a level's channels, in float32, in the same way
_MAX_BATCH = 16
# On a CPU, samples of this many LR pixels keep all cores busy; larger batches only exceed the caches (measured).
_CPU_BATCH_PIXELS = 48 * 48
_STRIP_BYTES = 12 * _FLOAT  # of the consistency step, per HR pixel of a strip
# Bytes per HR pixel for the summary: running sums in float32, and the statistics made of them.
_SUMMARY_BYTES = 80


@dataclass(frozen=True)
class Footprint:
    """Bytes per LR pixel.

    kept: conditioning held in memory.
    conditioning: extra peak while computing it.
    decoding: peak per sample in the batch.
    """

    kept: float
    conditioning: float
    decoding: float

    @classmethod
    def of(cls, model: SRFlow, dtype: torch.dtype) -> Footprint:
        """Compute it from the numbers of the architecture. dtype: of the convolutions."""
        flow, encoder, scale = model.config.flow, model.config.encoder, model.scale_factor
        half = dtype.itemsize
        kept, level_peaks, decoding = 0.0, [0.0], [0.0]
        stacked = encoder.conditioning_channels - encoder.num_features
        features = 3.0 * stacked * half  # side by side, concatenated, and with a border
        stride, channels = 1, 3
        for level in model.flow.levels:
            stride *= level.squeeze.factor
            channels *= level.squeeze.factor**2
            positions = (scale / stride) ** 2
            widest = flow.hidden_channels * half * _ACTIVATIONS
            for step in level.steps:
                # There are fewer channels after a split in the middle of a level.
                kept += positions * (2 * step.layers[0].logs.numel() * _FLOAT + flow.hidden_channels * half)
            kept += positions * _FLOAT
            features += 2 * positions * encoder.num_features * half
            level_peaks.append(positions * (widest + 3 * 2 * channels * _FLOAT))
            decoding.append(positions * (widest + (_COPIES + 2) * channels * _FLOAT))
            channels = level.out_channels
        dense = 3.0 * (encoder.num_features + 4 * encoder.growth_channels) * half
        hr = 3 * scale**2 * _FLOAT
        kept += hr if flow.residual else 0
        return cls(
            kept=_SLACK * kept,
            conditioning=_SLACK * (features + max(dense, *level_peaks)),
            decoding=_SLACK * (max(decoding) + 2 * hr),
        )


@dataclass(frozen=True)
class Plan:
    """How a request is carried out.

    batch: samples decoded together.
    group: samples whose unfinished rows are in memory together.
    num_bytes: peak memory.
    on_disk: results are written to files.
    kept_bytes: of the conditioning of all tiles.
    result_bytes: of all samples.
    """

    grid: Grid
    batch: int
    group: int
    num_bytes: int
    on_disk: bool
    kept_bytes: int
    result_bytes: int


def make_plan(
    footprint: Footprint,
    size: tuple[int, int],
    *,
    scale: int,
    multiple: int,
    num_samples: int,
    rounds: int,
    summaries: bool,
    is_deep: bool = False,
    is_plain: bool = False,
    tile: int | None,
    limit: int,
    piece_limit: int,
    is_cpu: bool,
    smaller_than: int | None = None,
) -> Plan:
    """Choose tiles, batch and the storage of results.

    Args:
        size: of the LR picture, padded to `multiple`.
        rounds: of the consistency step, which delays rows.
        is_deep, is_plain: whether samples are also made with 16 bits, and without the consistency step.
        tile: requested side; None: chosen; no tiles if the whole picture takes no more than `piece_limit`.
        limit, piece_limit: bytes for everything together; bytes for a single tile.
        smaller_than: upper bound of the tile's side in LR pixels, after larger ones were too large; None: any.
    Raises: MemoryBudgetError: it does not fit.
    """
    height, width = size
    sides = (0, *_TILES) if tile is None else (tile,)
    grids = [make_grid(height, width, side, multiple) for side in sides]
    if smaller_than is not None:
        grids = [grid for grid in grids if max(grid.largest) < smaller_than]

    def needed(grid: Grid, batch: int = 1) -> float:
        """Return the memory needed while one tile is processed."""
        pixels = grid.largest[0] * grid.largest[1]
        return pixels * (footprint.kept + max(footprint.conditioning, batch * footprint.decoding))

    bound = min(limit, piece_limit) if tile is None else limit
    fitting = [grid for grid in grids if needed(grid) <= bound]
    # If memory is scarce, the smallest tiles may exceed the limit of a piece.
    fitting = fitting or [grid for grid in grids[-1:] if needed(grid) <= limit]
    hr_pixels = height * width * scale**2
    strip = _STRIP_BYTES * min(hr_pixels, STRIP_PIXELS)
    sample_bytes = (3 + 6 * is_deep + 3 * is_plain) * hr_pixels
    results = num_samples * sample_bytes + hr_pixels * (_SUMMARY_BYTES if summaries else 0)
    # Tiles that overlap least need the least repeated computation.
    for grid in sorted(fitting, key=lambda grid: (grid.num_pixels, -grid.tile)):
        pixels = grid.largest[0] * grid.largest[1]
        spare = max(bound, needed(grid)) - pixels * footprint.kept
        batch = int(max(1, min(num_samples, _MAX_BATCH, spare // (pixels * footprint.decoding))))
        if is_cpu:
            batch = min(batch, max(1, _CPU_BATCH_PIXELS // pixels))
        rows_in_work = _rows_in_work(grid, width, scale, rounds)
        working = needed(grid, batch) + strip
        on_disk = working + rows_in_work + results > limit
        room = limit - working - (0 if on_disk else results)
        group = num_samples if len(grid) == 1 else int(max(1, min(num_samples, room // rows_in_work)))
        working += rows_in_work * (1 if len(grid) == 1 else group)
        if working <= limit:
            return Plan(
                grid=grid,
                batch=min(batch, group),
                group=group,
                num_bytes=int(working + (0 if on_disk else results)),
                on_disk=on_disk,
                kept_bytes=int(grid.num_pixels * footprint.kept),
                result_bytes=sample_bytes * num_samples,
            )
    least = strip + min((needed(grid) + _rows_in_work(grid, width, scale, rounds) for grid in grids), default=0.0)
    raise MemoryBudgetError(
        f"A picture of {width}x{height} at x{scale} needs about {least / 1e9:.2f} GB"
        f"{'' if tile is None else f' with tile {tile}'}; {limit / 1e9:.2f} GB are free. Choose a smaller region of it"
        f"{', fewer samples' if num_samples > 1 else ''}{'' if tile is None else ' or leave the tile to be chosen'}."
    )


def _rows_in_work(grid: Grid, width: int, scale: int, rounds: int) -> float:
    """Return the bytes of a sample's incomplete raw rows, and of the consistency step on them."""
    height = grid.largest[0] + 2 * FADE + 8 * rounds
    return 2.0 * 3 * _FLOAT * min(height, grid.rows[-1].stop) * scale * width * scale
