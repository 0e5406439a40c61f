"""Carries out one request: a loop over tiles, samples inside it, and each result sent as soon as it is finished."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from srflow import __version__
from srflow.contract import (
    Estimate,
    MemoryBudgetError,
    Notice,
    PartialSample,
    Progress,
    Reference,
    ReferenceKind,
    SampleResult,
    TruthScores,
    picture_sha256,
)
from srflow.errors import brief
from srflow.evaluation.perceptual import MIN_SIDE, PerceptualDistance
from srflow.evaluation.summary import RunningSummary, TruthScorer
from srflow.images import bicubic_upscale, to_tensor, to_uint8, upscale_uint8
from srflow.likelihood import bits_per_dimension, standard_normal_log_prob
from srflow.model import pad_to_multiple
from srflow.operations import count_whole
from srflow.operations.field import Field, Place
from srflow.sampling.finishing import Canvas, file_of, lr_psnr, squared_lr_error
from srflow.sampling.guard import Decoded, is_sound, with_picture
from srflow.sampling.inference import InferenceModel
from srflow.sampling.retouching import Retoucher
from srflow.sampling.spilling import SpillFolder
from srflow.sampling.states import State
from srflow.sampling.task import Task, tile_key
from srflow.sampling.tiling import RowBlender, Tile
from srflow.sampling.turn import Turn
from srflow.sampling.worker import OutOfMemory
from srflow.work import OnStep

__all__ = ["Drawing"]

_NEWS_SECONDS = 0.25  # seconds between two progress events inside a piece of work
# An encoder that was trained together with the flow may lose its own super-resolution; below this LR-PSNR, in dB, its
# picture would be misleading.
_ENCODER_LR_PSNR = 25.0
_ENCODER_DIFFERENCE = (
    0.06  # mean difference from bicubic upscaling, in [0, 1]; above it the encoder's picture is spoilt, too
)

_Result = TypeVar("_Result")


class Drawing:
    """Carries out a task.

    Args:
        turn: the request's turn at the device.
        model: the task's, on the device.
        task: what to do.
        replan: returns the task's plan with smaller tiles, or raises MemoryBudgetError.
        folder: for samples that do not fit into memory; its creator removes it.
        distance: returns the LPIPS network, which it builds at the first call; a piece of work.
    """

    def __init__(
        self,
        turn: Turn,
        model: InferenceModel,
        task: Task,
        replan: Callable[[Task], Task],
        folder: SpillFolder,
        distance: Callable[[], PerceptualDistance],
    ) -> None:
        self._turn, self._model, self._task = turn, model, task
        self._replan, self._folder, self._distance = replan, folder, distance
        request = task.request
        self._lr = to_tensor(request.lr)
        self._padded = pad_to_multiple(self._lr, task.loaded.info.lr_multiple)
        self._lr_sha256 = picture_sha256(request.lr)
        self._truth: TruthScorer | None = None

    def draw(self, estimate: Estimate) -> None:
        """Draw all samples, then send their summary."""
        task, send = self._task, self._turn.send
        request = task.request
        send(estimate)
        if request.ground_truth is not None and not task.plan.on_disk:
            self._truth = self._scorer(request.ground_truth)
        summary = RunningSummary() if request.summaries and not task.plan.on_disk else None
        if request.version not in (None, __version__):
            text = f"Drawn before by release {brief(request.version)}, now by {__version__}: pixels may differ."
            send(Notice(text=text))
        if task.plan.on_disk:
            send(Notice(text="The samples do not fit into memory: they are written to files, and not compared."))
        if summary is not None:
            for index, picture in request.earlier:
                summary.add(index, picture)
                self._score(picture)
        waiting = list(range(request.first_index, request.first_index + request.num_samples))

        def finished(result: SampleResult) -> None:
            result = self._retouched(result)
            waiting.remove(result.index)
            send(result)
            if summary is not None and result.picture is not None:
                summary.add(result.index, result.picture)
                send(summary.so_far())

        def draw_group() -> None:
            group = tuple(waiting[: self._task.plan.group])
            self._draw_tiles(group, finished, done=1 - len(waiting) / request.num_samples)

        def told(tile: int) -> None:
            send(Notice(text=f"The device's memory ran out; continuing with tiles of {tile}×{tile} pixels."))

        while waiting:
            self._retried(draw_group, told)
        if summary is not None:
            self._turn.tell(Progress(stage="comparing", fraction=1.0, text="Comparing the samples"))
            distances = self._distances_of_pairs(summary.pictures) if request.pairwise_lpips else None
            send(summary.final(distances, self._truth.challenge() if self._truth else None))

    def _distances_of_pairs(self, pictures: Sequence[np.ndarray]) -> np.ndarray | None:
        """Return LPIPS between all pictures; None: they are too small for it, or too large for the device."""
        if min(pictures[0].shape[:2]) < MIN_SIDE:
            return None
        with suppress(OutOfMemory):
            return self._turn.run(self._distance).pairwise(pictures, self._turn.run)
        self._turn.send(Notice(text="The device does not have enough memory for LPIPS: the samples are not compared."))
        return None

    def draw_one(self) -> SampleResult:
        """Draw the request's first sample, before operations on regions, and only with the task's own tiles.

        Raises: OutOfMemory.
        """
        drawn: list[SampleResult] = []
        self._draw_tiles((self._task.request.first_index,), drawn.append, scored=False)
        return drawn[0]

    def _retouched(self, result: SampleResult) -> SampleResult:
        """Apply the operations on regions that come after the last one on the whole picture."""
        task = self._task
        operations = task.request.operations
        begin = count_whole(operations)
        if begin == len(operations):
            return result
        retoucher = Retoucher(self._turn, self._model, task, self._padded, self._lr_sha256)
        started = time.perf_counter()
        picture = result.picture if result.path is None else np.load(result.path, mmap_mode="r+")
        assert picture is not None
        error = squared_lr_error(picture, task.request.lr, task.scale, self._turn.run)
        state = State(picture, error, result.flags)
        for number in range(begin, len(operations)):
            done = task.whole_list(result.index, number)
            state = state.with_patch(retoucher.apply(state, done, operations[number]))
        state.lay_down()
        return replace(
            result,
            picture=None if result.picture is None else picture,
            lr_psnr=state.lr_psnr(task.request.lr),
            bits_per_dimension=None,
            flags=state.flags,
            truth=self._score(picture),
            seconds=result.seconds + time.perf_counter() - started,
        )

    def draw_references(self) -> None:
        """Send bicubic, the encoder's own picture, and the flow's at temperature 0."""
        request, scale = self._task.request, self._task.scale
        if self._task.plan.on_disk:
            raise MemoryBudgetError("The pictures to compare with do not fit into memory. Choose a smaller region.")
        truth = None if request.ground_truth is None else self._scorer(request.ground_truth)

        def send(kind: ReferenceKind, picture: np.ndarray, known: float | None = None) -> None:
            scores = None if truth is None else self._judged(lambda: truth.score(picture))
            known = lr_psnr(picture, request.lr, scale, self._turn.run) if known is None else known
            self._turn.send(Reference(kind=kind, picture=picture, lr_psnr=known, truth=scores))

        send("bicubic", upscale_uint8(request.lr, scale))
        encoder = self.super_resolve()
        known = lr_psnr(encoder, request.lr, scale, self._turn.run)
        if known >= _ENCODER_LR_PSNR:
            send("encoder", encoder, known)
        zero: list[SampleResult] = []
        self._task = replace(self._task, temperature=0.0)
        self._retried(lambda: self._draw_tiles((0,), zero.append, scored=False))
        assert zero[0].picture is not None
        send("zero_temperature", zero[0].picture)

    def _retried(self, work: Callable[[], _Result], told: Callable[[int], None] | None = None) -> _Result:
        """Repeat work with smaller and smaller tiles while memory runs out.

        Args: told: called with the side of the new tiles.
        """
        while True:
            with suppress(OutOfMemory):
                return work()
            # This is not done inside the except block: the error holds the frames, and so the tensors, of the failed
            # work, and the new tiles depend on the memory that is free now.
            self._task = self._replan(self._task)
            if told is not None:
                told(self._task.plan.grid.tile)

    def _scorer(self, ground_truth: np.ndarray) -> TruthScorer:
        return self._judged(lambda: TruthScorer(ground_truth, self._turn.run(self._distance), self._turn.run))

    def _score(self, picture: np.ndarray) -> TruthScores | None:
        """Score one more sample, if there is a ground truth."""
        truth = self._truth
        return None if truth is None else self._judged(lambda: truth.add_sample(picture))

    def _judged(self, work: Callable[[], _Result]) -> _Result:
        """Score a picture. Smaller tiles would not help if whole pictures are compared."""
        try:
            return work()
        except OutOfMemory as error:
            raise MemoryBudgetError(
                "The device does not have enough memory to compare pictures of this size with the ground truth. "
                "Choose a smaller region, or leave the ground truth out."
            ) from error

    def super_resolve(self) -> np.ndarray:
        """Return the encoder's own picture, uint8, (s h, s w, 3)."""
        return self._retried(self._super_resolve)

    def _super_resolve(self) -> np.ndarray:
        task = self._task
        height, width = task.request.lr.shape[:2]
        blender = RowBlender(task.plan.grid, task.scale)
        rows = []
        for tile in task.plan.grid:
            own = self._turn.super_resolve(self._model, self._cut(tile))
            complete = blender.add(tile, own)
            if complete is not None:
                rows.append(self._turn.run(partial(to_uint8, complete)))
        return np.concatenate(rows)[: height * task.scale, : width * task.scale]

    def _draw_tiles(
        self,
        indices: tuple[int, ...],
        finished: Callable[[SampleResult], None],
        *,
        done: float = 0.0,
        scored: bool = True,
    ) -> None:
        """Draw every sample, tile by tile; without tiles, sample by sample.

        done: finished tiles of the request before these.
        """
        canvases: dict[int, Canvas] = {}
        try:
            self._fill(canvases, indices, finished, done, scored)
        except BaseException:
            for canvas in canvases.values():
                canvas.discard()
            raise

    def _fill(
        self,
        canvases: dict[int, Canvas],
        indices: tuple[int, ...],
        finished: Callable[[SampleResult], None],
        done: float,
        scored: bool,
    ) -> None:
        """Fill canvases; they are created with the first tile, and released with the last one."""
        plan = self._task.plan
        spent = dict.fromkeys(indices, 0.0)
        share = len(indices) / self._task.request.num_samples

        def report(progress: Progress) -> None:
            self._turn.tell(replace(progress, fraction=min(1.0, done + share * progress.fraction)))

        meter = _Meter(_Work(len(plan.grid), len(indices), *self._model.num_steps), self._turn.stop, report)
        for number, tile in enumerate(plan.grid):
            for index, decoded, seconds in self._decoded(number, tile, indices, meter):
                started = time.perf_counter()
                canvas = canvases.get(index) or canvases.setdefault(index, self._canvas(index))
                self._lay(index, tile, decoded, canvas)
                spent[index] += seconds + time.perf_counter() - started
                if tile.is_last:
                    result = self._result(index, canvas, spent[index], scored=scored)
                    # Do not keep it here: a sample without tiles is not needed any more once it has been sent.
                    del canvases[index], canvas
                    finished(result)
            if len(plan.grid) > 1:
                self._turn.worker.trim()

    def _decoded(
        self, number: int, tile: Tile, indices: tuple[int, ...], meter: _Meter
    ) -> Iterator[tuple[int, Decoded, float]]:
        """Yield a tile of every sample: its index, the tile, and the seconds it took.

        The tile's memory is released after the last sample, before the next tile begins.
        """
        task = self._task
        plan = task.plan
        on_step = meter.begin("conditioning", number)
        key = tile_key(task, self._lr_sha256, number)
        keep = plan.kept_bytes <= self._turn.worker.cache.limit
        prepared = self._turn.condition(self._model, self._cut(tile), key, keep, on_step)
        if len(plan.grid) > 1:
            self._turn.worker.trim()
        for first in range(0, len(indices), plan.batch):
            batch = indices[first : first + plan.batch]
            on_step = meter.begin("sampling", number, first, len(batch))
            started = time.perf_counter()
            latents = self._latents(tile, batch)
            samples = self._turn.decode(self._model, latents, prepared, on_step)
            seconds = (time.perf_counter() - started) / len(batch)
            for index, decoded in zip(batch, samples, strict=True):
                yield index, self._replaced(decoded, tile) if decoded.is_broken else decoded, seconds

    def _lay(self, index: int, tile: Tile, decoded: Decoded, canvas: Canvas) -> None:
        """Put a decoded tile into its picture; send the rows that are finished."""
        top, before = canvas.num_rows, canvas.seconds
        rows = canvas.add(tile, decoded, self._turn.run(partial(self._log_prob, tile, decoded)), self._turn.stop)
        self._turn.worker.record("finishing", self._model, tile.rows.size * tile.columns.size, canvas.seconds - before)
        if len(self._task.plan.grid) > 1 and rows is not None:
            self._turn.send(PartialSample(index=index, top=top, rows=np.array(rows)))

    def _replaced(self, broken: Decoded, tile: Tile) -> Decoded:
        """Return the encoder's own picture, or else bicubic upscaling, instead of a sample that cannot be drawn."""
        own = self._turn.super_resolve(self._model, self._cut(tile))

        def choose() -> Decoded:
            bicubic = bicubic_upscale(self._cut(tile).to(own), self._task.scale)[0]
            if is_sound(own) and (own - bicubic).abs().mean() < _ENCODER_DIFFERENCE:
                return with_picture(broken, own.to(broken.raw), "the encoder's own picture")
            return with_picture(broken, bicubic.to(broken.raw), "the picture enlarged by bicubic interpolation")

        return self._turn.run(choose)

    def _canvas(self, index: int) -> Canvas:
        task = self._task
        path = self._folder.path(f"{index}.npy") if task.plan.on_disk else None
        rounds, device = task.request.consistency_rounds, self._turn.worker.device
        deep, plain = task.request.deep, task.request.plain
        return Canvas(task.plan.grid, self._lr, task.scale, rounds, path, deep, plain, device, self._turn.run)

    def _cut(self, tile: Tile) -> Tensor:
        return self._padded[:, :, tile.rows.seen(1), tile.columns.seen(1)]

    def _latents(self, tile: Tile, indices: tuple[int, ...]) -> list[Tensor]:
        """Return latents times temperature, (N, C, h, w) each, for this tile, without computing the rest of the
        picture.
        """
        height, width = self._padded.shape[-2:]
        box = tile.columns.first, tile.rows.first, tile.columns.last, tile.rows.last
        place = Place(tuple(self._model.latent_shapes(height, width)), height, width, box)
        whole = count_whole(self._task.request.operations)
        drawn = [Field.evaluate(self._task.whole_list(index, whole), place).latents() for index in indices]
        return [torch.stack(level) for level in zip(*drawn, strict=True)]

    def _log_prob(self, tile: Tile, decoded: Decoded) -> float:
        """Return log p of the tile's own part, in nats: latents and log-determinants at its own positions."""

        def own_sum(values: Tensor) -> float:
            rows, columns = (
                span.own(size, span.size)
                for span, size in zip((tile.rows, tile.columns), values.shape[-2:], strict=True)
            )
            return values[..., rows, columns].sum().item()

        latents = sum(own_sum(standard_normal_log_prob(latent)) for latent in decoded.latents)
        return latents + sum(own_sum(log_det) for log_det in decoded.log_dets)

    def _result(self, index: int, canvas: Canvas, seconds: float, *, scored: bool) -> SampleResult:
        task = self._task
        request, grid = task.request, task.plan.grid
        padded = self._padded.shape[-2] * self._padded.shape[-1] * task.scale**2
        started = time.perf_counter()
        is_done = count_whole(request.operations) == len(request.operations)
        known = lr_psnr(canvas.picture, request.lr, task.scale, self._turn.run)
        return SampleResult(
            index=index,
            picture=None if task.plan.on_disk else canvas.picture,
            path=file_of(canvas.picture),
            deep=None if task.plan.on_disk else canvas.deep,
            deep_path=file_of(canvas.deep),
            plain=None if task.plan.on_disk else canvas.plain,
            plain_path=file_of(canvas.plain),
            lr_psnr=known,
            bits_per_dimension=bits_per_dimension(torch.tensor(canvas.log_prob, dtype=torch.float64), padded, 1).item(),
            clipped=canvas.clipped,
            flags=tuple(
                flag if len(grid) == 1 else f"{flag} (in {count} of {len(grid)} tiles)"
                for flag, count in canvas.flags.items()
            ),
            recipe=task.recipe(index),
            seconds=seconds + time.perf_counter() - started,
            # With operations on regions the picture is not the sample yet.
            truth=self._score(canvas.picture) if scored and is_done else None,
        )


