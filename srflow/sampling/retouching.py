"""What an operation on a place means to the picture: the place is decoded again and laid into the picture as it was.

The picture of a list of operations is defined by its steps. The last operation about the whole picture, or the draw,
is decoded as a whole. Each one after it takes the 8-bit picture before it, decodes its place with a margin from the
latents that the list has come to, fades the result in, and makes that part consistent with the LR picture again by as
many rounds as the recipe says. Outside of the feather no pixel changes. Not the decoding of all latents at once: that
would change every pixel a little, and cost as much as a new picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor

from srflow.contract import MemoryBudgetError
from srflow.images import bicubic_downscale, bicubic_upscale, to_tensor, to_uint8
from srflow.likelihood import standard_normal_log_prob
from srflow.operations import Box, Mask, Operation
from srflow.operations.field import Field, Place
from srflow.sampling.finishing import squared_lr_error
from srflow.sampling.guard import Decoded
from srflow.sampling.hardware import memory_limit
from srflow.sampling.inference import InferenceModel, PreparedPicture
from srflow.sampling.regions import CONTEXT, Region, feather, scaled
from srflow.sampling.states import Patch, State
from srflow.sampling.task import Task, tile_key
from srflow.sampling.tiling import RowBlender, Tile, make_grid
from srflow.sampling.turn import Turn
from srflow.sampling.worker import OutOfMemory

__all__ = ["Retoucher"]

_MAX_BATCH = 16
_BYTES = 120  # for an HR pixel of a place, while it is laid in: about ten pictures of three floats
_CPU_BATCH_PIXELS = 112 * 112  # LR pixels decoded together: four places of 32x32 with their margins (measured)


class Retoucher:
    """Carries out operations on places of one picture.

    Args:
        turn: the request's, at the device.  model: the task's, on the device.
        task: whose model, precision, rounds, tiles and LR picture they are.
        padded: the LR picture as the model takes it, (1, 3, h, w).  lr_sha256: of the LR picture.
    """

    def __init__(self, turn: Turn, model: InferenceModel, task: Task, padded: Tensor, lr_sha256: str) -> None:
        self._turn, self._model, self._task = turn, model, task
        self._device = turn.worker.device
        self._padded, self._lr_sha256 = padded, lr_sha256
        self._lr = to_tensor(task.request.lr)
        self._multiple = task.loaded.info.lr_multiple

    def apply(self, state: State, done: Sequence[Operation], operation: Operation) -> Patch:
        """One operation. See `apply_each`."""
        [patch] = self.apply_each(state, done, [operation])
        return patch

    def apply_each(self, state: State, done: Sequence[Operation], ways: Sequence[Operation]) -> Iterator[Patch]:
        """Several operations on a state, each by itself, in batches.

        Args:
            state: the picture so far.  done: the complete list that it is the picture of.
            ways: operations whose masks have one `Region`.
        Raises: MemoryBudgetError: the place is too large for the device.
        """
        masks = [cast(Mask, way.place) for way in ways]
        region = Region.around(masks[0], self._multiple)
        before = self._crop_of(state, region)
        left, top, right, bottom = region.decoded
        pixels = (right - left) * (bottom - top)
        if pixels * self._task.scale**2 * _BYTES > memory_limit(self._device):
            raise MemoryBudgetError(
                f"A place of {right - left}x{bottom - top} LR pixels, with what is around it, takes more memory than "
                "there is. Choose a smaller one."
            )
        # On a CPU a sample's bits do not depend on what is decoded with it; on GPUs kernels are chosen by the batch.
        batch = max(1, min(_MAX_BATCH, _CPU_BATCH_PIXELS // pixels)) if self._device.type == "cpu" else 1
        first = 0
        while first < len(ways):
            # The first one by itself: somebody waits for it.
            chunk = ways[first : first + (batch if first else 1)]
            try:
                raws = self._decode(region, done, chunk)
                patches = [
                    self._turn.run(partial(self._lay_in, state, before, region, mask, raw))
                    for mask, raw in zip(masks[first : first + len(chunk)], raws, strict=True)
                ]
            except OutOfMemory as error:
                if len(chunk) == 1:
                    raise MemoryBudgetError(
                        "The device has not enough memory to draw this place again. Choose a smaller one."
                    ) from error
                batch = batch // 2
                continue
            yield from patches
            first += len(chunk)

    def _decode(self, region: Region, done: Sequence[Operation], ways: Sequence[Operation]) -> list[_Raw]:
        """Each way inside `region.decoded`."""
        scale = self._task.scale
        left, top, right, bottom = region.decoded
        grid = make_grid(bottom - top, right - left, self._task.plan.grid.tile, self._multiple)
        blenders = [RowBlender(grid, scale) for _ in ways]
        rows: list[list[Tensor]] = [[] for _ in ways]
        flags: list[dict[str, None]] = [{} for _ in ways]
        log_probs = [0.0] * len(ways)
        for tile in grid:
            rows_seen, columns_seen = tile.rows, tile.columns
            box = left + columns_seen.first, top + rows_seen.first, left + columns_seen.last, top + rows_seen.last
            for number, decoded in enumerate(self._decode_box(box, done, ways)):
                complete = blenders[number].add(tile, decoded.raw)
                rows[number] += [] if complete is None else [complete]
                flags[number] |= dict.fromkeys(decoded.flags)
                log_probs[number] += self._turn.run(partial(_log_prob, decoded, tile, box, region.chosen))
        return [
            _Raw(own[0] if len(own) == 1 else torch.cat(own, 1), tuple(found), log_prob)
            for own, found, log_prob in zip(rows, flags, log_probs, strict=True)
        ]

    def _decode_box(self, box: Box, done: Sequence[Operation], ways: Sequence[Operation]) -> list[Decoded]:
        self._turn.stop()
        prepared = self._prepared(box)
        height, width = self._padded.shape[-2:]
        place = Place(tuple(self._model.latent_shapes(height, width)), height, width, box)
        before = Field.evaluate(done, place)
        fields = []
        for way in ways:
            after = before.copy()
            after.apply([way])
            fields.append(after.latents())
        latents = [torch.stack(level) for level in zip(*fields, strict=True)]
        return self._turn.decode(self._model, latents, prepared, self._turn.stop)

    def _prepared(self, box: Box) -> PreparedPicture:
        """The conditioning of a box: cut from the picture's, where that is in one piece; else of the box's own."""
        height, width = self._padded.shape[-2:]
        whole = (0, 0, width, height)
        if len(self._task.plan.grid) == 1:
            seen, key = whole, tile_key(self._task, self._lr_sha256, 0)
        else:
            near = [max(0, edge - CONTEXT) for edge in box[:2]]
            seen = (*near, min(width, box[2] + CONTEXT), min(height, box[3] + CONTEXT))
            key = tile_key(self._task, self._lr_sha256, 0), seen
        rows, columns = scaled(seen, 1)
        lr = self._padded[..., rows, columns]
        prepared = self._turn.condition(self._model, lr, key, True, self._turn.stop)
        return self._turn.run(lambda: prepared.crop(*scaled(box, 1, seen)))

    def _crop_of(self, state: State, region: Region) -> np.ndarray:
        return state.crop(*scaled(region.work, self._task.scale))

    def _lay_in(self, state: State, before: np.ndarray, region: Region, mask: Mask, decoded: _Raw) -> Patch:
        scale = self._task.scale
        rows, columns = scaled(region.work, 1)
        lr = self._lr[..., rows, columns].to(self._device)
        old = to_tensor(before).to(self._device)
        seen_rows, seen_columns = scaled(region.work, scale, region.decoded)
        raw = decoded.picture[None, :, seen_rows, seen_columns].to(self._device)
        weight = feather(mask, region.work, scale, self._multiple).to(self._device)
        changes = weight > 0
        new = torch.lerp(old, raw, weight)
        for _ in range(self._task.request.consistency_rounds):
            self._turn.stop()
            missing = bicubic_upscale(lr - bicubic_downscale(new, scale), scale)
            new = torch.where(changes, (new + missing).clamp(0.0, 1.0), old)
        if bool((lr[:, :1] == lr).all()):  # grey in, grey out: see `finishing.Canvas`
            new = new.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        after = np.where(changes[0, 0, :, :, None].cpu().numpy(), to_uint8(new), before)
        own_lr = self._task.request.lr[rows, columns]
        error = state.squared_error - squared_lr_error(before, own_lr, scale) + squared_lr_error(after, own_lr, scale)
        inner = scaled(region.patch, scale, region.work)
        return Patch(
            left=region.patch[0] * scale,
            top=region.patch[1] * scale,
            pixels=np.ascontiguousarray(after[inner]),
            squared_error=error,
            flags=decoded.flags,
            log_prob=decoded.log_prob,
        )


@dataclass(frozen=True)
class _Raw:
    """A place as it was decoded. picture: (3, s h, s w), not clipped. log_prob: see `Variant`."""

    picture: Tensor
    flags: tuple[str, ...]
    log_prob: float


def _log_prob(decoded: Decoded, tile: Tile, box: Box, chosen: Box) -> float:
    """log p of what a tile's own part, computed with all of `box`, has in common with the chosen box."""
    # LR pixels of the tile's own part, in the picture.
    top, left = box[1] - tile.rows.first, box[0] - tile.columns.first
    rows = slice(max(chosen[1], top + tile.rows.start) - box[1], min(chosen[3], top + tile.rows.stop) - box[1])
    columns = slice(
        max(chosen[0], left + tile.columns.start) - box[0], min(chosen[2], left + tile.columns.stop) - box[0]
    )
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return 0.0
    height, width = box[3] - box[1], box[2] - box[0]

    def own_sum(values: Tensor) -> float:
        down, across = values.shape[-2:]
        own = values[
            ...,
            rows.start * down // height : rows.stop * down // height,
            columns.start * across // width : columns.stop * across // width,
        ]
        return own.sum().item()

    latents = sum(own_sum(standard_normal_log_prob(latent)) for latent in decoded.latents)
    return latents + sum(own_sum(log_det) for log_det in decoded.log_dets)