@dataclass(frozen=True)
class _Work:
    """The amount of work.

    conditioning, decoding: steps of a tile, and of a sample of one.

    A step of conditioning and one of decoding a sample take about equal time.
    """

    num_tiles: int
    num_samples: int
    conditioning: int
    decoding: int

    def fraction(self, tile: int, steps: int) -> float:
        """Return the finished fraction after a number of steps of tile number `tile`."""
        in_tile = self.conditioning + self.num_samples * self.decoding
        return min(1.0, (tile * in_tile + steps) / (self.num_tiles * in_tile))


class _Meter:
    """Reports a request's progress during its work, at most every `_NEWS_SECONDS`."""

    def __init__(self, work: _Work, stop: OnStep, report: Callable[[Progress], None]) -> None:
        self._work, self._stop, self._report = work, stop, report
        self._told = 0.0

    def begin(self, stage: Literal["conditioning", "sampling"], tile: int, first: int = 0, count: int = 1) -> OnStep:
        """Return the callback of a piece of work: `count` samples from number `first` on, of tile number `tile`."""
        work = self._work
        passed = 0 if stage == "conditioning" else work.conditioning + first * work.decoding
        where = f", tile {tile + 1} of {work.num_tiles}" if work.num_tiles > 1 else ""
        which = f"samples {first + 1} to {first + count}" if count > 1 else f"sample {first + 1}"
        text = f"Reading the picture{where}" if stage == "conditioning" else f"Drawing {which}{where}"

        def tell() -> None:
            self._told = time.monotonic()
            self._report(Progress(stage=stage, fraction=work.fraction(tile, passed), text=text))

        def on_step() -> None:
            nonlocal passed
            self._stop()
            passed += count
            if time.monotonic() - self._told > _NEWS_SECONDS:
                tell()

        tell()
        return on_step
